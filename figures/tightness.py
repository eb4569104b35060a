"""How tight every inequality is on this run's data: both sides of shown cases, and how far apart they are."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import NullLocator

from collabtheory.errors import DataError
from collabtheory.report import style
from collabtheory.report.formats import number
from collabtheory.report.words import stage_label, statement_name
from collabtheory.runs.folder import RunFolder, stage_order
from collabtheory.runs.portrait_files import bounds

TITLE = "How tight the bounds are"
CAPTION = (
    "Both sides of every inequality that was checked on this run's models, in up to 100 cases each, evenly spaced by"
    " rank of slack. First: left against right side, in the unit of each inequality; on the line it is attained. "
    "Second: left over right side; each mark is the median of one inequality at one stage, its line the range; "
    "hollow at the edge: further below. Cases whose left side is not positive say nothing more than that; they are "
    "counted in the title, not drawn. Left out: rounding errors held against a tolerance, signs held against zero, "
    "and fixed thresholds, which are no bounds."
)
ORDER = 8
SIZE = (5.6, 5.2)
NARROWEST = 3.4
SUPPORTS = (
    "theorem_2_3", "aligned_radius", "assumption_a1", "wasserstein_bracket", "lemma_2_4", "theorem_2_5", "beta_kl",
    "theorem_2_6", "proposition_3_2",
)  # fmt: skip
NEEDS = "collabtheory verify"
ROUNDING = 1e-6
"""Left sides that nowhere exceed this are rounding errors, not quantities."""
SMALLEST = 1e-300
LEAST_RATIO = 1e-7
MOST_TICKS = 7
COLOURS = (style.BLUE, style.VERMILLION, style.GREEN, style.ORANGE, style.PURPLE, style.SKY, style.BLACK)
MARKERS = "osD^vP*X<>hp"
STAGE_MARKERS = "o^sDvP*X"


@dataclass(frozen=True, eq=False)
class Bound:
    """One inequality at one stage: positive sides of its cases, and how many cases there were."""

    statement: str
    part: str
    text: str
    stage: str
    left: np.ndarray
    right: np.ndarray
    n_cases: int

    @property
    def ratio(self) -> np.ndarray:
        """Left over right side, at most 1 where the inequality holds."""
        return np.asarray(self.left / self.right)


@dataclass(frozen=True)
class Sides:
    """Left against right side of all of them."""

    bounds: tuple[Bound, ...]


@dataclass(frozen=True)
class Ratios:
    """Left over right side of all of them, a row for each statement."""

    bounds: tuple[Bound, ...]


@dataclass(frozen=True)
class Tightness:
    """Every inequality that has two positive sides."""

    bounds: tuple[Bound, ...]


def data(run: RunFolder) -> Tightness:
    """Return both sides of every inequality that bounds a quantity; raises DataError if the run has none."""
    frame = bounds(run)
    frame = frame.assign(stage=frame["stage"].fillna("no model"))
    order = list(dict.fromkeys(record["id"] for record in run.claims))
    made = []
    for (statement, part, stage), rows in frame.groupby(["id", "part", "stage"], sort=False):
        found = _bound(str(statement), str(part), str(stage), rows)
        if found is not None:
            made.append(found)
    if not made:
        raise DataError(f"{run.path}: its inequalities have no case with two positive sides")
    known = {name: k for k, name in enumerate(order)}
    made.sort(key=lambda one: (known.get(one.statement, len(known)), one.part, _order(one.stage)))
    return Tightness(tuple(made))


def panels(data: Tightness) -> tuple[Sides, Ratios]:
    """Return both sides, then their ratios."""
    return Sides(data.bounds), Ratios(data.bounds)


def describe(data: Tightness) -> str:
    """Return what the figure shows, in words."""
    said = []
    for statement in _statements(data.bounds):
        medians = [float(np.median(one.ratio)) for one in data.bounds if one.statement == statement]
        ends = number(medians[0]) if len(medians) == 1 else f"{number(min(medians))} to {number(max(medians))}"
        said.append(f"{statement_name(statement)} {ends}")
    return f"Median of left over right side, by inequality and stage: {'; '.join(said)}."


def draw(data: Sides | Ratios, ax: Axes) -> None:
    """Draw one panel on ``ax``."""
    if isinstance(data, Sides):
        _draw_sides(data, ax)
    else:
        _draw_ratios(data, ax)


def _bound(statement: str, part: str, stage: str, rows: pd.DataFrame) -> Bound | None:
    left, right = rows["left"].to_numpy(), rows["right"].to_numpy()
    seen = np.isfinite(left) & np.isfinite(right) & (left > SMALLEST) & (right > SMALLEST)
    if not seen.any() or left[seen].max() <= ROUNDING or (len(rows) > 2 and np.ptp(left) == 0):
        return None
    return Bound(statement, part, str(rows["text"].iloc[0]), stage, left[seen], right[seen], len(rows))


def _order(stage: str) -> tuple[int, int, str]:
    # A ladder of settings comes after the stages of one training.
    return (4, 0, stage) if stage == "ladder" else stage_order(stage)


def _statements(bounds: Sequence[Bound]) -> list[str]:
    return list(dict.fromkeys(one.statement for one in bounds))


def _draw_sides(data: Sides, ax: Axes) -> None:
    ax.set_xscale("log")
    ax.set_yscale("log")
    names = _statements(data.bounds)
    for k, statement in enumerate(names):
        found = [one for one in data.bounds if one.statement == statement]
        look: dict[str, Any] = {"marker": MARKERS[k % len(MARKERS)], "color": COLOURS[k % len(COLOURS)], "linewidth": 0}
        ax.scatter(
            np.concatenate([one.right for one in found]), np.concatenate([one.left for one in found]), s=9, alpha=0.45,
            zorder=3, rasterized=True, **look,
        )  # fmt: skip
        ax.scatter([], [], s=36, label=statement_name(statement), **look)
    low, high = _reach(data.bounds)
    ax.plot([low, high], [low, high], color=style.INK, lw=1.2, zorder=2)
    ax.fill_between([low, high], [low, high], high, color=style.HURTS_TINT, lw=0, zorder=0)
    ax.text(0.03, 0.97, "broken", transform=ax.transAxes, va="top", color="#8a4b12", size=style.NOTE)
    ax.set_xlim(low, high)
    ax.set_ylim(low, high)
    decades = range(math.ceil(math.log10(low)), math.floor(math.log10(high)) + 1)
    ticks = [10.0**k for k in decades if k % max(1, -(-len(decades) // MOST_TICKS)) == 0]
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_ticks(ticks)
        axis.set_minor_locator(NullLocator())
    n, cases = sum(len(one.left) for one in data.bounds), sum(one.n_cases for one in data.bounds)
    brief = style.panel_width(ax) < 4
    ax.set_title(f"{n:,} of {cases:,} cases" if brief else f"Both sides, {n:,} of {cases:,} cases")
    ax.set_xlabel("right side, the bound (its own unit, log scale)")
    ax.set_ylabel("left side (the same unit, log scale)")
    ax.grid()


def _reach(bounds: Sequence[Bound]) -> tuple[float, float]:
    """Return the ends of both axes; outside may be cases far below the line, and one in a thousand at the lower end."""
    near = [one.ratio >= LEAST_RATIO for one in bounds]
    kept = [side[seen] for one, seen in zip(bounds, near, strict=True) for side in (one.left, one.right)]
    sides = np.concatenate(kept)
    return (float(np.quantile(sides, 0.001)) / 2, float(sides.max()) * 2) if len(sides) else (1e-3, 1e3)


def _draw_ratios(data: Ratios, ax: Axes) -> None:
    ax.set_xscale("log")
    names, stages = _statements(data.bounds), sorted({one.stage for one in data.bounds}, key=_order)
    least = 1.0
    for row, statement in enumerate(names):
        found = [one for one in data.bounds if one.statement == statement]
        places = row + (np.arange(len(found)) + 0.5) / len(found) * 0.84 - 0.42
        if row % 2 == 0:
            ax.axhspan(row - 0.5, row + 0.5, color="#f3f5f6", lw=0, zorder=0)
        for y, one in zip(places, found, strict=True):
            ratio, colour = one.ratio, COLOURS[row % len(COLOURS)]
            ends = [max(ratio.min(), LEAST_RATIO / 10), ratio.max()]
            ax.plot(ends, [y, y], color=colour, lw=0.9, alpha=0.6, zorder=2)
            middle, marker = float(np.median(ratio)), STAGE_MARKERS[stages.index(one.stage) % len(STAGE_MARKERS)]
            # A hollow mark at the edge stands for one that lies beyond it.
            filled = colour if middle >= LEAST_RATIO else "white"
            middle = max(middle, 1.3 * LEAST_RATIO)
            ax.plot([middle], [y], marker=marker, ms=4.5, mfc=filled, mec=colour, mew=0.7, ls="", zorder=3)
            least = min(least, middle)
    for stage, marker in zip(stages, STAGE_MARKERS * 4, strict=False):
        ax.plot([], [], marker=marker, ms=6, color=style.MUTED, ls="", label=f"median, {stage_label(stage)}")
    ax.axvline(1.0, color=style.INK, lw=1.2, zorder=1)
    ax.set_xlim(max(10.0 ** math.floor(math.log10(least)), LEAST_RATIO), 2.0)
    ax.set_ylim(len(names) - 0.5, -0.5)
    ax.set_yticks(range(len(names)), [statement_name(name) for name in names])
    ax.tick_params(axis="y", length=0, labelcolor=style.INK)
    ax.grid(axis="x")
    parts = len({(one.statement, one.part) for one in data.bounds})
    ax.set_title(f"How far below, {parts} inequalities")
    ax.set_xlabel("left over right side (1\u00a0=\u00a0attained, log scale)")


__all__ = ["CAPTION", "TITLE", "data", "describe", "draw", "panels"]
