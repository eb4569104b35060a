"""The house style of figures, and how one is saved so that equal data give equal files."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from collabtheory.errors import InvalidInput
from collabtheory.runs.files import write_atomically

# Okabe and Ito: told apart by readers with any kind of colour vision.
BLACK, ORANGE, SKY, GREEN = "#000000", "#E69F00", "#56B4E9", "#009E73"
YELLOW, BLUE, VERMILLION, PURPLE = "#F0E442", "#0072B2", "#D55E00", "#CC79A7"
INK, MUTED, HAIR = "#1f2933", "#5b6770", "#d5dade"
HELPS_TINT, HURTS_TINT = "#e8f3fa", "#fdf0e6"

SHARING, ALIGNED = BLUE, VERMILLION

RC: dict[Any, Any] = {
    "font.family": "DejaVu Sans",  # matplotlib brings it, so every machine draws the same
    "font.size": 10.0,
    "axes.titlesize": 11.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 10.0,
    "axes.labelcolor": INK,
    "axes.edgecolor": MUTED,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelsize": 9.0,
    "ytick.labelsize": 9.0,
    "grid.color": HAIR,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "legend.fontsize": 9.0,
    "lines.linewidth": 1.8,
    "figure.facecolor": "white",
    "axes.facecolor": "white",
    "savefig.facecolor": "white",
    "svg.hashsalt": "collabtheory",
    "svg.fonttype": "path",
}
PNG_DPI = 200
SVG_RASTER_DPI = 130  # of dense layers inside an SVG


@contextmanager
def house_style() -> Iterator[None]:
    """Draw in the house style inside the ``with`` block; the user's own matplotlib settings come back after it."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(RC)
        yield


def new_figure(n_panels: int = 1, size: tuple[float, float] = (6.4, 4.4)) -> tuple[Figure, list[Axes]]:
    """Return a figure with a grid of panels, at most two in a row, and its axes in reading order.

    Parameters
    ----------
    n_panels
        How many panels, at least 1.
    size
        Width and height of one panel, inches.

    Examples
    --------
    >>> figure, axes = new_figure(5, (6.0, 4.0))
    >>> len(axes), figure.get_size_inches().tolist()
    (5, [12.0, 12.0])
    """
    if n_panels < 1:
        raise InvalidInput(f"n_panels must be at least 1; it is {n_panels}")
    rows, columns = grid_shape(n_panels)
    figure = Figure(figsize=(size[0] * columns, size[1] * rows), layout=ConstrainedLayoutEngine(h_pad=0.09, w_pad=0.07))
    FigureCanvasAgg(figure)
    axes = [figure.add_subplot(rows, columns, i + 1) for i in range(n_panels)]
    return figure, axes


def grid_shape(n_panels: int) -> tuple[int, int]:
    """Return rows and columns for that many panels.

    Examples
    --------
    >>> [grid_shape(n) for n in (1, 2, 3, 4, 5, 7)]
    [(1, 1), (1, 2), (2, 2), (2, 2), (3, 2), (4, 2)]
    """
    # Three in a row would be too small to read on a page.
    columns = min(n_panels, 2)
    return math.ceil(n_panels / columns), columns


def add_shared_legend(figure: Figure, axes: Sequence[Axes]) -> None:
    """Put one legend below the figure: the entries of all panels that have no legend of their own, each once."""
    entries: dict[str, Artist] = {}
    for ax in axes:
        if ax.get_legend() is not None:
            continue
        for handle, label in zip(*ax.get_legend_handles_labels(), strict=True):
            entries.setdefault(label, handle)
    if entries:
        # Inches that the longest entry takes at the legend's font size, with its handle.
        widest = 0.6 + 0.075 * max(map(len, entries))
        columns = min(len(entries), max(1, int(float(figure.get_size_inches()[0]) / widest)))
        figure.legend(list(entries.values()), list(entries), loc="outside lower center", ncols=columns)


def save_figure(figure: Figure, png: Path, svg: Path) -> None:
    """Write the figure as PNG (200 dpi) and SVG, atomically and without dates: equal figures give equal bytes.

    Call it inside :func:`house_style`, where the figure was drawn.
    """
    write_atomically(
        png,
        lambda path: FigureCanvasAgg(figure).print_figure(
            str(path), dpi=PNG_DPI, format="png", metadata={"Software": None}
        ),
    )
    write_atomically(
        svg,
        lambda path: FigureCanvasSVG(figure).print_figure(
            str(path), dpi=SVG_RASTER_DPI, format="svg", metadata={"Date": None}
        ),
    )
