r"""Mathematics for terminals: TeX between dollar signs becomes Unicode text."""

from __future__ import annotations

import re
import textwrap

from collabtheory.report.tex import unicode_formula

_FORMULA = re.compile(r"\$([^$]+)\$")
_GLUE = "\u00a0"
_SHORT = 26
"""Formulas up to this length are never broken."""
_BREAKS_BEFORE = frozenset("=<>≤≥≠≈≡∼≼≽∈∉⊂⊆→↦⇒⇔+-·×∩∪")


def plain(text: str) -> str:
    r"""Return prose with its formulas as Unicode text.

    Examples
    --------
    >>> plain(r"so $\lVert g_u - g_v\rVert \le L\,W_1(q_u,q_v)$.")
    'so ‖g_u - g_v‖ ≤ L W₁(q_u, q_v).'
    """
    return _FORMULA.sub(lambda match: unicode_formula(match[1]), text)


def plain_lines(text: str, width: int, first: str = "", later: str = "") -> list[str]:
    r"""Return the same in lines, which end within a formula only before a relation or operator outside all brackets.

    Parameters
    ----------
    text
        Prose, with TeX between dollar signs.
    width
        Columns; what cannot be broken may be longer.
    first, later
        What the first line and the others begin with.

    Examples
    --------
    >>> plain_lines(r"Here $f(a + b) = f(a) + f(b) + f(0)$.", 26)
    ['Here f(a + b) = f(a)', '+ f(b) + f(0).']
    """
    glued = _FORMULA.sub(lambda match: _glued(unicode_formula(match[1])), text)
    lines = textwrap.wrap(
        glued, width, initial_indent=first, subsequent_indent=later, break_on_hyphens=False, break_long_words=False
    )
    return [line.replace(_GLUE, " ") for line in lines] or [first.rstrip()]


def shortened(text: str, most: int) -> str:
    """Return text with its middle left out where it is longer than that.

    Examples
    --------
    >>> shortened("a + b + c + d + e = 0", 15), shortened("a = 0", 15)
    ('a + b + … = 0', 'a = 0')
    """
    if len(text) <= most:
        return text
    head, tail = text[: 2 * most // 3 - 2], text[-(most // 3) :]
    # Whole words where there are any.
    return f"{head.rpartition(' ')[0] or head} … {tail.partition(' ')[2] or tail}"


def _glued(formula: str) -> str:
    """Return a formula whose spaces hold together, but those before operators outside all brackets."""
    if len(formula) <= _SHORT:
        return formula.replace(" ", _GLUE)
    glued, depth, bars = "", 0, 0
    for i, letter in enumerate(formula):
        depth += (letter in "([{⟨") - (letter in ")]}⟩")
        bars += letter == "‖"
        following = formula[i + 1 : i + 3]
        operator = following[:1] in _BREAKS_BEFORE and following[1:] == " "
        glued += _GLUE if letter == " " and (depth or bars % 2 or not operator) else letter
    return glued
