"""Pairs of users by distance and by an effect of one on the other, reduced to what a figure shows of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from collabtheory.errors import DataError
from collabtheory.report.binning import bin_index, count_cells, quartiles_by_bin, signed_root, signed_square
from collabtheory.runs.folder import RunFolder

RADII = ("sharing_radius", "aligned_radius")
COLUMNS = (
    *("relation", "sampling", "input_distance", "transport_cost", "loss_change"),
    *RADII,
    *(f"{radius}_heuristic" for radius in RADII),
)
N_X, N_Y, N_MEDIAN = 96, 84, 14
MOST_DOTS = 250
FEWEST_PAIRS = 20  # below this a median says too little to be drawn
ROOM = 0.47  # share of the distance axis, at its left, that holds next to no pair


@dataclass(frozen=True)
class Retrieval:
    """A radius as a detector of help, over drawn pairs.

    ``precision`` is the share of pairs inside that help, None where nobody is inside; ``recall`` the share of helping
    pairs that are inside, None where none helps.
    """

    n_inside: int
    precision: float | None
    recall: float | None


@dataclass(frozen=True)
class Radius:
    """One radius at one stage: how many drawn pairs have a certified one, who is inside, how far it reaches."""

    share_positive: float
    n_inside: int
    n_inside_near: int
    reach: tuple[float, float, float] | None  # 5 %, 50 %, 95 % of the positive radii, latent units
    inside_x: np.ndarray
    inside_y: np.ndarray
    certified: Retrieval
    heuristic: Retrieval


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


def pair_clouds(
    run: RunFolder, effect: Callable[[pd.DataFrame], np.ndarray], columns: Sequence[str], *, helps_below: bool
) -> tuple[Panel, ...]:
    """Return the binned pairs of every stage, all seeds together, on common axes.

    Parameters
    ----------
    run
        The run.
    effect
        Maps a pair table to the effect of v on u, ``(n,)``; NaN where it is undefined: such pairs are counted, not
        drawn.
    columns
        Columns that ``effect`` needs.
    helps_below
        Whether an effect below zero helps u, else one above zero.

    Raises
    ------
    DataError
        If the run has no pair table with rows.
    """
    tables = {}
    for stage in run.stages:
        if any(run.pairs_path(seed, stage).is_file() for seed in run.seeds):
            pairs = run.pairs(stage=stage, columns=tuple(dict.fromkeys((*COLUMNS, *columns))))
            # Users with equal contents have equal gradients; they would sit inside any radius.
            tables[stage] = pairs[pairs["input_distance"] > 0]
    tables = {
        stage: frame.assign(x=frame["transport_cost"].to_numpy(), y=effect(frame))
        for stage, frame in tables.items()
        if len(frame)
    }
    if not tables:
        raise DataError(f"{run.path} has no pair table with rows; run `collabtheory pairs` first")
    x_limits = _x_limits(list(tables.values()))
    y_limits = _y_limits(list(tables.values()))
    return tuple(
        _panel(stage, frame, _helps(frame, below=helps_below), x_limits, y_limits) for stage, frame in tables.items()
    )


def _helps(frame: pd.DataFrame, *, below: bool) -> np.ndarray:
    # The sign of a loss change is defined also where its ratio to gradients of zero is not.
    values = frame["loss_change"] if below else -frame["y"]
    return np.asarray(values < 0)


def _x_limits(frames: list[pd.DataFrame]) -> tuple[float, float]:
    """Show every distance up to the largest, the radii (but no more than five decades), and leave room at the left."""
    positive = [frame["x"].to_numpy()[frame["x"].to_numpy() > 0] for frame in frames]
    high = max((float(values.max()) for values in positive if len(values)), default=1.0) * 1.15
    nearest = [float(np.quantile(values, 0.001)) for values in positive if len(values)]
    lows = list(nearest)
    for frame in frames:
        for name in RADII:
            radii = _on_an_axis(frame[name].to_numpy())
            if len(radii):
                lows.append(float(np.quantile(radii, 0.05)))
    low = max(min(lows, default=high / 10) * 0.8, high * 1e-5)
    edge = min(nearest, default=high / 10)
    return min(low, high * (edge / high) ** (1 / (1 - ROOM))), high


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


def _panel(
    stage: str, frame: pd.DataFrame, helps: np.ndarray, x_limits: tuple[float, float], y_limits: tuple[float, float]
) -> Panel:
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
        share_helping=float(helps[drawn].mean()),
        x_edges=np.geomspace(*x_limits, N_X + 1),
        y_edges=signed_square(np.linspace(low, high, N_Y + 1)),
        density=count_cells(across, up, (N_X, N_Y)),
        centres=centres,
        quartiles=quartiles,
        relations=_relations(frame[shown]),
        sharing=_radius(frame, "sharing_radius", drawn, helps, x_limits),
        aligned=_radius(frame, "aligned_radius", drawn, helps, x_limits),
    )


def _relations(frame: pd.DataFrame) -> tuple[tuple[str, float, float, int], ...]:
    """Return name, median distance, median effect and number of pairs of each planted relation."""
    rows = []
    for name, group in frame.groupby("relation", observed=True, sort=True):
        if name and len(group) >= 5:
            rows.append((str(name), float(group["x"].median()), float(group["y"].median()), len(group)))
    return tuple(sorted(rows, key=lambda row: row[1]))


def _drawn(frame: pd.DataFrame) -> np.ndarray:
    """Return which pairs stand for all pairs: not those added as near, unless there is nothing else."""
    near = (frame["sampling"] == "nearest").to_numpy()
    return ~near if not near.all() else np.ones(len(frame), dtype=bool)


def _radius(
    frame: pd.DataFrame, name: str, drawn: np.ndarray, helps: np.ndarray, x_limits: tuple[float, float]
) -> Radius:
    radii = frame[name].to_numpy()
    positive = _on_an_axis(radii)
    inside = (frame["x"] < frame[name]).to_numpy()
    guessed = (frame["x"] < frame[f"{name}_heuristic"]).to_numpy()
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
        certified=_retrieval(inside[drawn], helps[drawn]),
        heuristic=_retrieval(guessed[drawn], helps[drawn]),
    )


def _on_an_axis(radii: np.ndarray) -> np.ndarray:
    """Return the positive radii that are finite: a decoder that ignores the code has infinite ones."""
    return np.asarray(radii[(radii > 0) & np.isfinite(radii)])


def _retrieval(inside: np.ndarray, helps: np.ndarray) -> Retrieval:
    both = int((inside & helps).sum())
    n_inside, n_helping = int(inside.sum()), int(helps.sum())
    return Retrieval(n_inside, both / n_inside if n_inside else None, both / n_helping if n_helping else None)
