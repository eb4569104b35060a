"""A forest plot of paired differences: claims down the page, a mark with its interval for each data set."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from collabtheory.errors import DataError
from collabtheory.report import style
from collabtheory.report.binning import signed_root, signed_square
from collabtheory.report.formats import signed
from collabtheory.report.study_schema import Comparison, Study
from collabtheory.report.study_words import MAIN, claim_key, metric_label

LOOKS = (
    ("o", style.BLUE),
    ("s", style.VERMILLION),
    ("^", style.GREEN),
    ("D", style.PURPLE),
    ("v", style.ORANGE),
    ("P", style.SKY),
)
"""Marker and colour of each data set: told apart without colour, too."""
LABEL_WIDTH = 34
WIDEST_LINEAR = 12.0
"""Beyond this ratio of the largest end to the median difference, a linear axis would hide the small ones."""


@dataclass(frozen=True)
class Point:
    """One paired difference on one data set."""

    data: str
    difference: float
    low: float
    high: float
    n: int | None
    decided: bool


@dataclass(frozen=True)
class Row:
    """One comparison of one claim, with a point for each data set that has it."""

    claim: str
    label: str
    points: tuple[Point, ...]


@dataclass(frozen=True)
class ForestPlot:
    """What is drawn: rows from top to bottom, the data sets in the order of the legend, the metric."""

    rows: tuple[Row, ...]
    data_sets: tuple[str, ...]
    metric: str


def forest(studies: Sequence[Study], metric: str = MAIN) -> ForestPlot:
    """Return the comparisons over all users in one metric, by claim, those of equal methods in one row.

    Raises
    ------
    DataError
        If no study has a comparison with an interval in that metric.
    """
    rows: dict[tuple[str, str], list[Point]] = {}
    for study in studies:
        for one in study.comparisons:
            if one.metric == metric and one.cohort is None and one.difference.low is not None:
                rows.setdefault((one.claim, _label(study, one)), []).append(_point(study, one))
    if not rows:
        raise DataError(f"no study has a comparison in {metric_label(metric)} with an interval")
    ordered = sorted(rows.items(), key=lambda row: claim_key(row[0][0]))
    made = tuple(Row(claim, label, tuple(points)) for (claim, label), points in ordered)
    seen = {point.data for row in made for point in row.points}
    return ForestPlot(made, tuple(study.data.name for study in studies if study.data.name in seen), metric)


def describe(data: ForestPlot) -> str:
    """Return what the plot shows, in words, for those who cannot see it."""
    parts = [
        f"{row.claim}, {row.label}: "
        + ", ".join(
            f"{signed(point.difference)} [{signed(point.low)}, {signed(point.high)}] on {point.data}"
            for point in row.points
        )
        for row in data.rows
    ]
    return f"Paired differences in {metric_label(data.metric)} with intervals. {'; '.join(parts)}."


def write_forest(studies: Sequence[Study], png: Path, svg: Path, metric: str = MAIN) -> ForestPlot:
    """Draw the forest plot of studies into both files, atomically; equal studies give equal bytes."""
    data = forest(studies, metric)
    with style.house_style():
        figure, axes = style.new_figure(1, (8.4, _height(data)))
        draw(data, axes[0])
        style.save_figure(figure, png, svg)
    return data


def draw(data: ForestPlot, ax: Axes) -> None:
    """Draw the plot on ``ax``; a filled mark is a decided claim, a hollow one an inconclusive one."""
    _scale(data, ax)
    ax.axvline(0, color=style.INK, lw=1.0, zorder=2)
    ticks, labels, top = [], [], 0.0
    for k, row in enumerate(data.rows):
        room = max(len(row.points), 1 + _label_text(row).count("\n")) + 0.6
        if k % 2 == 0:
            ax.axhspan(top, top + room, color="#f3f5f6", lw=0, zorder=0)
        first = top + room / 2 - (len(row.points) - 1) / 2
        for i, point in enumerate(row.points):
            _draw_point(point, first + i, LOOKS[data.data_sets.index(point.data) % len(LOOKS)], ax)
        ticks.append(top + room / 2)
        labels.append(_label_text(row))
        top += room
    ax.set_ylim(top, 0)
    ax.set_yticks(ticks, labels)
    ax.tick_params(axis="y", length=0, labelcolor=style.INK)
    ax.spines["left"].set_visible(False)
    ax.grid(axis="x")
    ax.set_title(f"Paired differences in {metric_label(data.metric)}, first minus second")
    _legend(data, ax)


def _draw_point(point: Point, y: float, look: tuple[str, str], ax: Axes) -> None:
    marker, colour = look
    ax.hlines(y, point.low, point.high, color=colour, lw=1.8, zorder=3)
    ax.plot(
        [point.difference], [y], marker=marker, ms=6, mew=1.5, mec=colour, mfc=colour if point.decided else "white",
        ls="", zorder=4,
    )  # fmt: skip
    words = f"n = {point.n:,}" if point.n is not None else "n unknown"
    ax.text(1.01, y, words, transform=ax.get_yaxis_transform(), va="center", size=8.5, color=style.MUTED)


def _scale(data: ForestPlot, ax: Axes) -> None:
    ends = np.array([(point.low, point.high) for row in data.rows for point in row.points])
    middle = np.median([abs(point.difference) for row in data.rows for point in row.points])
    low, high = min(float(ends.min()), 0.0), max(float(ends.max()), 0.0)
    label = "difference, with its interval"
    if np.abs(ends).max() > WIDEST_LINEAR * middle:
        ax.set_xscale("function", functions=(signed_root, signed_square))
        ticks = [sign * value for value in _round_ticks(float(np.abs(ends).max())) for sign in (-1, 1)]
        ax.set_xticks(sorted({0.0, *(tick for tick in ticks if low <= tick <= high)}))
        low, high = (float(signed_square(np.array(signed_root(np.array(end)) * 1.08))) for end in (low, high))
        label = f"{label} (square-root scale)"
    else:
        low, high = low - 0.04 * (high - low), high + 0.04 * (high - low)
    ax.set_xlim(low, high)
    ax.xaxis.set_major_formatter(lambda value, _: f"{value:+g}" if value else "0")
    ax.set_xlabel(label)


def _round_ticks(largest: float) -> list[float]:
    decade = 10.0 ** np.floor(np.log10(largest))
    # Few enough that their labels stay apart on a root scale.
    return [float(f"{value:.1g}") for value in (decade / 5, decade, 5 * decade)]


def _legend(data: ForestPlot, ax: Axes) -> None:
    handles = [
        Line2D([], [], color=colour, marker=marker, ms=6, lw=1.8, label=name)
        for name, (marker, colour) in zip(data.data_sets, LOOKS * (1 + len(data.data_sets) // len(LOOKS)), strict=False)
    ]
    if any(not point.decided for row in data.rows for point in row.points):
        hollow = {"marker": "o", "ms": 6, "mew": 1.6, "mec": style.MUTED, "mfc": "white", "ls": ""}
        handles.append(Line2D([], [], label="hollow: inconclusive", **hollow))  # type: ignore[arg-type]
    figure = ax.get_figure()
    if figure is not None:
        figure.legend(handles=handles, loc="outside lower center", ncols=min(len(handles), 5))


def _point(study: Study, one: Comparison) -> Point:
    low, high = one.difference.low, one.difference.high
    if low is None or high is None:
        raise DataError(f"{study.data.name}: a comparison of {one.claim} has no interval")
    return Point(study.data.name, one.difference.value, low, high, one.difference.n, one.verdict != "inconclusive")


def _label(study: Study, one: Comparison) -> str:
    first, second = (study.titles.get(name, name) for name in (one.first, one.second))
    return f"{first} against {second}"


def _label_text(row: Row) -> str:
    first, _, second = f"{row.claim}  {row.label}".partition(" against ")
    lines = [textwrap.wrap(part, LABEL_WIDTH, break_on_hyphens=False) for part in (first, f"against {second}")]
    return "\n".join(line for part in lines for line in part)


def _height(data: ForestPlot) -> float:
    return 1.5 + 0.26 * sum(max(len(row.points), 1 + _label_text(row).count("\n")) + 0.6 for row in data.rows)
