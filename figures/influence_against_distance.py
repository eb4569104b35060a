"""Measured influence of one user's step on another, against the distance of their posteriors, with both radii."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import cycle
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, LogNorm
from matplotlib.patheffects import withStroke

from collabtheory.errors import DataError
from collabtheory.report import style
from collabtheory.report.binning import bin_index, count_cells, quartiles_by_bin, signed_root, signed_square
from collabtheory.report.formats import share
from collabtheory.report.words import stage_phrase
from collabtheory.runs.folder import RunFolder

TITLE = "Who helps whom, and does the sharing radius say so?"
CAPTION = (
    "The cloud is all ordered pairs of users (stronger shade: more pairs, log scale). Across: how far apart the "
    "two posteriors lie. Up: what one training step on user v does to the loss of user u, divided by the learning "
    "rate and by both gradient norms, so that -1 is the most that a small step could help, 0 is no effect, and "
    "everything below the zero line helps; the scale is a square root, so that small effects show. Line: median "
    "at that distance, with the middle half of the pairs shaded. Dots and rings: pairs inside a certified radius; "
    "each must lie below zero. Yellow marks: medians of the relations planted in the data, where there are any. "
    "Bars at the foot: how far the radii reach (5 to 95 % of the pairs that have one, tick at the median). Pairs "
    "beyond an axis are drawn at its edge; users with equal contents are left out. A theorem says something only "
    "where its bar reaches the cloud. Shares are over pairs of users drawn at random; 'near' counts pairs added "
    "to the table because their inputs are alike."
)
ORDER = 1
SIZE = (5.5, 4.7)
SHORTEST = 3.2
SUPPORTS = ("theorem_2_3", "aligned_radius")
NEEDS = "collabtheory verify"
COLUMNS = (
    "relation",
    "sampling",
    "input_distance",
    "transport_cost",
    "loss_change",
    "learning_rate",
    "gradient_norm_u",
    "gradient_norm_v",
    "sharing_radius",
    "aligned_radius",
)
RADII = ("sharing_radius", "aligned_radius")
N_X, N_Y, N_MEDIAN = 96, 84, 14
MOST_DOTS = 250
FEWEST_PAIRS = 20  # below this a median says too little to be drawn
TICKS = (-1.0, -0.5, -0.2, -0.05, 0.0, 0.05, 0.2, 0.5, 1.0)
FEW_TICKS = (-1.0, -0.2, 0.0, 0.2, 1.0)
NARROW = 4.2  # inches of a panel below which its words are cut short
ABOVE: dict[str, Any] = {"zorder": 8, "path_effects": [withStroke(linewidth=2, foreground="white")]}
FOOT = 0.25  # share of the panel's height that shows the reach of the radii


@dataclass(frozen=True)
class Radius:
    """One certified radius at one stage: the share of drawn pairs that have one, who is inside, how far it reaches."""

    share_positive: float
    n_inside: int
    n_inside_near: int
    reach: tuple[float, float, float] | None  # 5 %, 50 %, 95 % of the positive radii, latent units
    inside_x: np.ndarray
    inside_y: np.ndarray


@dataclass(frozen=True)
class Panel:
    """All pairs of one stage, binned; shares are over the ``n_drawn`` pairs of users drawn at random."""

    stage: str
    n_pairs: int
    n_drawn: int
    n_undefined: int
    n_beyond: int
    share_helping: float
    x_edges: np.ndarray
    y_edges: np.ndarray
    density: np.ndarray
    centres: np.ndarray
    quartiles: np.ndarray  # (3, bins): 25, 50, 75 %
    relations: tuple[tuple[str, float, float, int], ...]
    sharing: Radius
    aligned: Radius


@dataclass(frozen=True)
class InfluenceAgainstDistance:
    """One panel per stage, on common axes."""

    panels: tuple[Panel, ...]
    n_seeds: int


def data(run: RunFolder) -> InfluenceAgainstDistance:
    """Return the binned pairs of every stage, all seeds together.

    Pairs without a gradient (a norm of zero) have no relative loss change; they are counted, not drawn.
    Raises DataError if the run has no pair tables.
    """
    tables = {}
    for stage in run.stages:
        if any(run.pairs_path(seed, stage).is_file() for seed in run.seeds):
            pairs = run.pairs(stage=stage, columns=COLUMNS)
            # Users with equal contents have equal gradients; they would sit inside any radius.
            tables[stage] = pairs[pairs["input_distance"] > 0]
    tables = {stage: _with_axes(frame) for stage, frame in tables.items() if len(frame)}
    if not tables:
        raise DataError(f"{run.path} has no pair table with rows; run `collabtheory pairs` first")
    x_limits = _x_limits(list(tables.values()))
    y_limits = _y_limits(list(tables.values()))
    panels = tuple(_panel(stage, frame, x_limits, y_limits) for stage, frame in tables.items())
    return InfluenceAgainstDistance(panels, len(run.seeds))


def panels(data: InfluenceAgainstDistance) -> tuple[Panel, ...]:
    """Return the panels, one per stage."""
    return data.panels


def describe(data: InfluenceAgainstDistance) -> str:
    """Return what the figure shows, in words."""
    parts = [
        f"{stage_phrase(panel.stage)} {share(panel.share_helping)} of {panel.n_drawn:,} pairs help, "
        f"{panel.sharing.n_inside:,} lie inside the sharing radius "
        f"and {panel.aligned.n_inside:,} inside the aligned radius"
        for panel in data.panels
    ]
    return f"Loss change against Wasserstein distance. {'; '.join(parts)}."


def draw(data: Panel, ax: Axes) -> None:
    """Draw one stage on ``ax``."""
    low, high = float(data.y_edges[0]), float(data.y_edges[-1])
    ax.set_xscale("log")
    ax.set_xlim(data.x_edges[0], data.x_edges[-1])
    ax.set_yscale("function", functions=(signed_root, signed_square))
    bottom, top = signed_root(np.array([low, high]))
    ax.set_ylim(float(signed_square(bottom - (top - bottom) * FOOT / (1 - FOOT))), high)
    ax.axhspan(low, 0, color=style.HELPS_TINT, lw=0, zorder=0)
    ax.axhspan(0, high, color=style.HURTS_TINT, lw=0, zorder=0)
    _draw_cloud(data, ax)
    ax.axhline(0, color=style.INK, lw=1.0, zorder=3)
    _draw_median(data, ax)
    # Rings around dots, so that a pair inside both shows both.
    dot: dict[str, Any] = {"marker": "o", "color": style.SHARING, "edgecolor": "white", "linewidth": 0.3}
    ring: dict[str, Any] = {"marker": "D", "facecolor": "none", "edgecolor": style.ALIGNED, "linewidth": 0.9}
    _draw_inside(data.aligned, ax, ring, "inside the aligned radius (new)", 14)
    _draw_inside(data.sharing, ax, dot, "inside the sharing radius (paper)", 9)
    _draw_relations(data, ax)
    _draw_foot(data, ax, low)
    for y, words, place, colour in (
        (0.985, "▲ v's step hurts u", "top", "#8a3c00"),
        (FOOT + 0.015, "▼ v's step helps u", "bottom", "#00527f"),
    ):
        ax.text(0.015, y, words, transform=ax.transAxes, va=place, color=colour, size=style.NOTE, **ABOVE)
    phrase = stage_phrase(data.stage)
    title = f"{phrase[0].upper()}{phrase[1:]}: v helps u in {share(data.share_helping)} of {data.n_drawn:,} pairs"
    ax.set_title(title, size=10.5)
    narrow = style.panel_width(ax) < NARROW
    ax.set_yticks([tick for tick in (FEW_TICKS if narrow else TICKS) if low <= tick <= high], minor=False)
    ax.yaxis.set_major_formatter("{x:g}")
    ax.set_ylabel("relative loss change of u\n(square-root scale)")
    ax.yaxis.set_label_coords(-0.66 / style.panel_width(ax), FOOT + (1 - FOOT) / 2)
    ax.set_xlabel("Wasserstein distance $W_1$ between u and v (latent units, log scale)")


def _with_axes(frame: pd.DataFrame) -> pd.DataFrame:
    scale = (
        frame["learning_rate"].to_numpy() * frame["gradient_norm_u"].to_numpy() * frame["gradient_norm_v"].to_numpy()
    )
    change = frame["loss_change"].to_numpy()
    relative = np.divide(change, scale, out=np.full(len(frame), np.nan), where=scale > 0)
    return frame.assign(x=frame["transport_cost"].to_numpy(), y=relative)


def _x_limits(frames: list[pd.DataFrame]) -> tuple[float, float]:
    """Show every distance up to the largest, and the radii, but never more than five decades."""
    positive = [frame["x"].to_numpy()[frame["x"].to_numpy() > 0] for frame in frames]
    high = max((float(values.max()) for values in positive if len(values)), default=1.0)
    lows = [float(np.quantile(values, 0.001)) for values in positive if len(values)]
    for frame in frames:
        for name in RADII:
            radii = frame[name].to_numpy()
            if (radii > 0).any():
                lows.append(float(np.quantile(radii[radii > 0], 0.05)))
    return max(min(lows, default=high / 10) * 0.8, high * 1e-5), high * 1.15


def _y_limits(frames: list[pd.DataFrame]) -> tuple[float, float]:
    """Leave at most one pair in 500 outside on either side, and none that is inside a radius."""
    lows, highs = [-0.01], [0.01]
    for frame in frames:
        y = frame["y"].to_numpy()
        inside = (frame["x"] < frame[list(RADII)].max(axis=1)).to_numpy() & np.isfinite(y)
        y, inner = y[np.isfinite(y)], y[inside]
        if len(y):
            low, high = np.quantile(y, (0.002, 0.998))
            lows.append(float(low) * 1.1)
            highs.append(float(high) * 1.1)
        if len(inner):
            lows.append(float(inner.min()) * 1.08)
            highs.append(float(inner.max()) * 1.08)
    low, high = min(lows), max(highs)
    # Room for the words on either side of zero, even where nobody helps or nobody hurts.
    return min(low, -0.06 * high), max(high, -0.06 * low)


def _panel(stage: str, frame: pd.DataFrame, x_limits: tuple[float, float], y_limits: tuple[float, float]) -> Panel:
    x, y = frame["x"].to_numpy(), frame["y"].to_numpy()
    drawn, shown = _drawn(frame), np.isfinite(y) & np.isfinite(x)
    shown_x, shown_y = np.clip(x[shown], *x_limits), y[shown]
    left, right = np.log(x_limits)
    low, high = signed_root(np.array(y_limits))
    across = bin_index(np.log(shown_x), left, right, N_X)
    up = bin_index(signed_root(shown_y), low, high, N_Y)
    which = bin_index(np.log(shown_x), left, right, N_MEDIAN)
    centres, quartiles = quartiles_by_bin(shown_x, shown_y, which, N_MEDIAN, FEWEST_PAIRS)
    return Panel(
        stage=stage,
        n_pairs=len(frame),
        n_drawn=int(drawn.sum()),
        n_undefined=int((~shown).sum()),
        n_beyond=int(((shown_y < y_limits[0]) | (shown_y > y_limits[1])).sum()),
        share_helping=float((frame["loss_change"] < 0)[drawn].mean()),
        x_edges=np.geomspace(*x_limits, N_X + 1),
        y_edges=signed_square(np.linspace(low, high, N_Y + 1)),
        density=count_cells(across, up, (N_X, N_Y)),
        centres=centres,
        quartiles=quartiles,
        relations=_relations(frame[shown]),
        sharing=_radius(frame, "sharing_radius", drawn, x_limits),
        aligned=_radius(frame, "aligned_radius", drawn, x_limits),
    )


def _relations(frame: pd.DataFrame) -> tuple[tuple[str, float, float, int], ...]:
    """Return name, median distance, median change and number of pairs of each planted relation."""
    rows = []
    for name, group in frame.groupby("relation", observed=True, sort=True):
        if name and len(group) >= 5:
            rows.append((str(name), float(group["x"].median()), float(group["y"].median()), len(group)))
    return tuple(sorted(rows, key=lambda row: row[1]))


def _drawn(frame: pd.DataFrame) -> np.ndarray:
    """Return which pairs stand for all pairs: not those added as near, unless there is nothing else."""
    near = (frame["sampling"] == "nearest").to_numpy()
    return ~near if not near.all() else np.ones(len(frame), dtype=bool)


def _radius(frame: pd.DataFrame, name: str, drawn: np.ndarray, x_limits: tuple[float, float]) -> Radius:
    radii = frame[name].to_numpy()
    positive = radii[radii > 0]
    inside = (frame["x"] < frame[name]).to_numpy()
    dots = np.flatnonzero(inside & np.isfinite(frame["y"].to_numpy()))
    dots = dots[:: max(1, -(-len(dots) // MOST_DOTS))]
    reach = tuple(float(value) for value in np.quantile(positive, (0.05, 0.5, 0.95))) if len(positive) else None
    return Radius(
        share_positive=float((radii[drawn] > 0).mean()),
        n_inside=int(inside.sum()),
        n_inside_near=int(inside[~drawn].sum()),
        reach=reach,  # type: ignore[arg-type]
        inside_x=np.clip(frame["x"].to_numpy()[dots], *x_limits),
        inside_y=frame["y"].to_numpy()[dots],
    )


def _draw_cloud(panel: Panel, ax: Axes) -> None:
    greys = LinearSegmentedColormap.from_list("pairs", ["#c3cbd1", "#2f3b44"])
    counts = np.ma.masked_equal(panel.density.T, 0)
    top = max(float(panel.density.max()), 2.0)
    ax.pcolormesh(
        panel.x_edges, panel.y_edges, counts, cmap=greys, norm=LogNorm(1, top), alpha=0.75, zorder=1, rasterized=True
    )


def _draw_median(panel: Panel, ax: Axes) -> None:
    low, middle, high = panel.quartiles
    ax.fill_between(panel.centres, low, high, color=style.INK, alpha=0.18, lw=0, zorder=4, label="middle half of pairs")
    outline = [withStroke(linewidth=4, foreground="white")]
    ax.plot(panel.centres, middle, color=style.BLACK, lw=2.2, zorder=5, label="median", path_effects=outline)


def _draw_inside(radius: Radius, ax: Axes, look: dict[str, Any], label: str, size: float) -> None:
    many = len(radius.inside_x) > 200
    grow = 1.0 if many else 2.5
    ax.scatter(radius.inside_x, radius.inside_y, s=size * grow, zorder=6, rasterized=many, **look)
    # In the legend even when nobody is inside, so that the reader knows what is missing.
    ax.scatter([], [], s=36, label=label, **look)


def _draw_relations(panel: Panel, ax: Axes) -> None:
    look: dict[str, Any] = {"s": 64, "color": style.YELLOW, "edgecolor": style.BLACK, "linewidth": 1.1}
    # By name, so that a relation keeps its mark from stage to stage. Names beside the marks would hide each other.
    for (name, x, y, _), marker in zip(sorted(panel.relations), cycle("^sPX*v"), strict=False):
        ax.scatter([x], [y], marker=marker, zorder=7, label=f"median of {name.replace('_', ' ')} pairs", **look)


def _draw_foot(panel: Panel, ax: Axes, top: float) -> None:
    """Draw how far each radius reaches, on the same distance axis as the pairs."""
    ax.axhline(top, color=style.MUTED, lw=0.8, zorder=3)
    narrow = style.panel_width(ax) < NARROW
    rows = (
        # The signs are the marks of the pairs inside.
        (0.2, "●" if narrow else "sharing radius:", panel.sharing, style.SHARING),
        (0.085, "◇" if narrow else "aligned radius:", panel.aligned, style.ALIGNED),
    )
    for height, name, radius, colour in rows:
        words = f"{name} {share(radius.share_positive)} have one, {_inside_words(radius, panel.n_drawn, brief=narrow)}"
        ax.text(
            0.985, height, words, transform=ax.transAxes, ha="right", va="center", size=style.NOTE, color=colour
        )  # fmt: skip
        if radius.reach is not None:
            low, middle, high = np.clip(radius.reach, panel.x_edges[0], panel.x_edges[-1])
            where, foot = ax.get_xaxis_transform(), height - (0.058 if narrow else 0.045)
            ax.plot([low, high], [foot] * 2, color=colour, lw=4, solid_capstyle="butt", transform=where, zorder=4)
            ms = 6 if narrow else 10
            ax.plot([middle], [foot], marker="|", ms=ms, mew=2, color=colour, transform=where, zorder=5)


def _inside_words(radius: Radius, n_drawn: int, *, brief: bool) -> str:
    """Return the share of drawn pairs inside and, unless brief, their number and how many near pairs are besides."""
    if not radius.n_inside:
        return "none inside"
    n_inside = radius.n_inside - radius.n_inside_near
    if brief:
        return f"{share(n_inside / n_drawn)} inside"
    near = f" + {radius.n_inside_near:,} near" if radius.n_inside_near else ""
    return f"{share(n_inside / n_drawn)} inside ({n_inside:,}{near})"


__all__ = ["CAPTION", "TITLE", "data", "describe", "draw", "panels"]
