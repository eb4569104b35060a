"""Does influence decay with latent distance? Rank correlations along training."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from collabtheory.errors import DataError
from collabtheory.report import style
from collabtheory.report.words import stage_label, stage_phrase
from collabtheory.runs.folder import RunFolder

TITLE = "Does influence decay with distance?"
CAPTION = (
    "Spearman rank correlation, over ordered pairs of users, of the cosine of their gradients with their W2 "
    "distance. Below zero: the nearer, the more they pull the same way, as the paper says. At zero: distance "
    "tells nothing. The second curve compares only pairs with equal overlap of content (partial rank correlation "
    "given the Jaccard index). Large marks: mean over seeds, whiskers: their range, small marks: each seed. With "
    "one seed the whiskers are that seed's own interval."
)
ORDER = 3
SIZE = (7.0, 4.3)
SUPPORTS = ("theorem_2_3",)
NEEDS = "collabtheory verify"
STATEMENT = "theorem_2_3"
MEASURES = (
    ("spearman_cosine_w2", "all pairs", style.BLUE, "o", -0.07),
    ("partial_spearman_given_jaccard", "at equal content overlap", style.VERMILLION, "s", 0.07),
)


@dataclass(frozen=True)
class DecayWithDistance:
    """Correlations: columns measure, stage, seed, value, low, high, n; NaN where undefined."""

    values: pd.DataFrame
    stages: tuple[str, ...]
    n_seeds: int
    n_pairs: int


def data(run: RunFolder) -> DecayWithDistance:
    """Return both correlations of each stage and seed, as the records of Theorem 2.3 give them.

    Raises DataError if no record has one.
    """
    rows = []
    records = [record for record in run.claims if record["id"] == STATEMENT and record.get("stage")]
    for record in records:
        for measure, *_ in MEASURES:
            entry = (record.get("numbers") or {}).get(measure)
            if entry is not None:
                ends = (entry["value"], entry.get("low"), entry.get("high"))
                rows.append((measure, record["stage"], record.get("seed"), *ends, entry.get("n")))
    if not rows:
        raise DataError(f"{run.path} has no rank correlation by stage: {STATEMENT} was not checked")
    frame = pd.DataFrame(rows, columns=["measure", "stage", "seed", "value", "low", "high", "n"])
    frame = frame.astype({"value": "float64", "low": "float64", "high": "float64", "n": "float64"})
    # Those of few users are wider than a correlation can be.
    frame[["low", "high"]] = frame[["low", "high"]].clip(-1.0, 1.0)
    present = set(frame["stage"])
    stages = tuple(stage for stage in run.stages if stage in present)
    n_pairs = 0 if frame["n"].isna().all() else int(frame["n"].max())
    return DecayWithDistance(frame, stages, int(frame["seed"].nunique()), n_pairs)


def describe(data: DecayWithDistance) -> str:
    """Return what the figure shows, in words."""
    parts = []
    for measure, label, *_ in MEASURES:
        summary = summarise(data, measure)
        said = [
            f"{middle:+.2f} {stage_phrase(stage)}" if np.isfinite(middle) else f"undefined {stage_phrase(stage)}"
            for stage, middle in zip(data.stages, summary["value"], strict=True)
        ]
        parts.append(f"{label}: {', '.join(said)}")
    return f"Rank correlation of influence with distance. {'; '.join(parts)}."


def summarise(data: DecayWithDistance, measure: str) -> pd.DataFrame:
    """Return value, low and high of one measure by stage: mean and range over seeds, or a lone seed's own interval."""
    rows = []
    for stage in data.stages:
        found = data.values[(data.values["measure"] == measure) & (data.values["stage"] == stage)]
        values = found["value"].dropna()
        if len(found) == 1:
            rows.append(tuple(found[["value", "low", "high"]].iloc[0]))
        else:
            rows.append((values.mean(), values.min(), values.max()))
    return pd.DataFrame(rows, columns=["value", "low", "high"], index=list(data.stages))


def draw(data: DecayWithDistance, ax: Axes) -> None:
    """Draw both correlations along training on ``ax``."""
    positions = np.arange(len(data.stages), dtype=float)
    ax.axhline(0, color=style.INK, lw=1.0)
    for measure, label, colour, marker, shift in MEASURES:
        summary = summarise(data, measure)
        x = positions + shift
        ax.plot(x, summary["value"], color=colour, marker=marker, ms=8, label=label, zorder=4)
        ax.vlines(x, summary["low"], summary["high"], color=colour, lw=1.6, zorder=3)
        _draw_seeds(data, measure, ax, colour, shift)
        _mark_undefined(x, summary["value"].to_numpy(), ax, colour)
    seeds = f"{data.n_seeds} seed{'' if data.n_seeds == 1 else 's'}"
    ax.set_title(f"{data.n_pairs:,} ordered pairs a seed, {seeds}" if data.n_pairs else seeds)
    ax.set_xticks(positions, [stage_label(stage) for stage in data.stages])
    ax.set_xlim(-0.5, len(positions) - 0.5)
    _limits(data, ax)
    ax.grid(axis="y")
    ax.set_xlabel("stage of training")
    ax.set_ylabel("rank correlation of cosine with $W_2$")
    ax.text(
        0.99,
        0.985,
        "▲ far pairs pull together more",
        transform=ax.transAxes,
        ha="right",
        va="top",
        color=style.MUTED,
        size=style.NOTE,
    )
    ax.text(
        0.99,
        0.015,
        "▼ near pairs pull together more",
        transform=ax.transAxes,
        ha="right",
        va="bottom",
        color=style.MUTED,
        size=style.NOTE,
    )


def _draw_seeds(data: DecayWithDistance, measure: str, ax: Axes, colour: str, shift: float) -> None:
    if data.n_seeds < 2:
        return
    found = data.values[data.values["measure"] == measure]
    x = found["stage"].map({stage: i for i, stage in enumerate(data.stages)}).to_numpy(dtype=float)
    # Beside the mean, away from the other measure, so that no mark hides another.
    ax.scatter(x + 2.0 * shift, found["value"], s=12, color=colour, alpha=0.55, linewidth=0, zorder=5)


def _mark_undefined(x: np.ndarray, values: np.ndarray, ax: Axes, colour: str) -> None:
    for place in x[~np.isfinite(values)]:
        ax.text(place, 0, "undefined", rotation=90, ha="center", va="bottom", color=colour, size=style.NOTE)


def _limits(data: DecayWithDistance, ax: Axes) -> None:
    ends = data.values[["value", "low", "high"]].to_numpy()
    ends = ends[np.isfinite(ends)]
    reach = max(0.1, float(np.abs(ends).max()) if len(ends) else 0.1)
    low = min(-0.1, float(ends.min())) if len(ends) else -reach
    high = max(0.1, float(ends.max())) if len(ends) else reach
    ax.set_ylim(low - 0.15 * reach, high + 0.15 * reach)
