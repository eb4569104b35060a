"""Figure files: found by path, loaded, drawn from a run for a venue, and saved with a side file.

A figure is one Python file with ``TITLE``, ``CAPTION``, ``data(run)`` and ``draw(data, ax)``, both pure: ``data`` reads
stored results only and raises ``DataError`` where the run has none, ``draw`` draws on the axes it is given. It may have

- ``panels(data)``: a sequence of parts, each drawn by ``draw(part, ax)`` on axes of its own;
- ``describe(data)``: what the figure shows, in words, for those who cannot see it;
- ``SIZE``: width and height of one panel in the report, inches; ``PER_ROW``: the most panels in a row (default 2);
  ``NARROWEST``: inches as drawn below which a panel cannot be read (default 2.9);
- ``ORDER``: its place in the report;
- ``SUPPORTS``: identifiers of the statements it bears on; ``NEEDS``: the command that makes its data.

Sizes. Text, lines and marks are given in points as in the report, no text under ``style.NOTE`` (9). A venue changes the
width of the page on which panels are laid out (``style.panel_width(ax)`` tells a panel's own), and scales the whole
page to its final size: see :mod:`collabtheory.report.venues`. Titles and axis labels break into lines by themselves.
"""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import BrokenExecutor, Future
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import collabtheory
from collabtheory.errors import CollabTheoryError, DataError, InvalidInput, WorkerDied
from collabtheory.report.data_hash import data_fingerprint
from collabtheory.report.figure_layout import draw_pages
from collabtheory.report.figure_side_files import listed_files, make_side_file, write_side_file
from collabtheory.report.image_files import FORMATS, check_formats, save_image
from collabtheory.report.style import house_style
from collabtheory.report.venues import REPORT, Venue
from collabtheory.runs.folder import RunFolder, open_run
from collabtheory.runs.published import note_published

if TYPE_CHECKING:
    from collabtheory.runs.engine import Engine

_REQUIRED = ("TITLE", "CAPTION", "data", "draw")


@dataclass(frozen=True)
class FigureFile:
    """One figure file, loaded."""

    path: Path
    module: ModuleType

    @property
    def name(self) -> str:
        """The file's name without its ending."""
        return self.path.stem


@dataclass(frozen=True)
class DrawnFigure:
    """What became of one figure file: its images, or the reason why it was skipped.

    ``files`` has its images and side file, ``run`` the folder whose data it shows, ``needs`` the command that makes
    data it can be drawn from, ``faults`` what cannot be read at that size.
    """

    name: str
    title: str
    caption: str
    description: str = ""
    png: Path | None = None
    svg: Path | None = None
    skipped: str = ""
    files: tuple[Path, ...] = ()
    run: Path | None = None
    needs: str = ""
    faults: tuple[str, ...] = ()


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


def load_figures(folder: Path | str | None = None, names: Sequence[str] = ()) -> list[FigureFile]:
    """Load the figure files of a folder (default: :func:`figures_folder`), by ``ORDER`` then name.

    Raises
    ------
    DataError
        If the folder or one of its files is no good.
    InvalidInput
        If no file has one of the names; the message tells those there are.
    """
    found = {path.stem: path for path in find_figures(folder)}
    unknown = [name for name in names if name not in found]
    if unknown:
        raise InvalidInput(f"no figure is called {unknown[0]!r}; there are {', '.join(found)}")
    files = [FigureFile(path, load_figure(path)) for name, path in found.items() if not names or name in names]
    return sorted(files, key=lambda file: (getattr(file.module, "ORDER", 1000), file.name))


def write_figures(
    run: RunFolder | Path | str,
    folder: Path | str | None = None,
    progress: Callable[[str], None] | None = None,
    engine: Engine | None = None,
) -> list[DrawnFigure]:
    """Draw every figure of a folder from a run for its report, into ``<run>/figures/<name>.png`` and ``.svg``.

    Parameters
    ----------
    run
        The run folder.
    folder
        Where the figure files lie; default :func:`figures_folder`.
    progress
        Called with the title of each figure before it is drawn.
    engine
        Workers that draw; this process does if None. The files are the same.

    Returns
    -------
    list of DrawnFigure
        One per file, by ``ORDER`` then name; a figure whose data the run does not have is there with the reason.
    """
    opened = open_run(run)
    return draw_figures([opened], load_figures(folder), opened.path / "figures", progress=progress, engine=engine)


def draw_figures(
    runs: Sequence[RunFolder],
    figures: Sequence[FigureFile],
    out: Path,
    venue: Venue = REPORT,
    formats: Sequence[str] = (),
    progress: Callable[[str], None] | None = None,
    engine: Engine | None = None,
) -> list[DrawnFigure]:
    """Draw figures for a venue into a folder, each from the first run that has its data, with a side file.

    Images that an earlier call left for a figure, and that are not written anew, are removed: those that its side file
    lists and, inside of a run folder, those of its name.

    Parameters
    ----------
    runs
        Opened run folders, at least one.
    figures
        See :func:`load_figures`.
    out
        The folder of the images.
    venue
        Where they will be seen.
    formats
        Some of ``png``, ``svg``, ``pdf``; the venue's own if none is given.
    progress
        Called with the title of each figure before it is drawn.
    engine
        Workers that draw, on the file system of this process; this process does if None. The files are the same.

    Raises
    ------
    InvalidInput
        If there is no run, or a format is unknown.
    OutputError
        If a file cannot be written.
    WorkerDied
        If the engine lost a worker.
    """
    if not runs:
        raise InvalidInput("no run is given; name the folder of one")
    check_formats(formats)
    kinds = tuple(dict.fromkeys(formats or venue.formats))
    paths = [run.path.absolute() for run in runs]
    # A figure file may be none that a worker can import, so it is told by its path.
    calls = [(paths, figure.path.absolute(), out.absolute(), venue, kinds) for figure in figures] if engine else []
    futures = [engine.submit(draw_from_files, *call) for call in calls] if engine else []
    drawn = []
    for k, figure in enumerate(figures):
        if progress is not None:
            progress(figure.module.TITLE)
        drawn.append(_outcome(futures[k], figure.name) if futures else _draw_one(runs, figure, out, venue, kinds))
        for path in drawn[-1].files:
            note_published(path)
    return drawn


def draw_from_files(
    runs: Sequence[Path], figure: Path, out: Path, venue: Venue, formats: tuple[str, ...]
) -> DrawnFigure:
    """Draw one figure file from run folders, in whichever process this is called."""
    return _draw_one([open_run(path) for path in runs], FigureFile(figure, load_figure(figure)), out, venue, formats)


def _outcome(future: Future[DrawnFigure], name: str) -> DrawnFigure:
    try:
        return future.result()
    except BrokenExecutor as error:
        raise WorkerDied(f"a worker process died while it drew '{name}' (out of memory?)") from error


def figure_data(runs: Sequence[RunFolder], module: ModuleType) -> tuple[RunFolder, object]:
    """Return the first run that has a figure's data, and the data.

    Raises
    ------
    DataError
        If none has; the message gives the reason of each run.
    """
    reasons = []
    for run in runs:
        try:
            return run, module.data(run)
        except CollabTheoryError as error:
            # Several runs mostly lack data for one reason, which is told once.
            reasons.append(str(error).replace(str(run.path), "a run") if len(runs) > 1 else str(error))
    raise DataError("; ".join(dict.fromkeys(reasons)))


def _draw_one(
    runs: Sequence[RunFolder], figure: FigureFile, out: Path, venue: Venue, formats: tuple[str, ...]
) -> DrawnFigure:
    module, needs = figure.module, getattr(figure.module, "NEEDS", "")
    try:
        run, data = figure_data(runs, module)
    except DataError as error:
        _remove_old(runs, figure.name, out, ())
        return DrawnFigure(figure.name, module.TITLE, module.CAPTION, skipped=str(error), needs=needs)
    with house_style():
        pages = draw_pages(module, data, venue)
        images = {
            kind: tuple(out / f"{figure.name}{_page_mark(k)}.{kind}" for k in range(len(pages))) for kind in formats
        }
        for paths in images.values():
            for page, path in zip(pages, paths, strict=True):
                save_image(page.figure, path, venue)
    written = tuple(path for paths in images.values() for path in paths)
    description = module.describe(data) if hasattr(module, "describe") else module.CAPTION
    _remove_old(runs, figure.name, out, written)
    side = out / f"{figure.name}.json"
    about = make_side_file(figure.path, module, description, run, data_fingerprint(data), venue, written)
    write_side_file(side, about)
    return DrawnFigure(
        figure.name,
        module.TITLE,
        module.CAPTION,
        description,
        images["png"][0] if "png" in images else None,
        images["svg"][0] if "svg" in images else None,
        files=(*written, side),
        run=run.path,
        needs=needs,
        faults=tuple(fault for page in pages for fault in page.faults),
    )


def _page_mark(page: int) -> str:
    """Return what is added to the name of a page: nothing to the first, where there is mostly but one."""
    return f"-{page + 1}" if page else ""


def _remove_old(runs: Sequence[RunFolder], name: str, out: Path, written: Sequence[Path]) -> None:
    """Remove what an earlier call left and this one did not write: it must not stand for this run."""
    side = out / f"{name}.json"
    mine = {side, *(out / file for file in listed_files(side))} if listed_files(side) else set()
    if any(out.resolve().is_relative_to(run.path.resolve()) for run in runs):
        mine |= {out / f"{name}.{kind}" for kind in (*FORMATS, "json")}
    for path in mine.difference(written):
        path.unlink(missing_ok=True)
