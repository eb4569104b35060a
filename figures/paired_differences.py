"""Paired differences of the claims about data: which of two models ranks better for the same users."""

from __future__ import annotations

import math
import textwrap
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from matplotlib.axes import Axes

from collabtheory.report import style
from collabtheory.report.forest_plot import Row, forest
from collabtheory.report.forest_plot import describe as describe_forest
from collabtheory.report.run_study import run_study
from collabtheory.report.study_words import CLAIMS, MAIN, metric_label
from collabtheory.runs.folder import RunFolder

TITLE = "Paired differences of the claims about data"
CAPTION = (
    "Every comparison of two models that a claim rests on: mean over the same users of the first minus the second, "
    "with its 95 % interval (the wider ends of those over users and over folds). Filled: decided, after correction "
    "over all claims (Holm). Hollow: inconclusive, the interval or the correction leaves both answers open; that is "
    "no evidence of equal models."
)
ORDER = 9
SIZE = (5.4, 4.3)
NARROWEST = 3.4
SUPPORTS = tuple(CLAIMS)
NEEDS = "collabtheory verify --kind all, or collabtheory compare"
MOST_ROWS = 5
LETTER = 0.073
"""Inches that a letter of a row's words takes."""


@dataclass(frozen=True)
class Forest:
    """Some rows of the plot; the ends of the axis are those of all rows."""

    rows: tuple[Row, ...]
    data: str
    metric: str
    reach: tuple[float, float]


@dataclass(frozen=True)
class PairedDifferences:
    """Panels of at most :data:`MOST_ROWS` rows, in the order of the claims."""

    parts: tuple[Forest, ...]
    words: str


def data(run: RunFolder) -> PairedDifferences:
    """Return every comparison over all users in nDCG@100; raises DataError if the run's study has none."""
    study = run_study(run)
    plot = forest([study], MAIN)
    ends = np.array([(point.low, point.high) for row in plot.rows for point in row.points])
    low, high = min(0.0, float(ends.min())), max(0.0, float(ends.max()))
    reach = (low - 0.05 * (high - low), high + 0.05 * (high - low))
    n_parts = math.ceil(len(plot.rows) / MOST_ROWS)
    cuts = [round(k * len(plot.rows) / n_parts) for k in range(n_parts + 1)]
    parts = tuple(Forest(plot.rows[a:b], study.data.name, MAIN, reach) for a, b in pairwise(cuts))
    return PairedDifferences(parts, describe_forest(plot))


def panels(data: PairedDifferences) -> tuple[Forest, ...]:
    """Return the panels."""
    return data.parts


def describe(data: PairedDifferences) -> str:
    """Return what the figure shows, in words."""
    return data.words


def draw(data: Forest, ax: Axes) -> None:
    """Draw some rows on ``ax``, the words of each above its interval."""
    width = max(20, int((style.panel_width(ax) - 0.55) / LETTER))
    ax.axvline(0, color=style.INK, lw=1.0, zorder=2)
    top = 0.0
    for k, row in enumerate(data.rows):
        lines = textwrap.wrap(_words(row), width, break_on_hyphens=False)
        room = len(lines) + 1.25
        ground = "#f3f5f6" if k % 2 == 0 else "white"
        ax.axhspan(top, top + room, color=ground, lw=0, zorder=0)
        ax.text(
            0.015, top + 0.15, "\n".join(lines), transform=ax.get_yaxis_transform(), va="top", size=style.NOTE,
            linespacing=1.0, zorder=5, bbox={"facecolor": ground, "edgecolor": "none", "pad": 0.6},
        )  # fmt: skip
        for point in row.points:
            label = f"{'first' if point.difference >= 0 else 'second'} ahead, {'' if point.decided else 'in'}"
            label += "decided" if point.decided else "conclusive"
            y = top + len(lines) + 0.65
            colour = style.BLUE if point.difference >= 0 else style.VERMILLION
            marker = "o" if point.difference >= 0 else "s"
            ax.hlines(y, point.low, point.high, color=colour, lw=2.0, zorder=3)
            ax.plot(
                [point.difference], [y], marker=marker, ms=6.5, mew=1.5, mec=colour, ls="", zorder=4,
                mfc=colour if point.decided else "white", label=label,
            )  # fmt: skip
        top += room
    ax.set_xlim(*data.reach)
    ax.set_ylim(top, 0)
    ax.set_yticks([])
    ax.spines["left"].set_visible(False)
    ax.grid(axis="x")
    ax.xaxis.set_major_formatter(lambda value, _: f"{value:+g}" if value else "0")
    ax.set_title(f"{data.data}, {data.rows[0].claim} to {data.rows[-1].claim}, {_counts(data)}")
    ax.set_xlabel(f"paired difference in {metric_label(data.metric)}, 95 % interval")


def _words(row: Row) -> str:
    first, _, second = row.label.partition(" against ")
    return f"{row.claim}  {first} − {second}"


def _counts(data: Forest) -> str:
    known = {point.n for row in data.rows for point in row.points if point.n is not None}
    if not known:
        return "n unknown"
    return f"n = {max(known):,}" if len(known) == 1 else f"n = {min(known):,} to {max(known):,}"


__all__ = ["CAPTION", "TITLE", "data", "describe", "draw", "panels"]
