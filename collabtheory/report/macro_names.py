"""LaTeX macros: names made of letters alone, and text that LaTeX prints as it is."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from collabtheory.report.render import latex_text

PREFIX = "ct"
_DIGITS = ("Zero", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine")
_SIGNS = {"@": "At", ".": "Point", "+": "Plus", "*": "Star"}
_WORD = re.compile(r"[A-Za-z]+|\d|[@.+*]")
_NUMBER = re.compile(r"([+-]?)([\d,]+(?:\.\d+)?)(?:e([+-]?\d+))?( %)?")


@dataclass(frozen=True)
class Macro:
    """One number or word of a run: the name and the text of its macro, and what it is, for those who read the file."""

    name: str
    text: str
    about: str


def macro_name(*parts: object) -> str:
    r"""Return a macro's name: the parts in letters, each word capitalised, each digit spelled out.

    Examples
    --------
    >>> macro_name("theorem_2_3", "epoch_10", "share_inside"), macro_name("mult_vae", "nDCG@100", "w1")
    ('ctTheoremTwoThreeEpochOneZeroShareInside', 'ctMultVaeNDCGAtOneZeroZeroWOne')
    """
    words = [word for part in parts for word in _WORD.findall(str(part))]
    return PREFIX + "".join(_spelled(word) for word in words)


def latex_number(text: str) -> str:
    r"""Return a written number so that LaTeX prints it well in text and in formulas; other text is escaped.

    Examples
    --------
    >>> latex_number("-0.42"), latex_number("1.23e-05"), latex_number("84.1 %"), latex_number("65,280")
    ('\\ensuremath{-0.42}', '\\ensuremath{1.23\\times10^{-5}}', '\\ensuremath{84.1}\\,\\%', '\\ensuremath{65{,}280}')
    >>> latex_number("none_of 3")
    'none\\_of 3'
    """
    found = _NUMBER.fullmatch(text)
    if found is None:
        return latex_text(" ".join(text.split()))
    sign, digits, exponent, percent = found.groups()
    power = "" if exponent is None else rf"\times10^{{{int(exponent)}}}"
    written = f"{sign}{digits.replace(',', '{,}')}{power}"
    return rf"\ensuremath{{{written}}}" + (r"\,\%" if percent else "")


def unique(macros: Iterable[Macro]) -> tuple[Macro, ...]:
    """Return macros by name; where several things get one name, those after the first get a letter more.

    Which is first depends on what they are, not on their order, so that a name stays as long as its run does.

    Examples
    --------
    >>> [macro.name for macro in unique([Macro("ctA", "1", "a_b"), Macro("ctA", "2", "a-b"), Macro("ctB", "3", "b")])]
    ['ctA', 'ctAx', 'ctB']
    """
    return tuple(sorted(_told_apart(macros), key=lambda macro: macro.name))


def _told_apart(macros: Iterable[Macro]) -> Iterator[Macro]:
    taken: set[str] = set()
    for macro in sorted(macros, key=lambda macro: (macro.name, macro.about, macro.text)):
        name = macro.name
        while name in taken:
            name += "x"
        taken.add(name)
        yield replace(macro, name=name)


def _spelled(word: str) -> str:
    if word.isdigit():
        return _DIGITS[int(word)]
    return _SIGNS.get(word) or word[0].upper() + word[1:]
