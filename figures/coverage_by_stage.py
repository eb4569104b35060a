"""How many pairs each radius covers as training goes on, next to how many really help."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes

from collabtheory.errors import DataError
from collabtheory.report import style
from collabtheory.report.table import Estimate
from collabtheory.report.verdicts import mean_and_range
from collabtheory.report.words import stage_label, stage_phrase
from collabtheory.runs.folder import Record, RunFolder

TITLE = "How many pairs the radii vouch for"
CAPTION = (
    "Share of ordered pairs of users drawn at random, on a scale that shows both 0 and one pair in a million. "
    "Round marks: pairs in which v's step really helps u. In colour: pairs that have a positive radius, that lie "
    "inside it when its Lipschitz constant is only the largest seen (heuristic), and inside it when the constant "
    "is a certified bound. The gap below the round marks is help that the theorem does not see. Whiskers: range "
    "over the seeds."
)
ORDER = 2
SIZE = (5.5, 4.3)
SUPPORTS = ("theorem_2_3", "aligned_radius")
NEEDS = "collabtheory verify"
STATEMENTS = (
    ("theorem_2_3", "Sharing radius (paper)", style.SHARING),
    ("aligned_radius", "Aligned radius (new)", style.ALIGNED),
)
CURVES = (
    ("share_helping", "v helps u (measured)", "-", "o"),
    ("share_positive_radius", "has a positive radius", ":", "^"),
    ("share_inside_heuristic", "inside, heuristic", "--", "s"),
    ("share_inside", "inside, certified", "-", "D"),
)


@dataclass(frozen=True)
class Family:
    """One radius: its shares by stage, an estimate per curve and stage."""

    title: str
    colour: str
    stages: tuple[str, ...]
    curves: tuple[tuple[Estimate, ...], ...]  # in the order of CURVES
    n_pairs: int
    floor: float  # the smallest power of ten below every positive share of both families


@dataclass(frozen=True)
class CoverageByStage:
    """One family per radius that the run checked."""

    families: tuple[Family, ...]


def data(run: RunFolder) -> CoverageByStage:
    """Return the shares of both radii by stage, mean and range over the seeds, as the records give them.

    Raises DataError if the run checked neither radius.
    """
    made = []
    for statement, title, colour in STATEMENTS:
        records = [record for record in run.claims if record["id"] == statement and record.get("stage")]
        stages = tuple(stage for stage in run.stages if any(record["stage"] == stage for record in records))
        curves = tuple(
            tuple(mean_and_range([one for one in records if one["stage"] == stage], name) for stage in stages)
            for name, *_ in CURVES
        )
        if stages and any(point.value is not None for curve in curves for point in curve):
            made.append((title, colour, stages, curves, _n_pairs(records)))
    if not made:
        raise DataError(f"{run.path} has no shares by stage: neither theorem_2_3 nor aligned_radius was checked")
    floor = _floor([curves for _, _, _, curves, _ in made])
    return CoverageByStage(tuple(Family(*entry, floor) for entry in made))


def panels(data: CoverageByStage) -> tuple[Family, ...]:
    """Return the families, one panel each."""
    return data.families


def describe(data: CoverageByStage) -> str:
    """Return what the figure shows, in words."""
    parts = []
    for family in data.families:
        for (name, label, *_), curve in zip(CURVES, family.curves, strict=True):
            if name in ("share_helping", "share_inside"):
                shares = [
                    f"{point.text('share')} {stage_phrase(at)}" for at, point in zip(family.stages, curve, strict=True)
                ]
                parts.append(f"{family.title}, {label}: {', '.join(shares)}")
    return f"Shares of pairs by stage. {'; '.join(parts)}."


def draw(data: Family, ax: Axes) -> None:
    """Draw one family on ``ax``."""
    positions = np.arange(len(data.stages), dtype=float)
    # Room between one pair in a floor's worth and zero, so that zero is a place of its own.
    ax.set_yscale("symlog", linthresh=data.floor, linscale=0.6)
    ax.axhspan(-0.4 * data.floor, 0.4 * data.floor, color="#eef1f3", lw=0, zorder=0)
    for k, ((name, label, line, marker), curve) in enumerate(zip(CURVES, data.curves, strict=True)):
        colour = style.BLACK if name == "share_helping" else data.colour
        # The certified and the heuristic curve often meet at zero: a small shift keeps both in sight.
        _draw_curve(positions + 0.05 * (k - 1.5), curve, ax, colour, line, marker)
        # One legend serves both panels, so its lines have neither's colour.
        neutral = style.BLACK if name == "share_helping" else style.MUTED
        filled = neutral if line == "-" else "white"
        ax.plot([], [], color=neutral, ls=line, marker=marker, ms=7, mfc=filled, mew=1.6, label=label)
    ax.set_xticks(positions, [stage_label(stage) for stage in data.stages])
    ax.set_xlim(-0.4, len(positions) - 0.6)
    _share_axis(ax, data.floor)
    ax.set_title(f"{data.title}, n = {data.n_pairs:,} pairs a seed" if data.n_pairs else data.title)
    ax.set_ylabel("share of ordered pairs")
    ax.set_xlabel("stage of training")


def _draw_curve(x: np.ndarray, curve: Sequence[Estimate], ax: Axes, colour: str, line: str, marker: str) -> None:
    middle = np.array([math.nan if point.value is None else point.value for point in curve])
    ends = np.array([_ends(point) for point in curve])
    filled = colour if line == "-" else "white"
    ax.plot(x, middle, color=colour, ls=line, marker=marker, ms=7, mfc=filled, mew=1.6, zorder=4)
    ax.vlines(x, ends[:, 0], ends[:, 1], color=colour, lw=1.2, zorder=3)


def _ends(point: Estimate) -> tuple[float, float]:
    if point.value is None or point.low is None or point.high is None:
        return math.nan, math.nan
    return point.low, point.high


def _share_axis(ax: Axes, floor: float) -> None:
    decades = [10.0**k for k in range(round(math.log10(floor)), 1)]
    ax.set_yticks([0.0, *decades], [f"{100 * tick:g} %" for tick in (0.0, *decades)])
    ax.set_yticks([], minor=True)
    ax.set_ylim(-0.4 * floor, 1.6)
    ax.grid(axis="y")


def _n_pairs(records: Sequence[Record]) -> int:
    """Return over how many pairs the shares are: those drawn at random; 0 where no record says."""
    known = [(record.get("numbers") or {}).get("share_helping", {}).get("n") for record in records]
    return max((int(n) for n in known if n is not None), default=0)


def _floor(families: Sequence[Sequence[Sequence[Estimate]]]) -> float:
    points = [point for curves in families for curve in curves for point in curve]
    values = [end for point in points for end in (point.value, point.low) if end is not None and end > 0]
    return 10.0 ** min(math.floor(math.log10(min(values, default=0.01))), -2)
