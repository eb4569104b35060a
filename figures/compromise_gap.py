"""What it costs that two users share a place in latent space: overlap times content mismatch, between its bounds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from collabtheory.errors import DataError
from collabtheory.report import style
from collabtheory.report.binning import bin_index, quartiles_by_bin
from collabtheory.report.formats import number
from collabtheory.report.words import stage_phrase
from collabtheory.runs.folder import RunFolder
from collabtheory.runs.portrait_files import compromise

TITLE = "Overlap of different users costs"
CAPTION = (
    "The compromise gap: nats by which the best decoder shared by two users' codes must lose against one for each. "
    "Against the overlap of their posteriors (Bhattacharyya affinity, 1: the same posterior), one panel a "
    "likelihood; colours: pairs by the number of items that one of the two has alone. Lines: bounds from overlap and"
    " numbers of items, median over the pairs there. Against content mismatch: at the stage where posteriors overlap"
    " most, all likelihoods, medians of pairs with about as much mismatch. Last: how training takes overlap away. "
    "The gap is integrated by importance sampling, whose error is smaller than the marks for most pairs, at most 20 "
    "of which are drawn in each part of the axis; it is what any decoder pays, not what this one loses."
)
ORDER = 7
SIZE = (4.6, 3.9)
PER_ROW = 3
NARROWEST = 2.9
SUPPORTS = ("theorem_2_5", "compromise_bracket")
NEEDS = "collabtheory verify"
LIKELIHOODS = (
    ("multinomial", style.BLUE, "o"),
    ("bernoulli", style.VERMILLION, "s"),
    ("gaussian", style.GREEN, "^"),
    ("poisson", style.PURPLE, "D"),
)
TERCILES = (("fewest", "#9ecae1", "o"), ("middle", "#4a90c2", "s"), ("most", "#08306b", "^"))
LINES = ("-", "--", "-.", ":")
N_BINS, N_MISMATCH, FEWEST = 24, 14, 5
SIDES = ("gap", "lower", "upper")
MOST_IN_BIN = 20
"""Pairs drawn of each bin of the overlap, so that the many pairs at one end leave the others in sight."""
LEAST_OVERLAP = 1e-8
"""Overlaps below this are counted, not drawn: nothing is shared there."""


@dataclass(frozen=True, eq=False)
class Overlap:
    """One likelihood: the gap against the overlap, with a class of content mismatch for each pair."""

    likelihood: str
    overlap: np.ndarray
    gap: np.ndarray
    tercile: np.ndarray
    borders: tuple[int, int]
    centres: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    n_pairs: int
    n_apart: int


@dataclass(frozen=True, eq=False)
class Mismatch:
    """All likelihoods at the stage with most overlap: gap against items that one of the two has alone."""

    stage: str
    by_likelihood: dict[str, tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]  # delta, gap, lower, upper
    n_pairs: int
    median_overlap: float


@dataclass(frozen=True, eq=False)
class Training:
    """Overlaps of the same number of pairs at each stage, sorted."""

    by_stage: dict[str, np.ndarray]


@dataclass(frozen=True)
class CompromiseGap:
    """One panel a likelihood, then content mismatch, then training."""

    overlaps: tuple[Overlap, ...]
    mismatch: Mismatch
    training: Training


def data(run: RunFolder) -> CompromiseGap:
    """Return the gaps of real pairs at every stage that was measured; raises DataError if none was."""
    frames = {}
    reason = ""
    for stage in run.stages:
        try:
            frames[stage] = compromise(run, stage)
        except DataError as error:
            reason = reason or str(error)
    if not any(len(frame) for frame in frames.values()):
        raise DataError(reason or f"{run.path} has no stage at which the compromise gap was measured")
    whole = pd.concat(frames.values(), ignore_index=True)
    whole["overlap"] = np.exp(whole["log_overlap"])
    borders = tuple(int(value) for value in np.quantile(whole["delta"], (1 / 3, 2 / 3), method="nearest"))
    found = [name for name, *_ in LIKELIHOODS if (whole["likelihood"] == name).any()]
    medians = {stage: float(np.exp(frame["log_overlap"].median())) for stage, frame in frames.items() if len(frame)}
    fullest = max(medians, key=lambda stage: medians[stage])
    return CompromiseGap(
        tuple(_overlap(whole[whole["likelihood"] == name], name, (borders[0], borders[1])) for name in found),
        _mismatch(frames[fullest], fullest, found, medians[fullest]),
        Training({stage: np.sort(np.exp(_once(frames[stage])["log_overlap"].to_numpy())) for stage in medians}),
    )


def panels(data: CompromiseGap) -> tuple[Overlap | Mismatch | Training, ...]:
    """Return the panels."""
    return (*data.overlaps, data.mismatch, data.training)


def describe(data: CompromiseGap) -> str:
    """Return what the figure shows, in words."""
    medians = ", ".join(
        f"{number(float(np.median(values)))} {stage_phrase(stage)}" for stage, values in data.training.by_stage.items()
    )
    gaps = ", ".join(
        f"{number(float(np.median(gap)))} nats ({name})" if len(gap) else f"undefined ({name})"
        for name, (_, gap, _, _) in data.mismatch.by_likelihood.items()
    )
    return (
        f"Median overlap of two users' posteriors: {medians}. Median compromise gap {stage_phrase(data.mismatch.stage)}"
        f", over {data.mismatch.n_pairs:,} pairs: {gaps}. {data.overlaps[0].n_apart:,} of "
        f"{data.overlaps[0].n_pairs:,} pairs and stages overlap by less than {LEAST_OVERLAP:g} and pay nothing."
    )


def draw(data: Overlap | Mismatch | Training, ax: Axes) -> None:
    """Draw one panel on ``ax``."""
    if isinstance(data, Overlap):
        _draw_overlap(data, ax)
    elif isinstance(data, Mismatch):
        _draw_mismatch(data, ax)
    else:
        _draw_training(data, ax)


def _once(frame: pd.DataFrame) -> pd.DataFrame:
    """Return one row for each pair: the overlap does not depend on the likelihood."""
    return frame[frame["likelihood"] == frame["likelihood"].iloc[0]]


def _overlap(frame: pd.DataFrame, name: str, borders: tuple[int, int]) -> Overlap:
    near = frame[(frame["overlap"] >= LEAST_OVERLAP) & (frame["gap"] > 0)]
    x = near["overlap"].to_numpy()
    which = bin_index(np.log(x), float(np.log(LEAST_OVERLAP)), 0.0, N_BINS)
    centres, lower = quartiles_by_bin(x, near["lower"].to_numpy(), which, N_BINS, FEWEST)
    _, upper = quartiles_by_bin(x, near["upper"].to_numpy(), which, N_BINS, FEWEST)
    shown = near[pd.Series(which).groupby(which).cumcount().to_numpy() < MOST_IN_BIN]
    known = np.isfinite(centres)
    return Overlap(
        name, shown["overlap"].to_numpy(), shown["gap"].to_numpy(),
        np.searchsorted(borders, shown["delta"].to_numpy(), side="left"), borders,
        centres[known], lower[1][known], upper[1][known], len(frame), int((frame["overlap"] < LEAST_OVERLAP).sum()),
    )  # fmt: skip


def _mismatch(frame: pd.DataFrame, stage: str, names: list[str], overlap: float) -> Mismatch:
    made = {}
    top = float(frame["delta"].max())
    for name in names:
        rows = frame[frame["likelihood"] == name]
        delta = rows["delta"].to_numpy(dtype=np.float64)
        which = bin_index(delta, 0.0, top, N_MISMATCH)
        found = [quartiles_by_bin(delta, rows[one].to_numpy(), which, N_MISMATCH, FEWEST) for one in SIDES]
        known = np.isfinite(found[0][0])
        made[name] = (found[0][0][known], *(quartiles[1][known] for _, quartiles in found))
    return Mismatch(stage, made, len(_once(frame)), overlap)


def _draw_overlap(data: Overlap, ax: Axes) -> None:
    ax.set_xscale("log")
    ax.set_yscale("log")
    low, high = data.borders
    words = (f"≤ {low} items", f"{low + 1} to {high} items", f"> {high} items")
    for k, (_, colour, marker) in enumerate(TERCILES):
        here = data.tercile == k
        ax.scatter(
            data.overlap[here], data.gap[here], s=13, color=colour, marker=marker, alpha=0.8, linewidth=0, zorder=3,
            rasterized=True,
        )  # fmt: skip
        ax.scatter([], [], s=34, color=colour, marker=marker, label=f"one alone has {words[k]}")
    ax.plot(data.centres, data.upper, color=style.BLACK, ls="--", lw=1.6, zorder=4, label="upper bound")
    ax.plot(data.centres, data.lower, color=style.BLACK, ls=":", lw=2.0, zorder=4, label="lower bound")
    ax.set_xlim(LEAST_OVERLAP / 2, 2.0)
    ax.set_xticks([1e-8, 1e-6, 1e-4, 1e-2, 1.0])
    seen = np.concatenate([data.gap, data.upper, data.lower])
    seen = seen[seen > 0]
    if len(seen):
        ax.set_ylim(max(float(seen.min()), float(seen.max()) * 1e-13) / 3, float(seen.max()) * 4)
    ax.set_title(f"{data.likelihood.capitalize()}, n\u00a0=\u00a0{data.n_pairs - data.n_apart:,}")
    ax.set_xlabel("overlap of the posteriors (log scale)")
    ax.set_ylabel("gap (nats, log scale)")
    ax.grid(axis="y")


def _draw_mismatch(data: Mismatch, ax: Axes) -> None:
    for (name, colour, marker), line in zip(LIKELIHOODS, LINES, strict=True):
        if name not in data.by_likelihood:
            continue
        delta, gap, lower, upper = data.by_likelihood[name]
        ax.fill_between(delta, lower, upper, color=colour, alpha=0.22, lw=0, zorder=2)
        ax.plot(delta, gap, color=colour, ls=line, lw=1.5, marker=marker, ms=5.5, zorder=3, label=name)
    ax.fill_between([], [], color=style.MUTED, alpha=0.3, lw=0, label="between the bounds")
    right = [float(delta.max()) for delta, *_ in data.by_likelihood.values() if len(delta)]
    top = [float(upper.max()) for *_, upper in data.by_likelihood.values() if len(upper)]
    ax.set_xlim(0, 1.05 * max(right, default=0.0) or 1.0)
    ax.set_ylim(0, 1.06 * max(top, default=0.0) or 1.0)
    ax.set_title(f"{stage_phrase(data.stage).capitalize()}, n\u00a0=\u00a0{data.n_pairs:,} pairs")
    ax.set_xlabel(r"content mismatch $\delta$ (items that one has alone)")
    ax.set_ylabel("median gap (nats)")
    ax.grid(axis="y")


def _draw_training(data: Training, ax: Axes) -> None:
    ax.set_xscale("log")
    least = min(float(values.min()) for values in data.by_stage.values())
    ax.set_xlim(max(least, 1e-16) / 2, 3.0)
    colours = (style.SKY, style.ORANGE, style.GREEN, style.PURPLE, style.BLUE, style.BLACK)
    for k, (stage, values) in enumerate(data.by_stage.items()):
        shares = np.arange(1, len(values) + 1) / len(values)
        # The last stage is the one that counts.
        colour = style.BLACK if k == len(data.by_stage) - 1 else colours[k % 5]
        ax.step(np.maximum(values, 1e-300), shares, where="post", color=colour, ls=LINES[(3 - k) % 4], lw=2.0,
                label=f"overlap {stage_phrase(stage)}")  # fmt: skip
    ax.set_ylim(0, 1.03)
    ax.yaxis.set_major_formatter(lambda value, _: f"{100 * value:g} %")
    n = max(len(values) for values in data.by_stage.values())
    ax.set_title(f"Training takes overlap away, n\u00a0=\u00a0{n:,}")
    ax.set_xlabel("overlap of the posteriors (log scale)")
    ax.set_ylabel("share of pairs with no more")
    ax.grid(axis="y")


__all__ = ["CAPTION", "TITLE", "data", "describe", "draw", "panels"]
