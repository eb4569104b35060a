"""The house style of figures: colours, sizes of text and lines, a grid of panels, one legend for all of them.

Sizes here are those at which figures are drawn. A venue scales the whole page afterwards
(:mod:`collabtheory.report.venues`), so a figure file writes them as they are, and no text smaller than :data:`NOTE`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from collabtheory.errors import InvalidInput
from collabtheory.report.image_files import save_image
from collabtheory.report.venues import Grid, grid

# Okabe and Ito: told apart by readers with any kind of colour vision.
BLACK, ORANGE, SKY, GREEN = "#000000", "#E69F00", "#56B4E9", "#009E73"
YELLOW, BLUE, VERMILLION, PURPLE = "#F0E442", "#0072B2", "#D55E00", "#CC79A7"
INK, MUTED, HAIR = "#1f2933", "#5b6770", "#d5dade"
HELPS_TINT, HURTS_TINT = "#e8f3fa", "#fdf0e6"

SHARING, ALIGNED = BLUE, VERMILLION

LEGEND_ROOM = 0.97
"""Share of a figure's width that its legend may take."""
NOTE = 9.0
"""Points of the smallest text in a figure; 7 points where a paper scales it down."""

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
    "pdf.fonttype": 42,  # whole outlines: publishers refuse Type 3
}


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
    return figure_of(grid(n_panels, size), n_panels)


def figure_of(layout: Grid, n_panels: int) -> tuple[Figure, list[Axes]]:
    """Return a figure laid out as a grid, and its first ``n_panels`` axes in reading order."""
    size = (layout.panel[0] * layout.columns, layout.panel[1] * layout.rows)
    figure = Figure(figsize=size, layout=ConstrainedLayoutEngine(h_pad=0.09, w_pad=0.07))
    FigureCanvasAgg(figure)
    return figure, [figure.add_subplot(layout.rows, layout.columns, i + 1) for i in range(n_panels)]


def panel_width(ax: Axes) -> float:
    """Return how wide the panel of an axes is, inches as drawn: under 4, a figure file had better use few words.

    Examples
    --------
    >>> panel_width(new_figure(2, (5.5, 4.0))[1][0])
    5.5
    """
    figure = ax.get_figure(root=True)
    spec = ax.get_subplotspec()
    if figure is None or spec is None:
        raise InvalidInput("the axes belong to no panel; give axes that a grid of panels has made")
    return float(figure.get_size_inches()[0]) * len(spec.colspan) / spec.get_gridspec().ncols


def add_shared_legend(figure: Figure, axes: Sequence[Axes]) -> None:
    """Put one legend below the figure: the entries of all panels that have no legend of their own, each once."""
    entries: dict[str, Artist] = {}
    for ax in axes:
        if ax.get_legend() is not None:
            continue
        for handle, label in zip(*ax.get_legend_handles_labels(), strict=True):
            entries.setdefault(label, handle)
    for columns in range(len(entries), 0, -1):
        legend = figure.legend(list(entries.values()), list(entries), loc="outside lower center", ncols=columns)
        if columns == 1 or legend.get_window_extent().width <= LEGEND_ROOM * figure.bbox.width:
            break
        legend.remove()


def save_figure(figure: Figure, png: Path, svg: Path) -> None:
    """Write the figure as PNG (200 dpi) and SVG, atomically and without dates: equal figures give equal bytes.

    Call it inside :func:`house_style`, where the figure was drawn.
    """
    save_image(figure, png)
    save_image(figure, svg)
