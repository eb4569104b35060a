r"""Formulas in TeX, read into atoms and written as one line of Unicode text."""

from __future__ import annotations

import functools
import re
import unicodedata
from dataclasses import dataclass, replace

from collabtheory.report.tex_symbols import (
    ACCENTS,
    ALPHABETS,
    BLACKBOARD,
    CHARACTERS,
    SUBSCRIPTS,
    SUPERSCRIPTS,
    SYMBOLS,
    VULGAR_FRACTIONS,
    WORDS,
    Kind,
)

_SIZES = re.compile(r"\\(?:left|right|middle|[bB]igg?[lrm]?)(?![a-zA-Z])\s*\.?")
_TOKEN = re.compile(r"\\[a-zA-Z]+\*?|\\.|\d+(?:\.\d+)?|'+|\s+|.", re.DOTALL)
_PRIMES = {2: "″", 3: "‴"}
_BARS = ("|", r"\|", r"\Vert", r"\vert")
_BRACKETS_OPEN = ("(", "[", "{", r"\{", r"\langle")
_BRACKETS_CLOSE = (")", "]", "}", r"\}", r"\rangle")
_COMPOUND = (Kind.OPERATOR, Kind.SIGN, Kind.RELATION, Kind.PUNCTUATION)
_STARTS_A_TERM = (*_COMPOUND, Kind.OPEN, Kind.OPEN_BAR, Kind.SLASH, Kind.LARGE)


@dataclass(frozen=True)
class Atom:
    """One symbol with its scripts."""

    kind: Kind
    text: str
    open_ended: bool = False
    """Whether it ends in a script or a word: what follows needs room, or ``g_u y`` would read ``g_uy``."""
    spaced: bool = False
    """Whether a space follows it in the source."""


Atoms = list[Atom]


def unicode_formula(tex: str) -> str:
    r"""Return a formula in TeX as one line of Unicode text.

    Powers and indices that are whole numbers become raised and lowered digits; others keep ``^`` and ``_``, with
    parentheses where a script or a denominator has several parts. Nothing is dropped: a macro that is not known stays
    as it is written.

    Examples
    --------
    >>> unicode_formula(r"\lVert\mu - \bar e\rVert^2 + e^{v/2}"), unicode_formula(r"\frac{a+b}{2}\sum_{i} x_i \ne -1")
    ('‖μ - ē‖² + e^(v/2)', '(a + b)/2 ∑_i x_i ≠ -1')
    """
    return _written(_Reader(tex).atoms())


class _Reader:
    """Reads tokens into atoms; braces are read by recursion."""

    def __init__(self, tex: str) -> None:
        self.tokens: list[str] = _TOKEN.findall(_SIZES.sub("", tex))
        self.position = 0

    def atoms(self, end: str | None = None) -> Atoms:
        """Read to the closing brace, or to the end."""
        found: Atoms = []
        open_bars: list[str] = []
        while (token := self._next()) is not None and token != end:
            if token.isspace():
                found[-1:] = [replace(atom, spaced=True) for atom in found[-1:]]
                continue
            atom = self._atom(token)
            if atom is not None:
                before = found[-1] if found else None
                atom = _in_context(atom, token, before, self._closes_later(token), open_bars)
                found.append(self._with_scripts(atom))
        return found

    def _atom(self, token: str) -> Atom | None:
        if token == "{":
            return Atom(Kind.ORDINARY, _written(self.atoms("}")))
        if not token.startswith("\\"):
            return Atom(CHARACTERS.get(token, Kind.ORDINARY), token)
        name = token[1:]
        if name in ("displaystyle", "textstyle", "limits", "nolimits"):
            return None
        if name in ("frac", "tfrac", "dfrac"):
            return _fraction(self._argument(), self._argument())
        if name == "binom":
            return Atom(
                Kind.ORDINARY, f"C({_written(self._argument())}, {_written(self._argument())})", open_ended=True
            )
        if name == "sqrt":
            return Atom(Kind.ORDINARY, f"√{_as_factor(self._argument())}", open_ended=True)
        if name in ACCENTS:
            letters = (unicodedata.normalize("NFC", letter + ACCENTS[name]) for letter in _written(self._argument()))
            return Atom(Kind.ORDINARY, "".join(letters))
        if name.rstrip("*") in WORDS:
            return self._word(name)
        if name in ALPHABETS:
            inner = _written(self._argument())
            if name != "mathbb":
                return Atom(Kind.ORDINARY, inner)
            # An expectation is written before what it is of.
            return Atom(Kind.ORDINARY, BLACKBOARD.get(inner, inner), open_ended=True)
        if name in SYMBOLS:
            return Atom(*SYMBOLS[name])
        letter = _known_letter(token)
        return Atom(Kind.ORDINARY, letter, open_ended=letter == token)

    def _with_scripts(self, atom: Atom) -> Atom:
        scripts: dict[str, str] = {}
        # Limits of a sum are not mixed: both as digits, or neither.
        raised = atom.kind is not Kind.LARGE
        while (token := self._peek()) is not None and (token in ("_", "^") or token.startswith("'")):
            self._next()
            if token in ("_", "^"):
                scripts[token] = _script(token, self._argument(), raised)
            else:
                scripts["'"] = _PRIMES.get(len(token), "′" * len(token))
        if not scripts:
            return atom
        text = atom.text + "".join(scripts.get(mark, "") for mark in "'_^")
        return replace(atom, text=text, open_ended=True)

    def _argument(self) -> Atoms:
        token = self._next_solid()
        if token == "{":
            return self.atoms("}")
        if len(token) > 1 and token[0].isdigit():
            # Without braces an argument is one digit; the others are read again.
            self.position -= 1
            self.tokens[self.position] = token[1:]
            token = token[0]
        atom = self._atom(token) if token else None
        return [atom] if atom is not None else []

    def _word(self, name: str) -> Atom:
        r"""Read the argument of ``\mathrm`` and its like as it stands."""
        token = self._next_solid()
        letters = [token]
        if token == "{":
            letters = []
            while (token := self._next() or "}") != "}":
                letters.append(token)
        kind = Kind.FUNCTION if name.startswith("operatorname") else Kind.ORDINARY
        return Atom(kind, "".join(letters).strip(), open_ended=True)

    def _closes_later(self, bar: str) -> bool:
        """Return whether the same bar comes again before the brackets around this one are closed."""
        depth = 0
        for token in self.tokens[self.position :]:
            depth += (token in _BRACKETS_OPEN) - (token in _BRACKETS_CLOSE)
            if depth < 0:
                return False
            if token == bar and depth == 0:
                return True
        return False

    def _peek(self) -> str | None:
        return self.tokens[self.position] if self.position < len(self.tokens) else None

    def _next(self) -> str | None:
        token = self._peek()
        self.position += token is not None
        return token

    def _next_solid(self) -> str:
        while (token := self._next()) is not None and token.isspace():
            pass
        return token or ""


def _in_context(atom: Atom, token: str, before: Atom | None, closes_later: bool, open_bars: list[str]) -> Atom:
    """Settle what only the surroundings tell: which signs have no left side, which bars open and which close."""
    if atom.kind is Kind.OPERATOR and (before is None or before.kind in _STARTS_A_TERM):
        return replace(atom, kind=Kind.SIGN)
    if token not in _BARS:
        return atom
    if token in open_bars:
        open_bars.remove(token)
        return replace(atom, kind=Kind.CLOSE_BAR)
    if not closes_later:
        return replace(atom, kind=Kind.RELATION)  # "given", or between the arguments of a divergence
    open_bars.append(token)
    return atom


def _fraction(above: Atoms, below: Atoms) -> Atom:
    numerator, denominator = _written(above), _written(below)
    if (numerator, denominator) in VULGAR_FRACTIONS:
        return Atom(Kind.FRACTION, VULGAR_FRACTIONS[numerator, denominator])
    numerator = f"({numerator})" if _splits(above) else numerator
    return Atom(Kind.FRACTION, f"{numerator}/{_as_factor(below, scripts=True)}")


def _script(mark: str, atoms: Atoms, raised: bool) -> str:
    text = _written(atoms, tight=True)
    if mark == "^" and text in ("*", "⊤", "′"):
        return text.replace("⊤", "ᵀ")
    if raised and re.fullmatch(r"[+-]?\d+", text):
        return text.translate(SUPERSCRIPTS if mark == "^" else SUBSCRIPTS)
    name = mark == "_" and all(atom.kind is Kind.ORDINARY for atom in atoms) and not re.search(r"[_^]", text)
    return f"{mark}{text}" if name or _is_one(atoms) else f"{mark}({text})"


def _as_factor(atoms: Atoms, *, scripts: bool = False) -> str:
    """Return text that a root or a slash can stand in front of."""
    text = _written(atoms)
    return text if _is_one(atoms, scripts=scripts) or _is_bracketed(atoms) else f"({text})"


def _is_one(atoms: Atoms, *, scripts: bool = False) -> bool:
    if len(atoms) != 1 or atoms[0].kind is Kind.FRACTION:
        return False
    return scripts or re.fullmatch(r"[A-Za-zΑ-ω0-9]+|.", atoms[0].text) is not None


def _is_bracketed(atoms: Atoms) -> bool:
    depths = _depths(atoms)
    return len(atoms) > 1 and depths[0] > 0 and depths[-1] == 0 and 0 not in depths[:-1]


def _splits(atoms: Atoms) -> bool:
    """Return whether an operator or a relation stands outside all brackets."""
    return any(
        atom.kind in _COMPOUND and depth == 0 for atom, depth in list(zip(atoms, _depths(atoms), strict=True))[1:]
    )


def _depths(atoms: Atoms) -> list[int]:
    """Return how many brackets are open after each atom."""
    depths, depth = [], 0
    for atom in atoms:
        depth += (atom.kind in (Kind.OPEN, Kind.OPEN_BAR)) - (atom.kind in (Kind.CLOSE, Kind.CLOSE_BAR))
        depths.append(depth)
    return depths


def _written(atoms: Atoms, *, tight: bool = False) -> str:
    text = ""
    before: Atom | None = None
    for atom in atoms:
        if atom.kind is Kind.SPACE:
            before = replace(before, spaced=True) if before else None
            continue
        text += _gap(before, atom, tight) if before else ""
        text += f"({atom.text})" if before and _needs_brackets(before, atom) else atom.text
        before = atom
    return text


def _needs_brackets(left: Atom, fraction: Atom) -> bool:
    """Return whether a fraction would read wrongly: ``log (a + b)/a``, ``c 1/n``."""
    if fraction.kind is not Kind.FRACTION or "/" not in fraction.text:
        return False
    factor = left.kind in (Kind.ORDINARY, Kind.CLOSE, Kind.CLOSE_BAR, Kind.FRACTION)
    return left.kind is Kind.FUNCTION or (factor and fraction.text[0].isdigit())


def _gap(left: Atom, right: Atom, tight: bool) -> str:
    """Return what stands between two atoms; scripts are tight: no room around their operators."""
    kinds = (left.kind, right.kind)
    if left.kind is Kind.SIGN or Kind.SLASH in kinds or right.kind is Kind.PUNCTUATION:
        return ""
    if Kind.OPERATOR in kinds or Kind.RELATION in kinds or left.kind is Kind.PUNCTUATION:
        return "" if tight else " "
    if left.kind in (Kind.OPEN, Kind.OPEN_BAR) or right.kind in (Kind.CLOSE, Kind.CLOSE_BAR):
        return ""
    if kinds == (Kind.LARGE, Kind.LARGE) and not left.open_ended:
        return ""
    if left.kind is Kind.FUNCTION:
        return "" if right.kind is Kind.OPEN or "/" in right.text else " "
    if Kind.LARGE in kinds or Kind.FRACTION in kinds or right.kind in (Kind.FUNCTION, Kind.OPEN_BAR):
        return " "
    if left.kind is Kind.CLOSE_BAR or (left.open_ended and right.kind is Kind.ORDINARY):
        return " "
    return " " if left.spaced else ""


@functools.cache
def _known_letter(macro: str) -> str:
    """Return the Unicode character of a macro (Greek letters and rarer symbols), or the macro where there is none."""
    from pylatexenc.latex2text import LatexNodes2Text

    return str(LatexNodes2Text().latex_to_text(macro)) or macro
