r"""Mathematics for terminals: TeX between dollar signs becomes Unicode text."""

from __future__ import annotations

import re

# Left as they are by the converter, or spaced badly; written here as people write them in a line of text.
_BEFORE = (
    (r"\\tfrac", r"\\frac"),
    (r"\\(left|right|bigl|bigr|Bigl|Bigr|big|Big)(?=[^a-zA-Z])", ""),
    (r"\\lVert\s*|\\rVert|\\Vert\s*|\\\|", "‖"),
    (r"\\operatorname\{(\w+)\}", r"\\mathrm{\1}"),
    (r"\\[,;:!]", " "),
    (r"\\frac\{([^{}]*)\}\{([^{}]*)\}", r"(\1)/(\2)"),
)
_AFTER = ((r"\((\w|\d+)\)/", r"\1/"), (r"/\((\w|\d+)\)", r"/\1"), (r"[ ]{2,}", " "))
_RELATIONS = re.compile(r"\s*(<=|>=|≤|≥|→|∼|∈|=(?!=))\s*")


def plain(text: str) -> str:
    r"""Return prose with its formulas as Unicode text.

    Examples
    --------
    >>> plain(r"so $\lVert g_u - g_v\rVert \le L\,W_1(q_u,q_v)$.")
    'so ‖g_u - g_v‖ ≤ L W_1(q_u,q_v).'
    """
    return re.sub(r"\$([^$]+)\$", lambda match: _formula(match[1]), text)


def _formula(tex: str) -> str:
    from pylatexenc.latex2text import LatexNodes2Text

    for pattern, replacement in _BEFORE:
        tex = re.sub(pattern, replacement, tex)
    converted: str = LatexNodes2Text(math_mode="text", keep_comments=True).latex_to_text(tex)
    for pattern, replacement in _AFTER:
        converted = re.sub(pattern, replacement, converted)
    return _RELATIONS.sub(r" \1 ", converted).strip()
