"""Venues: where a figure will be seen, hence how wide it is, how large its words are, and how its panels are laid out.

One rule serves all of them. A figure is drawn in the house style, at the size of the report, on a page of
``width / scale`` inches; then the whole page is scaled to ``width``. So the words of a figure keep their proportions to
its lines and marks everywhere, and a figure file knows one set of sizes only: text of 9 points (``style.NOTE``) or more
is at least 7 points at every venue.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from collabtheory.errors import InvalidInput

SMALLEST_TEXT = 7.0
"""Points at the final size, below which print cannot be read with ease."""
PAPER_SCALE = 7.0 / 9.0
MOST_PER_ROW = 2
"""Panels in a row unless the figure file says otherwise: three would be too small to read on a page."""
NARROWEST = 2.9
"""Inches, as drawn, that a panel needs for its words unless the figure file says otherwise (2.3 inches in a paper)."""
SHORTEST = 2.2
"""Inches, as drawn, that a panel needs in height unless the figure file says otherwise."""


@dataclass(frozen=True)
class Venue:
    """One place where figures are seen.

    Attributes
    ----------
    name, title
        What it is called on the command line, and in words.
    width
        Inches of the whole figure; ``None``: as wide as its panels are.
    height
        The most inches; ``None``: any.
    scale
        Final size over the size at which figures are drawn: that of text, lines and marks.
    dpi, raster_dpi
        Dots per inch at the final size: of PNG, and of dense layers inside SVG and PDF.
    formats
        Those that are written if none is asked for.

    Examples
    --------
    >>> venue = get_venue("icml-column")
    >>> venue.width, round(venue.drawn_width, 2), round(9 * venue.scale, 2)
    (3.25, 4.18, 7.0)
    """

    name: str
    title: str
    width: float | None
    height: float | None
    scale: float
    dpi: int
    raster_dpi: int
    formats: tuple[str, ...] = ("pdf", "png")

    @property
    def drawn_width(self) -> float | None:
        """Inches of the page on which a figure is drawn before it is scaled; ``None``: its panels decide."""
        return None if self.width is None else self.width / self.scale

    @property
    def drawn_height(self) -> float:
        """The most inches of that page in height; infinite where there is no limit."""
        return math.inf if self.height is None else self.height / self.scale


REPORT = Venue("report", "the report of a run", None, None, 1.0, 200, 130, ("png", "svg"))
VENUES: dict[str, Venue] = {
    venue.name: venue
    for venue in (
        REPORT,
        Venue("iclr-full", "ICLR, the width of the text", 5.5, 8.4, PAPER_SCALE, 300, 300),
        Venue("iclr-half", "ICLR, half of the text's width", 2.7, 8.4, PAPER_SCALE, 300, 300),
        Venue("icml-column", "ICML, one of two columns", 3.25, 8.4, PAPER_SCALE, 300, 300),
        Venue("slides", "slides of 10 by 5.6 inches", 10.0, 5.6, 1.25, 200, 200, ("png", "svg")),
        Venue("poster", "a poster, 24 inches wide", 24.0, 30.0, 3.0, 100, 100),
    )
}


@dataclass(frozen=True)
class Grid:
    """How panels are laid out: rows and columns, and width and height of one panel in inches as drawn."""

    rows: int
    columns: int
    panel: tuple[float, float]

    @property
    def n_panels(self) -> int:
        """How many panels it holds."""
        return self.rows * self.columns


def get_venue(name: str) -> Venue:
    """Return the venue of that name.

    Raises
    ------
    InvalidInput
        If there is none; the message names those there are.
    """
    if name not in VENUES:
        raise InvalidInput(f"unknown venue {name!r}; choose one of {', '.join(VENUES)}")
    return VENUES[name]


def grid(
    n_panels: int,
    size: tuple[float, float],
    venue: Venue = REPORT,
    most_per_row: int = MOST_PER_ROW,
    least: tuple[float, float] = (NARROWEST, SHORTEST),
) -> Grid:
    """Return the layout of panels at a venue: as many in a row as may be and can be read, rows as even as can be.

    Parameters
    ----------
    n_panels
        How many panels, at least 1.
    size
        Width and height of one panel in the report, inches; elsewhere their ratio counts.
    venue
        Where the figure will be seen.
    most_per_row
        The most panels in a row, at least 1.
    least
        Inches, as drawn, below which a panel cannot be read: width and height. Where the height of a venue allows
        fewer rows than there are panels for, the grid is that of one page: it holds as many as can be read.

    Raises
    ------
    InvalidInput
        If a number is less than 1 or a length is not positive.

    Examples
    --------
    >>> grid(4, (5.5, 4.4), get_venue("iclr-half"))
    Grid(rows=4, columns=1, panel=(3.4714285714285715, 2.7))
    >>> grid(4, (5.5, 4.4)).panel
    (5.5, 4.4)
    >>> grid(6, (5.0, 3.0), get_venue("slides"), least=(3.0, 2.5)).n_panels
    2
    """
    if n_panels < 1 or most_per_row < 1:
        raise InvalidInput(f"n_panels and most_per_row must be at least 1; they are {n_panels} and {most_per_row}")
    if min(*size, *least) <= 0:
        raise InvalidInput(f"sizes of panels must be positive; they are {size}, at least {least}")
    width = venue.drawn_width
    fitting = most_per_row if width is None else max(1, min(most_per_row, int(width / least[0])))
    shortest = min(size[1], least[1])
    most_rows = n_panels if venue.height is None else max(1, int(venue.drawn_height / shortest))
    rows = min(math.ceil(n_panels / fitting), most_rows)
    columns = min(fitting, math.ceil(n_panels / rows))
    if width is None:
        return Grid(rows, columns, size)
    across = width / columns
    down = max(across * size[1] / size[0], shortest)
    return Grid(rows, columns, (across, min(down, venue.drawn_height / rows)))
