"""How many cases meet the premise of every statement and of each of its parts: what is true of nobody is vacuous."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes

from collabtheory.errors import DataError
from collabtheory.report import style
from collabtheory.report.formats import share
from collabtheory.report.words import count_words, enumerate_words, stage_label, statement_name
from collabtheory.runs.folder import Record, RunFolder, stage_order

TITLE = "Who the premises are met by"
CAPTION = (
    "Share of cases (pairs, users, draws of masks) of this run's models that meet the premise, on a scale that shows"
    " both 0 and one in a million. Large marks: the statement, at each stage, or at the setting where it says most; "
    "small marks: each of its parts. A statement whose premise nobody meets is vacuous there: not wrong, but empty. "
    "Proofs, exact arithmetic and searches for counterexamples, whose cases are made up, are left out. A share says "
    "nothing of how tight a bound is where it applies."
)
ORDER = 8
SIZE = (7.2, 6.6)
NEEDS = "collabtheory verify"
MADE_UP = ("proof", "search", None)
STAGE_LOOKS = (
    (style.SKY, "o"), (style.ORANGE, "^"), (style.GREEN, "v"), (style.BLUE, "s"), (style.PURPLE, "P"),
    (style.VERMILLION, "X"),
)  # fmt: skip
LAST_LOOKS = {"trained": (style.BLACK, "D"), "ladder": (style.MUTED, "*")}


@dataclass(frozen=True)
class Share:
    """Cases that meet the premise, of those tried; ``part`` is empty for the statement itself."""

    statement: str
    stage: str
    part: str
    met: int
    tried: int

    @property
    def value(self) -> float:
        """Share of cases that meet the premise."""
        return self.met / self.tried


@dataclass(frozen=True)
class PremiseCoverage:
    """Every share, by statement in the order of the run, then by stage."""

    shares: tuple[Share, ...]
    statements: tuple[str, ...]
    stages: tuple[str, ...]


def data(run: RunFolder) -> PremiseCoverage:
    """Return the coverage of every statement and part on the run's models, summed over seeds and repeated checks.

    Raises DataError if nothing was checked on a model.
    """
    counted: dict[tuple[str, str, str], list[int]] = {}
    for record in run.claims:
        if record.get("stage") in MADE_UP or record["kind"] == "empirical" or record.get("stage") == "study":
            continue
        for key, met, tried in _shares(record):
            sums = counted.setdefault(key, [0, 0])
            sums[0] += met
            sums[1] += tried
    shares = [Share(*key, *sums) for key, sums in counted.items() if sums[1] > 0]
    if not shares:
        raise DataError(f"{run.path} has no statement that was checked on a model")
    statements = tuple(dict.fromkeys(one.statement for one in shares))
    stages = tuple(sorted({one.stage for one in shares}, key=_order))
    return PremiseCoverage(tuple(shares), statements, stages)


def describe(data: PremiseCoverage) -> str:
    """Return what the figure shows, in words."""
    whole = [one for one in data.shares if not one.part]
    empty = [f"{statement_name(one.statement)} ({stage_label(one.stage)})" for one in whole if not one.met]
    rare = [
        f"{statement_name(one.statement)} {share(one.value)} ({stage_label(one.stage)})"
        for one in whole
        if 0 < one.value < 0.5
    ]
    parts = [one for one in data.shares if one.part]
    return (
        f"Premises of {count_words(len(data.statements), 'statement')}. "
        f"Met by nobody: {enumerate_words(empty) or 'none'}. "
        f"Met by fewer than half: {enumerate_words(rare) or 'none'}. "
        f"Of {len(parts):,} parts and stages, {sum(not one.met for one in parts):,} are met by nobody and "
        f"{sum(one.met == one.tried for one in parts):,} by all."
    )


def draw(data: PremiseCoverage, ax: Axes) -> None:
    """Draw a row for each statement on ``ax``."""
    floor = _floor(data.shares)
    ax.set_xscale("symlog", linthresh=floor, linscale=0.6)
    ax.axvspan(-0.4 * floor, 0.4 * floor, color=style.HURTS_TINT, lw=0, zorder=0)
    looks = _looks(data.stages)
    for row, statement in enumerate(data.statements):
        if row % 2 == 0:
            ax.axhspan(row - 0.5, row + 0.5, color="#f3f5f6", lw=0, zorder=-1)
        stages = [stage for stage in data.stages if any(_is(one, statement, stage) for one in data.shares)]
        for stage, shift in zip(stages, _shifts(len(stages)), strict=True):
            _draw_row([one for one in data.shares if _is(one, statement, stage)], row + shift, looks[stage], ax)
    for stage in data.stages:
        colour, marker = looks[stage]
        ax.plot([], [], marker=marker, color=colour, ms=8, ls="", label=stage_label(stage))
    ax.plot([], [], marker="o", color=style.MUTED, ms=3.5, ls="", label="one part")
    _axes(data, floor, ax)


def _shares(record: Record) -> list[tuple[tuple[str, str, str], int, int]]:
    where = (str(record["id"]), str(record["stage"]))
    found = [((*where, ""), record["coverage"])]
    found += [((*where, str(part["name"])), part["coverage"]) for part in record.get("parts") or ()]
    return [(key, int(one["met"]), int(one["tried"])) for key, one in found if one]


def _order(stage: str) -> tuple[int, int, str]:
    # A ladder of settings comes after the stages of one training.
    return (4, 0, stage) if stage == "ladder" else stage_order(stage)


def _looks(stages: Sequence[str]) -> dict[str, tuple[str, str]]:
    others = [stage for stage in stages if stage not in LAST_LOOKS]
    found = {stage: STAGE_LOOKS[k % len(STAGE_LOOKS)] for k, stage in enumerate(others)}
    return found | LAST_LOOKS


def _is(one: Share, statement: str, stage: str) -> bool:
    return (one.statement, one.stage) == (statement, stage)


def _shifts(n: int) -> np.ndarray:
    return (np.arange(n) + 0.5) / n * 0.8 - 0.4


def _draw_row(found: Sequence[Share], y: float, look: tuple[str, str], ax: Axes) -> None:
    colour, marker = look
    grow = 1.5 if marker == "*" else 1.0
    for one in found:
        if one.part:
            ax.plot([one.value], [y], marker=marker, color=colour, ms=2.8 * grow, ls="", alpha=0.7, zorder=3)
    for one in found:
        if not one.part:
            ax.plot([one.value], [y], marker=marker, color=colour, ms=6.5 * grow, mec="white", mew=0.5, ls="", zorder=4)


def _axes(data: PremiseCoverage, floor: float, ax: Axes) -> None:
    decades = [10.0**k for k in range(round(math.log10(floor)), 1)]
    if style.panel_width(ax) < 5:
        # Every other one, 100 % among them, and none beside 0.
        decades = [tick for tick in decades[::-2][::-1] if tick > 1.5 * floor]
    ax.set_xticks([0.0, *decades], [f"{100 * tick:g} %" for tick in (0.0, *decades)])
    ax.set_xticks([], minor=True)
    ax.set_xlim(-0.4 * floor, 1.8)
    ax.set_ylim(len(data.statements) - 0.5, -0.5)
    ax.set_yticks(range(len(data.statements)), [statement_name(name) for name in data.statements])
    ax.tick_params(axis="y", length=0, labelcolor=style.INK)
    ax.grid(axis="x")
    most = max(one.tried for one in data.shares)
    ax.set_title(f"Premise met, of up to {most:,} cases")
    ax.set_xlabel("share of cases that meet the premise (0 = vacuous)")


def _floor(shares: Sequence[Share]) -> float:
    least = min((one.value for one in shares if one.met), default=0.01)
    return float(10.0 ** min(math.floor(math.log10(least)), -2))


__all__ = ["CAPTION", "TITLE", "data", "describe", "draw"]
