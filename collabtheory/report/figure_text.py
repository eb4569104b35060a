"""The words of a drawn figure: long titles are broken into lines, and text that nobody could read is reported."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis, Tick
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from collabtheory.report.venues import SMALLEST_TEXT

_UNBROKEN = re.compile(r"\$[^$]*\$|\d [%$]")
_KEPT_SPACE = "\x00"
MOST_LINES = 6
FEWEST_LETTERS = 8
"""A line of fewer letters than this breaks more words than it saves room."""
SLOPE = 30
"""Degrees by which names at an axis are turned where they would run into each other."""
LABEL_ROOM = 1.1
"""Length of an axis label over that of its axis: it may reach a little over the ends."""
MOST_OVERLAP = 0.15
"""Share of the smaller of two texts that may lie under the other: boxes are larger than the letters in them."""
OUTSIDE = 1.0
"""Points that a text may reach over the edge of the page: boxes are larger than the letters in them."""


def drop_repeated_labels(axes: Sequence[Axes], columns: int) -> None:
    """Keep an axis label that all panels of a column (or row) share at its foot (or left) only."""
    for k in range(columns):
        _keep_one([ax.xaxis for ax in axes[k::columns]], last=True)
    for first in range(0, len(axes), columns):
        _keep_one([ax.yaxis for ax in axes[first : first + columns]], last=False)


def _keep_one(axes: Sequence[Axis], *, last: bool) -> None:
    if len({axis.get_label_text() for axis in axes}) == 1:
        for axis in axes[:-1] if last else axes[1:]:
            axis.set_label_text("")


def long_words(axes: Axes) -> dict[Text, str]:
    """Return the title and the axis labels of a panel, as its figure file wrote them."""
    return {text: text.get_text() for text in (*_titles(axes), axes.xaxis.label, axes.yaxis.label)}


def fit_words(axes: Axes, words: Mapping[Text, str]) -> bool:
    """Break title and axis labels that are longer than their axes, and turn names that run into each other.

    ``words`` are those of :func:`long_words`. Returns whether anything is now another than it was.
    """
    before = [text.get_text() for text in words]
    box, page = axes.get_window_extent(), axes.get_figure(root=True).bbox  # type: ignore[union-attr]
    for text, written in words.items():
        if text is axes.yaxis.label:
            room = _room(box.y0, box.y1, page.y0, page.y1)
            _wrap(text, written, room, lambda bounds: bounds.height)
        else:
            room = _room(box.x0, box.x1, page.x0, page.x1) if text is axes.xaxis.label else box.width
            _wrap(text, written, room, lambda bounds: bounds.width)
    return _turn_names(axes) or before != [text.get_text() for text in words]


def faults(figure: Figure, scale: float) -> list[str]:
    """Return what cannot be read in a figure that has been laid out: text too small, cut off, or under other text.

    Parameters
    ----------
    figure
        The figure, as drawn.
    scale
        Final size over drawn size.

    Examples
    --------
    >>> from collabtheory.report.style import new_figure
    >>> figure, (ax,) = new_figure(1)
    >>> _ = ax.text(0.5, 0.5, "tiny", size=6.0)
    >>> figure.draw_without_rendering()
    >>> faults(figure, 1.0)
    ["text 'tiny' has 6 points; 7 are the least"]
    """
    seen = [(text, text.get_window_extent()) for text in drawn_texts(figure)]
    found = []
    for text, _ in seen:
        points = float(text.get_fontsize()) * scale
        if points < SMALLEST_TEXT - 0.01:
            found.append(f"text {_quoted(text)} has {points:.3g} points; {SMALLEST_TEXT:g} are the least")
    page = figure.bbox.padded(OUTSIDE * figure.dpi / 72)
    for text, box in seen:
        if not (page.x0 <= box.x0 and box.x1 <= page.x1 and page.y0 <= box.y0 and box.y1 <= page.y1):
            found.append(f"text {_quoted(text)} reaches over the edge of the figure")
    upright = [(text, box) for text, box in seen if text.get_rotation() % 90 == 0]
    for k, j in _overlapping([box for _, box in upright]):
        found.append(f"text {_quoted(upright[k][0])} and text {_quoted(upright[j][0])} overlap")
    return list(dict.fromkeys(found))


def drawn_texts(figure: Figure) -> list[Text]:
    """Return every text of a figure that is seen: not the labels of ticks outside of their axis."""
    hidden = {id(text) for axes in _all_axes(figure) for axis in _axes_of(axes) for text in _unseen_labels(axis)}
    texts = figure.findobj(lambda artist: isinstance(artist, Text) and id(artist) not in hidden)
    return [text for text in texts if isinstance(text, Text) and text.get_visible() and text.get_text().strip()]


def _all_axes(figure: Figure) -> Iterator[Axes]:
    for axes in figure.findobj(lambda artist: isinstance(artist, Axes)):
        if isinstance(axes, Axes):
            yield axes


def _axes_of(axes: Axes) -> tuple[Axis, Axis]:
    return axes.xaxis, axes.yaxis


def _unseen_labels(axis: Axis) -> Iterator[Text]:
    for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks()):
        if not _is_seen(axis, tick):
            yield from (tick.label1, tick.label2)


def _is_seen(axis: Axis, tick: Tick) -> bool:
    low, high = sorted(axis.get_view_interval())
    # A tick at the very end of an axis is drawn, and its place may be rounded.
    slack = 1e-9 * max(abs(low), abs(high), high - low)
    shown = axis.get_visible() and axis.axes.axison and tick.get_visible()
    return bool(shown and low - slack <= tick.get_loc() <= high + slack)


def _titles(axes: Axes) -> list[Text]:
    told = {axes.get_title(loc=place) for place in ("left", "center", "right")} - {""}
    # matplotlib has no public door to the titles at left and right but this one.
    return [child for child in axes.get_children() if isinstance(child, Text) and child.get_text() in told]


def _room(low: float, high: float, page_low: float, page_high: float) -> float:
    """Return how long a label in the middle of an axis may be: a little longer than the axis, but not off the page."""
    middle = (low + high) / 2
    return min(LABEL_ROOM * (high - low), 2 * (middle - page_low), 2 * (page_high - middle))


def _wrap(text: Text, words: str, room: float, extent: Callable[[Bbox], float]) -> None:
    """Break a text into as few lines as make it fit, at most :data:`MOST_LINES`, of about equal length."""
    text.set_text(words)
    if not words.strip() or room <= 0 or extent(text.get_window_extent()) <= room:
        return
    fitting: list[list[str]] = []
    for width in range(max(map(len, words.split("\n"))), FEWEST_LETTERS, -1):
        lines = wrapped(words, width)
        if len(lines) > (len(fitting[0]) if fitting else MOST_LINES):
            break
        text.set_text("\n".join(lines))
        if extent(text.get_window_extent()) <= room:
            fitting.append(lines)
    # The last of those with fewest lines has the most even ones. What does not fit at all stays as it is and is told.
    text.set_text("\n".join(fitting[-1]) if fitting else words)


def wrapped(words: str, width: int) -> list[str]:
    """Return a text in lines of at most ``width`` letters; formulas and percentages stay whole, breaks where they are.

    Examples
    --------
    >>> wrapped("the distance $W_1 (u, v)$ of users", 14)
    ['the distance', '$W_1 (u, v)$', 'of users']
    """
    held = _UNBROKEN.sub(lambda found: found[0].replace(" ", _KEPT_SPACE), words)
    lines = [
        line for part in held.split("\n") for line in textwrap.wrap(part, max(1, width), break_long_words=False) or [""]
    ]
    return [line.replace(_KEPT_SPACE, " ") for line in lines]


def _turn_names(axes: Axes) -> bool:
    """Turn the names at the x axis if they overlap and are not turned yet; return whether that was so."""
    axes.get_xticklabels()  # brings the ticks up to date
    labels = [tick.label1 for tick in axes.xaxis.get_major_ticks() if _is_seen(axes.xaxis, tick)]
    labels = [text for text in labels if text.get_text().strip()]
    names = [text for text in labels if any(letter.isalpha() for letter in text.get_text().replace("mathdefault", ""))]
    if not names or any(text.get_rotation() for text in names):
        return False
    boxes = [text.get_window_extent() for text in labels]
    if not any(_overlap(*pair) > 0 for pair in pairwise(boxes)):
        return False
    for label in labels:
        label.set(rotation=SLOPE, ha="right", rotation_mode="anchor")
    return True


def _overlapping(boxes: Sequence[Bbox]) -> Iterator[tuple[int, int]]:
    """Yield the pairs of boxes that overlap too much, all of which meet: most of the many pairs do not."""
    x0, y0, x1, y1 = np.array([box.extents for box in boxes]).reshape(-1, 4).T
    meet = (x0[:, None] <= x1) & (x0 <= x1[:, None]) & (y0[:, None] <= y1) & (y0 <= y1[:, None])
    for k, j in np.argwhere(np.triu(meet, 1)).tolist():
        if _overlap(boxes[k], boxes[j]) > MOST_OVERLAP:
            yield k, j


def _overlap(first: Bbox, second: Bbox) -> float:
    common = Bbox.intersection(first, second)
    smaller = min(first.width * first.height, second.width * second.height)
    return 0.0 if common is None or smaller <= 0 else float(common.width * common.height / smaller)


def _quoted(text: Text) -> str:
    words = " ".join(text.get_text().split())
    return repr(words if len(words) <= 40 else f"{words[:37]}...")
