"""Drawing one figure module for a venue: a panel for each part, room for its words, one legend below."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from collabtheory.report import figure_text
from collabtheory.report.style import add_shared_legend, figure_of
from collabtheory.report.venues import MOST_PER_ROW, NARROWEST, SHORTEST, Grid, Venue, grid

DEFAULT_SIZE = (6.4, 4.4)
LEAST_AXES = 0.62
"""Share of a panel's height that its axes keep; a legend or a title that takes more makes the figure higher."""
ROUNDS = 2
"""Words and axes make room for each other; more rounds change nothing that can be seen."""


@dataclass(frozen=True)
class LaidOut:
    """A figure that is ready to be saved, and what cannot be read in it."""

    figure: Figure
    faults: tuple[str, ...]


def draw_pages(module: ModuleType, data: object, venue: Venue) -> tuple[LaidOut, ...]:
    """Draw a figure module's data for a venue, on more pages where its height does not hold all panels.

    Call it inside :func:`~collabtheory.report.style.house_style`.
    """
    parts: Sequence[object] = module.panels(data) if hasattr(module, "panels") else (data,)
    least = (getattr(module, "NARROWEST", NARROWEST), getattr(module, "SHORTEST", SHORTEST))
    size, per_row = getattr(module, "SIZE", DEFAULT_SIZE), getattr(module, "PER_ROW", MOST_PER_ROW)
    page = grid(len(parts), size, venue, per_row, least)
    # As many rows on each page as on the others, if need be.
    rows = math.ceil(math.ceil(len(parts) / page.columns) / math.ceil(len(parts) / page.n_panels))
    most = rows * page.columns
    pages = [parts[first : first + most] for first in range(0, len(parts), most)]
    return tuple(_draw_page(module, held, grid(len(held), size, venue, per_row, least), venue) for held in pages)


def _draw_page(module: ModuleType, parts: Sequence[object], layout: Grid, venue: Venue) -> LaidOut:
    figure, axes = figure_of(layout, len(parts))
    for part, ax in zip(parts, axes, strict=True):
        module.draw(part, ax)
    add_shared_legend(figure, axes)
    figure_text.drop_repeated_labels(axes, layout.columns)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        _make_room(figure, axes, layout, venue)
    said = tuple(dict.fromkeys(str(one.message) for one in caught))
    return LaidOut(figure, (*said, *figure_text.faults(figure, venue.scale)))


def _make_room(figure: Figure, axes: Sequence[Axes], layout: Grid, venue: Venue) -> None:
    """Lay the figure out, once for all formats: break long words, and grow where they or the legend need height."""
    words = [figure_text.long_words(ax) for ax in axes]
    for again in range(ROUNDS):
        # Words first: one that is longer than the page would leave no room for any axes.
        changed = [figure_text.fit_words(ax, written) for ax, written in zip(axes, words, strict=True)]
        if again and not any(changed):
            break
        _lay_out(figure)
        _grow(figure, axes, layout, venue)
    figure.set_layout_engine(None)
    figure.draw_without_rendering()


def _grow(figure: Figure, axes: Sequence[Axes], layout: Grid, venue: Venue) -> None:
    """Make the figure so much higher that its axes have their share, as far as the venue has room."""
    lacking = max(LEAST_AXES * layout.panel[1] - ax.get_window_extent().height / figure.dpi for ax in axes)
    width, height = map(float, figure.get_size_inches())
    higher = min(height + layout.rows * lacking, venue.drawn_height)
    if higher > height:
        figure.set_size_inches(width, higher)
        _lay_out(figure)


def _lay_out(figure: Figure) -> None:
    engine = figure.get_layout_engine()
    if engine is not None:
        engine.execute(figure)
