r"""The symbols of TeX formulas: what each macro looks like, and what class of atom it is.

The classes are those of the TeXbook (chapter 17); the spaces between atoms follow from them.
"""

from __future__ import annotations

from enum import Enum, auto


class Kind(Enum):
    """The class of an atom."""

    ORDINARY = auto()
    FRACTION = auto()
    FUNCTION = auto()  # log, max
    LARGE = auto()  # sums and integrals
    OPERATOR = auto()
    SIGN = auto()  # an operator with nothing to its left
    RELATION = auto()
    OPEN = auto()
    CLOSE = auto()
    OPEN_BAR = auto()
    CLOSE_BAR = auto()
    PUNCTUATION = auto()
    SLASH = auto()
    SPACE = auto()


SYMBOLS: dict[str, tuple[Kind, str]] = {
    **dict.fromkeys((",", ":", ";", "!", " ", "quad", "qquad", "enspace"), (Kind.SPACE, " ")),
    **{
        name: (Kind.FUNCTION, name)
        for name in ("arg", "argmin", "det", "diag", "dim", "inf", "lim", "max", "min", "sup")
    },
    **{
        name: (Kind.FUNCTION, name) for name in ("cos", "cosh", "erf", "exp", "log", "ln", "sin", "sinh", "tan", "tanh")
    },
    **{name: (Kind.FUNCTION, name) for name in ("Pr", "KL")},
    "sum": (Kind.LARGE, "∑"),
    "prod": (Kind.LARGE, "∏"),
    "int": (Kind.LARGE, "∫"),
    "iint": (Kind.LARGE, "∫∫"),
    "cdot": (Kind.OPERATOR, "·"),
    "odot": (Kind.OPERATOR, "⊙"),
    "otimes": (Kind.OPERATOR, "⊗"),
    "times": (Kind.OPERATOR, "×"),
    "circ": (Kind.OPERATOR, "∘"),
    "pm": (Kind.OPERATOR, "±"),
    "mp": (Kind.OPERATOR, "∓"),
    "ast": (Kind.OPERATOR, "*"),
    "cap": (Kind.OPERATOR, "∩"),
    "cup": (Kind.OPERATOR, "∪"),
    "setminus": (Kind.OPERATOR, "∖"),
    "wedge": (Kind.OPERATOR, "∧"),
    "vee": (Kind.OPERATOR, "∨"),
    "land": (Kind.OPERATOR, "∧"),
    "le": (Kind.RELATION, "≤"),
    "leq": (Kind.RELATION, "≤"),
    "ge": (Kind.RELATION, "≥"),
    "geq": (Kind.RELATION, "≥"),
    "ne": (Kind.RELATION, "≠"),
    "neq": (Kind.RELATION, "≠"),
    "ll": (Kind.RELATION, "≪"),
    "gg": (Kind.RELATION, "≫"),
    "lt": (Kind.RELATION, "<"),
    "gt": (Kind.RELATION, ">"),
    "sim": (Kind.RELATION, "∼"),
    "approx": (Kind.RELATION, "≈"),
    "equiv": (Kind.RELATION, "≡"),
    "propto": (Kind.RELATION, "∝"),
    "preceq": (Kind.RELATION, "≼"),
    "succeq": (Kind.RELATION, "≽"),
    "in": (Kind.RELATION, "∈"),
    "notin": (Kind.RELATION, "∉"),
    "subset": (Kind.RELATION, "⊂"),
    "subseteq": (Kind.RELATION, "⊆"),
    "to": (Kind.RELATION, "→"),
    "rightarrow": (Kind.RELATION, "→"),
    "mapsto": (Kind.RELATION, "↦"),
    "Rightarrow": (Kind.RELATION, "⇒"),
    "implies": (Kind.RELATION, "⇒"),
    "iff": (Kind.RELATION, "⇔"),
    "Leftrightarrow": (Kind.RELATION, "⇔"),
    "mid": (Kind.RELATION, "|"),
    "perp": (Kind.RELATION, "⊥"),
    "{": (Kind.OPEN, "{"),
    "}": (Kind.CLOSE, "}"),
    "langle": (Kind.OPEN, "⟨"),
    "rangle": (Kind.CLOSE, "⟩"),
    "lfloor": (Kind.OPEN, "⌊"),
    "rfloor": (Kind.CLOSE, "⌋"),
    "lceil": (Kind.OPEN, "⌈"),
    "rceil": (Kind.CLOSE, "⌉"),
    "lVert": (Kind.OPEN_BAR, "‖"),
    "rVert": (Kind.CLOSE_BAR, "‖"),
    "lvert": (Kind.OPEN_BAR, "|"),
    "rvert": (Kind.CLOSE_BAR, "|"),
    "colon": (Kind.PUNCTUATION, ":"),
    "top": (Kind.ORDINARY, "⊤"),
    "ell": (Kind.ORDINARY, "ℓ"),
    "ldots": (Kind.ORDINARY, "…"),
    "dots": (Kind.ORDINARY, "…"),
    "cdots": (Kind.ORDINARY, "…"),
    "infty": (Kind.ORDINARY, "∞"),
    "partial": (Kind.ORDINARY, "∂"),
    "nabla": (Kind.ORDINARY, "∇"),
    "emptyset": (Kind.ORDINARY, "∅"),
    "forall": (Kind.ORDINARY, "∀"),
    "exists": (Kind.ORDINARY, "∃"),
    "prime": (Kind.ORDINARY, "′"),
    "phi": (Kind.ORDINARY, "φ"),
    "varphi": (Kind.ORDINARY, "φ"),
    "epsilon": (Kind.ORDINARY, "ε"),
    "varepsilon": (Kind.ORDINARY, "ε"),
    "|": (Kind.OPEN_BAR, "‖"),
    "Vert": (Kind.OPEN_BAR, "‖"),
    "vert": (Kind.OPEN_BAR, "|"),
}
CHARACTERS: dict[str, Kind] = {
    **dict.fromkeys("+-*", Kind.OPERATOR),
    **dict.fromkeys("=<>", Kind.RELATION),
    **dict.fromkeys("([", Kind.OPEN),
    **dict.fromkeys(")]", Kind.CLOSE),
    **dict.fromkeys(",;:", Kind.PUNCTUATION),
    "/": Kind.SLASH,
    "~": Kind.SPACE,
    "|": Kind.OPEN_BAR,
}
ACCENTS = {"bar": "\u0304", "overline": "\u0304", "hat": "\u0302", "widehat": "\u0302", "tilde": "\u0303"}
ACCENTS |= {"widetilde": "\u0303", "dot": "\u0307", "vec": "\u20d7"}
"""Combining characters: they follow the letter that they sit on."""
WORDS = ("mathrm", "operatorname", "text", "textrm", "mathsf", "textit", "mathit", "mathtt", "texttt")
ALPHABETS = ("mathbf", "mathcal", "boldsymbol", "mathbb", "bm")
BLACKBOARD = {"R": "ℝ", "N": "ℕ", "Z": "ℤ", "Q": "ℚ"}
SUPERSCRIPTS = str.maketrans("0123456789+-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻")
SUBSCRIPTS = str.maketrans("0123456789+-", "₀₁₂₃₄₅₆₇₈₉₊₋")
VULGAR_FRACTIONS = {("1", "2"): "½", ("1", "3"): "⅓", ("1", "4"): "¼", ("3", "4"): "¾"}
