"""A directive that runs a command when the pages are built and shows it with its output, which so never goes stale."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

_MAIN = "import sys; from collabtheory.cli import main; sys.argv[0] = 'collabtheory'; main()"
_PLACES: dict[str, tempfile.TemporaryDirectory[str]] = {}


class Command(SphinxDirective):
    """Runs a ``collabtheory`` command line; commands of one page share a folder, with the examples in it."""

    has_content = True

    def run(self) -> list[nodes.Node]:
        """Run the command; one that fails is an error of the page."""
        line = " ".join(self.content)
        name, *arguments = shlex.split(line)
        if name != "collabtheory":
            raise self.error(f"only collabtheory is run here, not {name!r}")
        done = subprocess.run(
            [sys.executable, "-c", _MAIN, *arguments],
            cwd=_place(self.env.docname, Path(self.env.srcdir) / "examples"),
            env={**os.environ, "COLUMNS": "92", "NO_COLOR": "1", "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise self.error(f"{line} ended with {done.returncode}: {done.stderr.strip()}")
        text = f"$ {line}\n{done.stdout.rstrip()}\n"
        return [nodes.literal_block(text, text, language="text", classes=["command"])]


def _place(page: str, examples: Path) -> Path:
    if page not in _PLACES:
        _PLACES[page] = tempfile.TemporaryDirectory(prefix="collabtheory-docs-")
        shutil.copytree(examples, Path(_PLACES[page].name) / "examples", ignore=shutil.ignore_patterns("__pycache__"))
    return Path(_PLACES[page].name)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive."""
    app.add_directive("command", Command)
    return {"parallel_read_safe": False, "parallel_write_safe": True}
