"""Figures as files: PNG, SVG and PDF, scaled to their venue, whole or absent, and equal bytes for equal figures."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_pdf import FigureCanvasPdf, Op, PdfFile, PdfPages
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from collabtheory.errors import InvalidInput
from collabtheory.report.venues import REPORT, Venue
from collabtheory.runs.files import write_atomically

_SVG_SIZE = re.compile(r'(<svg [^>]*?)width="[0-9.]+pt" height="[0-9.]+pt" viewBox="0 0 ([0-9.]+) ([0-9.]+)"')


def save_image(figure: Figure, path: Path, venue: Venue = REPORT) -> None:
    """Write a figure, in the format of the path's ending, at the venue's size.

    No file holds a date or a random name. Call it inside :func:`~collabtheory.report.style.house_style`, where the
    figure was drawn.

    Raises
    ------
    InvalidInput
        If the format is none of :data:`FORMATS`.
    OutputError
        If the file cannot be written.
    """
    check_formats([path.suffix.removeprefix(".")])
    save = _SAVE[path.suffix.removeprefix(".")]
    write_atomically(path, lambda temporary: save(figure, temporary, venue))


def check_formats(formats: Sequence[str]) -> None:
    """Raise InvalidInput if one of them is none of :data:`FORMATS`; the message names those."""
    for one in formats:
        if one not in FORMATS:
            raise InvalidInput(f"unknown format {one!r}; choose among {', '.join(FORMATS)}")


def _save_png(figure: Figure, path: Path, venue: Venue) -> None:
    FigureCanvasAgg(figure).print_figure(
        str(path),
        dpi=venue.dpi * venue.scale,
        format="png",
        metadata={"Software": None},
        pil_kwargs={"dpi": (venue.dpi, venue.dpi)},
    )


def _save_svg(figure: Figure, path: Path, venue: Venue) -> None:
    text = io.StringIO()
    FigureCanvasSVG(figure).print_figure(
        text, dpi=venue.raster_dpi * venue.scale, format="svg", metadata={"Date": None}
    )
    path.write_text(_SVG_SIZE.sub(lambda found: _scaled_header(found, venue.scale), text.getvalue(), 1), "utf-8")


def _scaled_header(found: re.Match[str], scale: float) -> str:
    width, height = (f"{float(found[k]) * scale:.6g}pt" for k in (2, 3))
    return f'{found[1]}width="{width}" height="{height}" viewBox="0 0 {found[2]} {found[3]}"'


def _save_pdf(figure: Figure, path: Path, venue: Venue) -> None:
    with _ScaledPages(path, venue.scale) as pages:
        FigureCanvasPdf(figure).print_figure(pages, dpi=venue.raster_dpi * venue.scale, format="pdf")


class _ScaledFile(PdfFile):
    """A PDF file whose pages are scaled as a whole."""

    def __init__(self, path: Path, scale: float) -> None:
        super().__init__(path, metadata={"CreationDate": None})  # type: ignore[no-untyped-call]
        self._scale = scale

    def newPage(self, width: float, height: float) -> None:
        super().newPage(width * self._scale, height * self._scale)  # type: ignore[no-untyped-call]
        # What is drawn is measured before it is scaled: by these matplotlib drops lines off the page.
        self.width, self.height = width, height
        self.output(self._scale, 0, 0, self._scale, 0, 0, Op.concat_matrix)  # type: ignore[no-untyped-call]


class _ScaledPages(PdfPages):
    """The door through which matplotlib lets a figure into a file that somebody else opened."""

    def __init__(self, path: Path, scale: float) -> None:
        super().__init__(path)
        self._scale = scale

    def _ensure_file(self) -> PdfFile:
        if self._file is None:
            self._file = _ScaledFile(self._filename, self._scale)
        return self._file


_SAVE: dict[str, Callable[[Figure, Path, Venue], None]] = {"png": _save_png, "svg": _save_svg, "pdf": _save_pdf}
FORMATS = tuple(_SAVE)
