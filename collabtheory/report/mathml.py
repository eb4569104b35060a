r"""Mathematics for pages: TeX between dollar signs becomes MathML, which needs no script and no network."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree

from latex2mathml import exceptions
from latex2mathml.converter import convert
from markupsafe import Markup, escape

from collabtheory.report.tex import unicode_formula

LONG = 22
"""Inline formulas longer than this may be broken between lines, after a relation or operator outside all brackets."""
_TOKEN = re.compile(r"\\(?:left|right)\s*(?:\\[a-zA-Z]+|\\.|.)|\\[a-zA-Z]+|\\.|\s+|.", re.DOTALL)
_OPENS = ("{", "(", "[", r"\{", r"\langle", r"\lVert", r"\lvert", r"\lfloor", r"\lceil")
_CLOSES = ("}", ")", "]", r"\}", r"\rangle", r"\rVert", r"\rvert", r"\rfloor", r"\rceil")
_RELATIONS = ("=", "<", ">", r"\le", r"\leq", r"\ge", r"\geq", r"\to", r"\implies", r"\Rightarrow", r"\iff", r"\approx")
_UNREADABLE: tuple[type[Exception], ...] = (
    ElementTree.ParseError,
    *(one for one in vars(exceptions).values() if isinstance(one, type) and issubclass(one, Exception)),
)
_NAMESPACE = "{http://www.w3.org/1998/Math/MathML}m"
_FORMULA = re.compile(r"\$([^$]+)\$")
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


def prose(text: str) -> Markup:
    r"""Return prose as HTML, its formulas as MathML that may be broken between lines; everything else is escaped.

    A formula that is not TeX which the converter reads (in a check of the user's own) is written as Unicode text.

    Examples
    --------
    >>> print(prose("<b> $x_{$"))
    &lt;b&gt; <span class="formula">x_</span>
    """
    parts = _FORMULA.split(text)
    return Markup("").join(_formula(part) if i % 2 else escape(part) for i, part in enumerate(parts))


def _formula(tex: str) -> Markup:
    try:
        shown = Markup("<wbr>").join(_checked(mathml(piece)) for piece in pieces(tex))
    except _UNREADABLE:
        shown = escape(unicode_formula(tex))
    return Markup('<span class="formula">{}</span>').format(shown)


def _checked(xml: str) -> Markup:
    """Return MathML if it is nothing else: the converter lets tags in the argument of a text macro through."""
    for element in ElementTree.fromstring(xml).iter():
        if not element.tag.startswith(_NAMESPACE) or element.attrib.keys() & {"href", "src", "style"}:
            raise ElementTree.ParseError(f"not MathML: {element.tag}")
        if any(name.startswith("on") for name in element.attrib):
            raise ElementTree.ParseError("not MathML: an event handler")
    return Markup(xml)


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
