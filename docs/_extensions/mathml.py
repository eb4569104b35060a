"""Formulas as MathML, made when the pages are built: they need no script and no network."""

from __future__ import annotations

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util import logging

from collabtheory.report.mathml import mathml, pieces


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
