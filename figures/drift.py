"""What masking does to neighbourhoods, and how much of it item alignment takes back: measured, and as bounded."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import NullLocator

from collabtheory.errors import DataError
from collabtheory.report import style
from collabtheory.report.formats import number
from collabtheory.runs.folder import RunFolder
from collabtheory.runs.portrait_files import ladder

TITLE = "Drift of neighbourhoods, and what alignment stabilises"
CAPTION = (
    "Neighbours kept: mean Jaccard overlap of a user's nearest latent neighbours between two draws of masks (1: no "
    "drift), for models that differ in the weight of item alignment alone, and in the keep probability alone; bars: "
    "95 % intervals over users. Proposition 3.2: how much less a code varies over masks, and how much nearer to its "
    "items' centroid it lies, with alignment than without, against tau squared and tau of the quadratic model, the "
    "larger the mark the larger the weight; below the line the bound holds; bars across: middle of the users' "
    "bounds, bars up: intervals over users. Hollow: the variance over masks relative to that between users, which "
    "decides on drift; above 1 masking moves users more. tau uses the largest curvature that was seen, not a "
    "certified one, and each model was trained once."
)
ORDER = 6
SIZE = (4.9, 4.2)
PER_ROW = 3
NARROWEST = 2.6
SUPPORTS = ("theorem_2_6", "proposition_3_2")
NEEDS = "collabtheory verify"
LADDERS = (
    ("alignment", "Weight of alignment", r"$\lambda_A$, weight of item alignment"),
    ("keep", "Keep probability", r"keep probability $\rho$ of training"),
)
KEPT = (
    ("kept", "masked as in training", style.BLUE, "o", "-"),
    ("kept_at_half", r"all masked at $\rho$ = 0.5", style.ORANGE, "s", "--"),
)
RATIOS = (
    ("tau_squared", "variance_ratio", r"variance over masks, bound $\tau^2$", style.BLUE, "o", True),
    ("tau", "distance_ratio", r"distance to the centroid, bound $\tau$", style.VERMILLION, "D", True),
    ("tau_squared", "relative_variance_ratio", "variance relative to that between users", style.BLUE, "o", False),
)


@dataclass(frozen=True, eq=False)
class Kept:
    """Neighbours kept along one ladder: rows ``value``, ``middle``, ``low``, ``high``, ``n`` by quantity."""

    title: str
    setting: str
    rows: dict[str, pd.DataFrame]


@dataclass(frozen=True)
class Ratio:
    """One measured ratio at one weight, beside its bound; each as (value, low, high)."""

    weight: float
    kind: int  # in RATIOS
    bound: tuple[float, float, float]
    measured: tuple[float, float, float]
    n: int | None


@dataclass(frozen=True)
class Stabilisation:
    """Measured ratios beside the bounds of Proposition 3.2."""

    ratios: tuple[Ratio, ...]


@dataclass(frozen=True)
class Drift:
    """The panels that the run has data for."""

    parts: tuple[Kept | Stabilisation, ...]


def data(run: RunFolder) -> Drift:
    """Return neighbours kept along both ladders, and the ratios of Proposition 3.2.

    A run that lacks one of them gets the other panels; raises DataError if it has none.
    """
    parts: list[Kept | Stabilisation] = []
    reasons = []
    for name, title, setting in LADDERS:
        try:
            frame = ladder(run, name)
        except DataError as error:
            reasons.append(str(error))
            continue
        rows = {one: frame[frame["quantity"] == one].sort_values("value") for one, *_ in KEPT}
        rows = {one: found for one, found in rows.items() if len(found)}
        if rows:
            parts.append(Kept(title, setting, rows))
    ratios = _ratios(run)
    if ratios:
        parts.append(Stabilisation(ratios))
    if not parts:
        raise DataError(reasons[0] if reasons else f"{run.path} has neither neighbours kept nor ratios of tau")
    return Drift(tuple(parts))


def panels(data: Drift) -> tuple[Kept | Stabilisation, ...]:
    """Return the panels."""
    return data.parts


def describe(data: Drift) -> str:
    """Return what the figure shows, in words."""
    said = []
    for part in data.parts:
        if isinstance(part, Kept):
            for name, label, *_ in KEPT:
                if name in part.rows:
                    rows = part.rows[name]
                    first, last = rows.iloc[0], rows.iloc[-1]
                    said.append(
                        f"neighbours kept, {label.replace('$', '').replace(chr(92), '')}: {first['middle']:.3f} at "
                        f"{first['value']:g} to {last['middle']:.3f} at {last['value']:g} "
                        f"({part.title.lower()})"
                    )
        else:
            for one in part.ratios:
                name = RATIOS[one.kind][1].replace("_", " ")
                bound = RATIOS[one.kind][0].replace("_", " ")
                said.append(
                    f"at weight {one.weight:g} the {name} is {number(one.measured[0])}, {bound} {number(one.bound[0])}"
                )
    return f"{'; '.join(said)}."


def draw(data: Kept | Stabilisation, ax: Axes) -> None:
    """Draw one panel on ``ax``."""
    if isinstance(data, Kept):
        _draw_kept(data, ax)
    else:
        _draw_ratios(data, ax)


def _ratios(run: RunFolder) -> tuple[Ratio, ...]:
    numbers: dict[str, Any] = {}
    for record in run.claims:
        if record["id"] == "proposition_3_2" and record.get("stage") == "ladder" and not numbers:
            numbers = record.get("numbers") or {}
    weights = sorted({float(found[1]) for name in numbers if (found := re.fullmatch(r"tau_squared_at_(.+)", name))})
    made = []
    for weight in weights:
        for kind, (bound, measured, *_) in enumerate(RATIOS):
            x, y = (numbers.get(f"{name}_at_{weight:g}") for name in (bound, measured))
            if x is not None and y is not None and x["value"] is not None and y["value"] is not None:
                made.append(Ratio(weight, kind, _ends(x), _ends(y), y.get("n")))
    return tuple(made)


def _ends(entry: dict[str, Any]) -> tuple[float, float, float]:
    value = float(entry["value"])
    low, high = (value if entry.get(end) is None else float(entry[end]) for end in ("low", "high"))
    return value, low, high


def _draw_kept(data: Kept, ax: Axes) -> None:
    top, n = 0.0, set()
    logarithmic = "keep" not in data.setting
    if logarithmic:
        _weight_axis(sorted({float(v) for rows in data.rows.values() for v in rows["value"]}), ax)
    for name, label, colour, marker, line in KEPT:
        if name in data.rows:
            rows = data.rows[name]
            shown = rows["value"].to_numpy() + (0.0 if logarithmic or name == "kept" else 0.006)
            ax.vlines(shown, rows["low"], rows["high"], color=colour, lw=1.8, zorder=3)
            ax.plot(
                shown, rows["middle"], color=colour, marker=marker, ls=line, ms=6.5, zorder=4, label=label,
                mfc=colour if line == "-" else "white", mew=1.6,
            )  # fmt: skip
            top = max(top, float(rows["high"].max()))
            n |= {int(count) for count in rows["n"]}
    ax.set_ylim(0, min(1.0, 1.2 * top))
    users = f", n\u00a0=\u00a0{max(n):,} users" if n else ""
    ax.set_title(f"{data.title}{users}")
    ax.set_xlabel(data.setting + (" (log scale, and 0)" if logarithmic else ""))
    ax.set_ylabel("neighbours kept (Jaccard overlap)")
    ax.grid(axis="y")


def _weight_axis(weights: list[float], ax: Axes) -> None:
    positive = [weight for weight in weights if weight > 0]
    if not positive:
        return
    ax.set_xscale("symlog", linthresh=positive[0], linscale=0.4)
    ax.set_xlim(-0.35 * positive[0], positive[-1] * 1.6)
    ax.set_xticks(weights, [f"{weight:g}" for weight in weights])
    ax.xaxis.set_minor_locator(NullLocator())


def _join_weights(data: Stabilisation, ax: Axes) -> None:
    """Join the marks of each ratio in the order of the weights."""
    for kind, (_, _, _, colour, _, _) in enumerate(RATIOS):
        places = np.array([(one.bound[0], one.measured[0]) for one in data.ratios if one.kind == kind])
        if len(places) > 1:
            ax.plot(*places.T, color=colour, lw=0.8, ls=":", zorder=2)


def _draw_ratios(data: Stabilisation, ax: Axes) -> None:
    ends = np.array([end for one in data.ratios for pair in (one.bound, one.measured) for end in pair if end > 0])
    low, high = (float(ends.min()) * 0.6, max(float(ends.max()), 1.0) * 1.8) if len(ends) else (0.1, 1.5)
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.plot([low, high], [low, high], color=style.INK, lw=1.2, label="measured = bound", zorder=1)
    ax.fill_between([low, high], [low, high], high, color=style.HURTS_TINT, lw=0, zorder=0)
    weights = sorted({one.weight for one in data.ratios})
    for one in data.ratios:
        _, _, label, colour, marker, filled = RATIOS[one.kind]
        (x, left, right), (y, down, up) = one.bound, one.measured
        ax.plot([left, right], [y, y], color=colour, lw=1.0, alpha=0.7, zorder=2)
        ax.plot([x, x], [down, up], color=colour, lw=1.8, zorder=2)
        ax.plot(
            [x], [y], marker=marker, ls="", ms=6 + 2.5 * weights.index(one.weight), mec=colour,
            mfc=colour if filled else "white", mew=1.6, zorder=4, label=label,
        )  # fmt: skip
    _join_weights(data, ax)
    ax.set_xlim(low, high)
    ax.set_ylim(low, high)
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_formatter("{x:g}")
        axis.set_minor_formatter("")
    ax.text(0.03, 0.97, "above the bound", transform=ax.transAxes, va="top", color="#8a4b12", size=style.NOTE)
    counts = {one.n for one in data.ratios if one.n}
    users = f", n\u00a0=\u00a0{max(counts):,} users" if counts else ""
    ax.set_title(rf"$\lambda_A$ = {', '.join(f'{weight:g}' for weight in weights)}{users}")
    ax.set_xlabel("bound of the model (log scale)")
    ax.set_ylabel("with / without alignment (log scale)")


__all__ = ["CAPTION", "TITLE", "data", "describe", "draw", "panels"]
