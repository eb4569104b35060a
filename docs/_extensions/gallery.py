"""A directive that shows the figures of a folder with what their side files say: ``gallery FOLDER``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

KINDS = (".svg", ".png")


class Gallery(SphinxDirective):
    """Shows every figure of a folder, a section each: those that are listed first, the rest by name."""

    required_arguments = 1
    has_content = True

    def run(self) -> list[nodes.Node]:
        """Make the sections; an image without side file, or the reverse, is an error of the page."""
        folder = Path(self.env.srcdir) / self.arguments[0]
        sides = {path.stem: path for path in folder.glob("*.json")}
        images = {path.stem: path for path in folder.iterdir() if path.suffix in KINDS}
        if sides.keys() != images.keys():
            raise self.error(f"{folder}: no image or no side file of {', '.join(sorted(sides.keys() ^ images.keys()))}")
        names = [line.strip() for line in self.content if line.strip()]
        unknown = set(names) - sides.keys()
        if unknown:
            raise self.error(f"{folder}: no figure {', '.join(sorted(unknown))}")
        found = []
        for name in dict.fromkeys([*names, *sorted(sides)]):
            self.env.note_dependency(str(sides[name]))
            about = json.loads(sides[name].read_text("utf-8"))
            found.append(_section(name, about, f"/{self.arguments[0]}/{images[name].name}"))
        return found


def _section(name: str, about: dict[str, Any], image: str) -> nodes.section:
    made = nodes.section("", nodes.title("", about["title"]), ids=[nodes.make_id(f"figure-{name}")])
    made += nodes.image("", uri=image, alt=about["description"])
    made += nodes.paragraph("", about["caption"], classes=["how"])
    run = about["run"]
    source = (
        f"{run['data']}, profile {run['profile']}, " if run.get("profile") else f"{run.get('data', run['folder'])}, "
    )
    supports = f"; bears on {', '.join(about['supports'])}" if about.get("supports") else ""
    made += nodes.paragraph("", f"{source}data {about['data_sha256'][:12]}{supports}.", classes=["how"])
    return made


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive."""
    app.add_directive("gallery", Gallery)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
