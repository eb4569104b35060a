"""Figure files: found by path, loaded, drawn from a run, and saved beside it.

A figure is one Python file with ``TITLE``, ``CAPTION``, ``data(run)`` and ``draw(data, ax)``, both pure. It may also
have ``panels(data)`` (a sequence of parts, each drawn by ``draw(part, ax)`` on axes of its own), ``SIZE`` (width and
height of one panel, inches), ``ORDER`` (its place in the report) and ``describe(data)`` (what it shows, in words, for
those who cannot see it).
"""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import collabtheory
from collabtheory.errors import CollabTheoryError, DataError
from collabtheory.report.style import add_shared_legend, house_style, new_figure, save_figure
from collabtheory.runs.folder import RunFolder, open_run

_REQUIRED = ("TITLE", "CAPTION", "data", "draw")
DEFAULT_SIZE = (6.4, 4.4)


@dataclass(frozen=True)
class DrawnFigure:
    """What became of one figure file: its two images, or the reason why it was skipped."""

    name: str
    title: str
    caption: str
    description: str = ""
    png: Path | None = None
    svg: Path | None = None
    skipped: str = ""


def figures_folder() -> Path:
    """Return where the figure files of this installation lie: a checkout's ``figures``, else the copy in the package.

    Raises
    ------
    DataError
        If neither is there.
    """
    package = Path(collabtheory.__file__).parent
    for folder in (package / "_bundled" / "figures", package.parent / "figures"):
        if any(folder.glob("[!_]*.py")):
            return folder
    raise DataError("this installation has no figure files; name a folder of your own")


def find_figures(folder: Path | str | None = None) -> list[Path]:
    """Return the figure files of a folder (default: :func:`figures_folder`), by name; a leading ``_`` hides one.

    Raises
    ------
    DataError
        If the folder does not exist or holds no figure file.
    """
    place = figures_folder() if folder is None else Path(folder)
    if not place.is_dir():
        raise DataError(f"{place} is not a folder; name the folder of your figure files")
    found = sorted(path for path in place.glob("*.py") if not path.name.startswith("_"))
    if not found:
        raise DataError(f"{place} holds no figure file (*.py)")
    return found


def load_figure(path: Path | str) -> ModuleType:
    """Load one figure file.

    Raises
    ------
    DataError
        If it is missing, cannot be imported, or lacks ``TITLE``, ``CAPTION``, ``data`` or ``draw``.
    """
    path = Path(path)
    unique = hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:12]
    specification = importlib.util.spec_from_file_location(f"collabtheory_figure_{path.stem}_{unique}", path)
    if specification is None or specification.loader is None or not path.is_file():
        raise DataError(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(specification)
    # Dataclasses look their module up by name while they are made.
    sys.modules[module.__name__] = module
    try:
        specification.loader.exec_module(module)
    except (ImportError, SyntaxError) as error:
        del sys.modules[module.__name__]
        raise DataError(f"{path} cannot be imported: {error}") from error
    missing = [name for name in _REQUIRED if not hasattr(module, name)]
    if missing:
        raise DataError(f"{path} is not a figure file: it has no {missing[0]}")
    return module


def write_figures(
    run: RunFolder | Path | str,
    folder: Path | str | None = None,
    progress: Callable[[str], None] | None = None,
) -> list[DrawnFigure]:
    """Draw every figure of a folder from a run, into ``<run>/figures/<name>.png`` and ``.svg``.

    Parameters
    ----------
    run
        The run folder.
    folder
        Where the figure files lie; default :func:`figures_folder`.
    progress
        Called with the title of each figure before it is drawn.

    Returns
    -------
    list of DrawnFigure
        One per file, by ``ORDER`` then name; a figure whose data the run does not have is there with the reason.
    """
    opened = open_run(run)
    modules = [(path, load_figure(path)) for path in find_figures(folder)]
    modules.sort(key=lambda entry: (getattr(entry[1], "ORDER", 1000), entry[0].stem))
    drawn = []
    for path, module in modules:
        if progress is not None:
            progress(module.TITLE)
        drawn.append(_write_one(opened, path.stem, module))
    return drawn


def _write_one(run: RunFolder, name: str, module: ModuleType) -> DrawnFigure:
    png, svg = (run.path / "figures" / f"{name}.{kind}" for kind in ("png", "svg"))
    try:
        data = module.data(run)
    except CollabTheoryError as error:
        # An image of an earlier run must not stand for this one.
        for old in (png, svg):
            old.unlink(missing_ok=True)
        return DrawnFigure(name, module.TITLE, module.CAPTION, skipped=str(error))
    with house_style():
        draw_and_save(module, data, png, svg)
    description = module.describe(data) if hasattr(module, "describe") else module.CAPTION
    return DrawnFigure(name, module.TITLE, module.CAPTION, description, png, svg)


def draw_and_save(module: ModuleType, data: object, png: Path, svg: Path) -> None:
    """Draw one figure module's data on fresh axes, a panel each, and save both images."""
    parts: Sequence[object] = module.panels(data) if hasattr(module, "panels") else (data,)
    figure, axes = new_figure(len(parts), getattr(module, "SIZE", DEFAULT_SIZE))
    for part, ax in zip(parts, axes, strict=True):
        module.draw(part, ax)
    add_shared_legend(figure, axes)
    save_figure(figure, png, svg)
