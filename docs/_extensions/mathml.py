"""Formulas as MathML, made when the pages are built: they need no script and no network."""

from __future__ import annotations

import re

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.application import Sphinx
from sphinx.util import logging

LONG = 22
"""Inline formulas longer than this may be broken between lines, after a relation or operator outside all brackets."""
_TOKEN = re.compile(r"\\(?:left|right)\s*(?:\\[a-zA-Z]+|\\.|.)|\\[a-zA-Z]+|\\.|\s+|.", re.DOTALL)
_OPENS = ("{", "(", "[", r"\{", r"\langle", r"\lVert", r"\lvert", r"\lfloor", r"\lceil")
_CLOSES = ("}", ")", "]", r"\}", r"\rangle", r"\rVert", r"\rvert", r"\rfloor", r"\rceil")
_RELATIONS = ("=", "<", ">", r"\le", r"\leq", r"\ge", r"\geq", r"\to", r"\implies", r"\Rightarrow", r"\iff", r"\approx")
_FUNCTIONS = ("log", "exp", "max", "min", "cosh", "sinh", "tanh", "sup", "inf")
_OPERATORS = ("+", "-", r"\cdot")


def pieces(tex: str) -> list[str]:
    r"""Return an inline formula in the parts between which a line may end.

    A browser never breaks a line within a formula, so that a long one would leave a narrow page.

    Examples
    --------
    >>> pieces(r"\lVert a + b\rVert \le \lVert a\rVert + \lVert b\rVert")
    ['\\lVert a + b\\rVert \\le', '\\lVert a\\rVert +', '\\lVert b\\rVert']
    """
    if len(tex) <= LONG:
        return [tex]
    parts, depth, bars, before = [""], 0, 0, ""
    for token in _TOKEN.findall(tex):
        depth += token.startswith(r"\left") and not token.startswith(r"\leftarrow")
        depth -= token.startswith(r"\right") and not token.startswith(r"\rightarrow")
        depth += (token in _OPENS) - (token in _CLOSES)
        bars += token == "|"
        parts[-1] += token
        outside = depth == 0 and bars % 2 == 0
        # An operator with nothing before it is a sign.
        if outside and (token in _RELATIONS or (token in _OPERATORS and before not in ("", *_RELATIONS, *_OPERATORS))):
            parts.append("")
        before = token if token.strip() else before
    return [part.strip() for part in parts if part.strip()]


def mathml(tex: str, *, block: bool = False) -> str:
    """Return a formula as MathML."""
    return str(convert(_spaced(_fenced(tex)), display="block" if block else "inline"))


def _fenced(tex: str) -> str:
    r"""Return a formula whose bars are said to open or to close: a mere ``|`` would be set as an operator.

    Examples
    --------
    >>> _fenced(r"\mathbb{E}|X - Y| \le \lVert a\rVert")
    '\\mathbb{E}\\left|X - Y\\right| \\le \\left\\| a\\right\\|'
    """
    tokens = _TOKEN.findall(tex)
    fences = {r"\lvert": r"\left|", r"\rvert": r"\right|", r"\lVert": r"\left\|", r"\rVert": r"\right\|"}
    paired, inside = tokens.count("|") % 2 == 0, False
    for i, token in enumerate(tokens):
        if token == "|" and paired:
            tokens[i] = r"\right|" if inside else r"\left|"
            inside = not inside
        elif token in fences:
            tokens[i] = fences[token]
    return "".join(tokens)


def _spaced(tex: str) -> str:
    r"""Return a formula with room around the names of functions, which the converter sets like variables.

    Examples
    --------
    >>> _spaced(r"a\log\frac{b}{a} + \log(x) + \max_i x")
    'a\\,\\log\\,\\frac{b}{a} + \\log(x) + \\max_i x'
    """
    names = "|".join(_FUNCTIONS)
    tex = re.sub(rf"(?<=[a-zA-Z0-9)}}])\s*\\({names})(?![a-zA-Z])", r"\\,\\\1", tex)
    return re.sub(rf"\\({names})(?![a-zA-Z])\s*(?=[a-zA-Z0-9\\])(?!\\left)", r"\\\1\\,", tex)


def _visit_inline(translator, node: nodes.math) -> None:  # type: ignore[no-untyped-def]
    shown = [_safely(piece, node, block=False) for piece in pieces(node.astext())]
    translator.body.append(f'<span class="formula">{"<wbr>".join(shown)}</span>')
    raise nodes.SkipNode


def _visit_block(translator, node: nodes.math_block) -> None:  # type: ignore[no-untyped-def]
    translator.body.append(f'<div class="formula-block">{_safely(node.astext(), node, block=True)}</div>')
    raise nodes.SkipNode


def _safely(tex: str, node: nodes.Element, *, block: bool) -> str:
    try:
        return mathml(tex, block=block)
    except Exception as error:
        logging.getLogger(__name__).warning("formula %r: %s", tex, error, location=node)
        return ""


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the renderer; choose it by ``html_math_renderer = "mathml"``."""
    app.add_html_math_renderer("mathml", inline_renderers=(_visit_inline, None), block_renderers=(_visit_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
