"""What masking does to the distance of two inputs: its exact law, the border, the bounds, and real pairs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap

from collabtheory.errors import DataError
from collabtheory.report import style
from collabtheory.report.formats import number, share
from collabtheory.runs.folder import RunFolder
from collabtheory.runs.portrait_files import masking_grid

TITLE = "Whom masking draws together, and whom it pushes apart"
CAPTION = (
    "delta: items that one of two users has alone; s: items that both have; each user's items are kept with "
    "probability rho, on masks of their own. Map: exact probability that masking brings the two inputs nearer; on "
    "the border delta = 2 rho s the mean distance stays as it was; dashed lines: nearer in 10 % and in 90 % of "
    "masks. Marks are pairs of this run's users. Cut: the exact probability that the distance shrinks by a fifth or "
    "more, with its Chernoff and Hoeffding bounds, which hold where the mean is above that. Shares: pairs on the far"
    " side of the border, whose inputs masking pushes apart on average. It says nothing of what an encoder makes of "
    "the inputs."
)
ORDER = 4
SIZE = (4.9, 4.3)
PER_ROW = 3
NARROWEST = 2.6
SUPPORTS = ("theorem_2_6",)
NEEDS = "collabtheory verify"
USUAL = 0.5
"""Keep probability of the map where the run does not say the model's own."""
NEIGHBOURS = 5
MOST_DOTS = 500
LEAST_PROBABILITY = 1e-8
COLUMNS = ("u", "v", "sampling", "input_distance", "shared_items", "jaccard")


@dataclass(frozen=True, eq=False)
class Map:
    """Probability ``contracts`` over ``delta`` and ``s``, ``(s, delta)``, and the pairs on it, ``(n, 2)``."""

    keep_probability: float
    delta: np.ndarray
    shared: np.ndarray
    contracts: np.ndarray
    pairs: np.ndarray
    neighbours: np.ndarray
    n_pairs: int
    n_neighbours: int


@dataclass(frozen=True, eq=False)
class Cut:
    """The tail at one ``delta``: exact and its bounds, by ``s``."""

    keep_probability: float
    delta: int
    shared: np.ndarray
    exact: np.ndarray
    chernoff: np.ndarray
    hoeffding: np.ndarray


@dataclass(frozen=True, eq=False)
class Sides:
    """Share of pairs beyond the border at every keep probability, for all pairs and for neighbours."""

    keep_probabilities: np.ndarray
    pairs: np.ndarray
    neighbours: np.ndarray
    own: float
    n_pairs: int
    n_neighbours: int


@dataclass(frozen=True)
class MaskingLaw:
    """The three panels."""

    map: Map
    cut: Cut
    sides: Sides


def data(run: RunFolder) -> MaskingLaw:
    """Return the law at the model's own keep probability, and where the run's pairs lie on it.

    Raises DataError if the run has no table of the law or no pair whose inputs differ.
    """
    grid = masking_grid(run)
    seed = run.seeds[0] if run.seeds else None
    stage = run.stages[-1] if run.stages else None
    pairs = run.pairs(seed, stage, COLUMNS)
    pairs = pairs[pairs["input_distance"] > 0]
    if not len(pairs):
        raise DataError(f"{run.path} has no pair of users with different items")
    rho = _nearest_tabulated(run, grid["keep_probability"].unique())
    grid = grid[grid["keep_probability"] == rho]
    drawn = pairs[pairs["sampling"] != "nearest"] if (pairs["sampling"] != "nearest").any() else pairs
    nearest = pairs.sort_values(["u", "jaccard", "v"], ascending=[True, False, True]).groupby("u").head(NEIGHBOURS)
    return MaskingLaw(_map(grid, rho, drawn, nearest), _cut(grid, rho, drawn), _sides(drawn, nearest, rho))


def panels(data: MaskingLaw) -> tuple[Map | Cut | Sides, ...]:
    """Return the map, the cut through it, and the shares of pairs on its far side."""
    return data.map, data.cut, data.sides


def describe(data: MaskingLaw) -> str:
    """Return what the figure shows, in words."""
    sides, rho = data.sides, data.map.keep_probability
    at = int(np.argmin(np.abs(sides.keep_probabilities - sides.own)))
    near = int(np.argmin(np.abs(data.cut.shared - data.cut.delta / (2 * rho))))
    return (
        f"Exact masking law at keep probability {rho:g}. Masking pushes apart, on average, {share(sides.pairs[at])} of "
        f"{sides.n_pairs:,} random ordered pairs and {share(sides.neighbours[at])} of {sides.n_neighbours:,} pairs of "
        f"a user with one of the {NEIGHBOURS} most similar users; the other pairs it draws together. "
        f"Cut at delta = {data.cut.delta}: the probability of a fifth less distance is "
        f"{number(float(data.cut.exact[0]))} without shared items and {number(float(data.cut.exact[near]))} at "
        f"s = {int(data.cut.shared[near])}, where Chernoff allows {number(float(data.cut.chernoff[near]))} and "
        f"Hoeffding {number(float(data.cut.hoeffding[near]))}."
    )


def draw(data: Map | Cut | Sides, ax: Axes) -> None:
    """Draw one panel on ``ax``."""
    if isinstance(data, Map):
        _draw_map(data, ax)
    elif isinstance(data, Cut):
        _draw_cut(data, ax)
    else:
        _draw_sides(data, ax)


def _nearest_tabulated(run: RunFolder, known: np.ndarray) -> float:
    own = run.meta.get("settings", {}).get("model", {}).get("keep_probability", USUAL)
    return float(known[np.argmin(np.abs(known - float(own)))])


def _map(grid: pd.DataFrame, rho: float, pairs: pd.DataFrame, nearest: pd.DataFrame) -> Map:
    table = grid.pivot(index="s", columns="delta", values="contracts")
    return Map(
        keep_probability=rho,
        delta=table.columns.to_numpy(),
        shared=table.index.to_numpy(),
        contracts=table.to_numpy(),
        pairs=_spread(pairs),
        neighbours=_spread(nearest),
        n_pairs=len(pairs),
        n_neighbours=len(nearest),
    )


def _spread(pairs: pd.DataFrame) -> np.ndarray:
    """Return at most :data:`MOST_DOTS` pairs, evenly through the table."""
    points = pairs[["input_distance", "shared_items"]].to_numpy(dtype=np.float64)
    return np.asarray(points[np.unique(np.linspace(0, len(points) - 1, min(len(points), MOST_DOTS)).astype(np.int64))])


def _cut(grid: pd.DataFrame, rho: float, pairs: pd.DataFrame) -> Cut:
    deltas, middle = grid["delta"].unique(), float(pairs["input_distance"].median())
    delta = int(deltas[np.argmin(np.abs(np.log(deltas / middle)))])
    rows = grid[grid["delta"] == delta].sort_values("s")
    columns = (rows[name].to_numpy() for name in ("s", "tail", "chernoff", "hoeffding"))
    return Cut(rho, delta, *columns)


def _sides(pairs: pd.DataFrame, nearest: pd.DataFrame, own: float) -> Sides:
    # At 1 nothing is masked, and every distance stays as it is.
    rhos = np.linspace(0.02, 0.98, 49)
    of_pairs, of_nearest = (
        np.array([float((one["input_distance"] < 2 * rho * one["shared_items"]).mean()) for rho in rhos])
        for one in (pairs, nearest)
    )
    return Sides(rhos, of_pairs, of_nearest, own, len(pairs), len(nearest))


def _draw_map(data: Map, ax: Axes) -> None:
    colours = LinearSegmentedColormap.from_list("sides", ["#efb98f", "#ffffff", "#8fc0e0"])
    ax.set_xscale("log")
    ax.set_yscale("symlog", linthresh=1.0, linscale=0.35)
    x, y = _edges(data.delta), np.append(-0.5, _edges(data.shared[data.shared > 0]))
    ax.pcolormesh(x, y, data.contracts, cmap=colours, vmin=0, vmax=1, rasterized=True, zorder=0)
    ax.contour(
        data.delta, data.shared, data.contracts, [0.1, 0.9], colors=style.MUTED, linewidths=1.0, linestyles="--",
        zorder=2,
    )  # fmt: skip
    steep = np.geomspace(0.7, 2e4, 200)
    border = steep / (2 * data.keep_probability)
    ax.plot(steep, border, color=style.INK, lw=2.2, zorder=3, label=r"border $\delta = 2\rho s$")
    _draw_dots(data, ax)
    reach = np.vstack([data.pairs, data.neighbours]).max(0)
    ax.set_xlim(0.7, min(x[-1], max(2.2 * reach[0], 20.0)))
    ax.set_ylim(-0.5, min(y[-1], max(4.0 * reach[1], 20.0)))
    ticks = [tick for tick in (0, 1, 3, 10, 30, 100, 300, 1000) if tick <= ax.get_ylim()[1]]
    ax.set_yticks(ticks, [str(tick) for tick in ticks])
    ax.set_yticks([], minor=True)
    ax.xaxis.set_major_formatter("{x:g}")
    _say(ax, 0.03, 0.965, "pushed apart", "#7a3d10", "top", "left")
    _say(ax, 0.97, 0.2, "drawn together", "#0b4a72", "center", "right")
    ax.set_title(rf"Nearer after masking? $\rho$ = {data.keep_probability:g}")
    ax.set_xlabel(r"$\delta$, items that one has alone (log scale)")
    ax.set_ylabel("s, items that both have (log scale, and 0)")


def _say(ax: Axes, x: float, y: float, words: str, colour: str, va: str, ha: str) -> None:
    ax.text(
        x, y, words, transform=ax.transAxes, va=va, ha=ha, color=colour, size=10, weight="bold", zorder=6,
        bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.75, "pad": 1.5},
    )  # fmt: skip


def _draw_dots(data: Map, ax: Axes) -> None:
    ax.scatter(
        data.pairs[:, 0], data.pairs[:, 1], s=9, color=style.INK, alpha=0.55, linewidth=0, zorder=4, rasterized=True,
        label=f"random pairs (n = {data.n_pairs:,})",
    )  # fmt: skip
    ax.scatter(
        data.neighbours[:, 0], data.neighbours[:, 1], s=22, marker="D", facecolor=style.YELLOW,
        edgecolor=style.BLACK, linewidth=0.8, zorder=5, rasterized=True,
        label=f"{NEIGHBOURS} most similar of each user (n = {data.n_neighbours:,})",
    )  # fmt: skip


def _edges(centres: np.ndarray) -> np.ndarray:
    """Return the borders of cells around positive centres: halfway in the logarithm."""
    inner = np.sqrt(centres[1:] * centres[:-1].astype(np.float64))
    return np.concatenate([[centres[0] / 2], inner, [centres[-1] ** 2 / inner[-1]]])


def _draw_cut(data: Cut, ax: Axes) -> None:
    ax.set_yscale("log")
    ax.set_xscale("symlog", linthresh=1.0, linscale=0.35)
    lines = (
        ("exact", data.exact, style.BLACK, "-", "o"),
        ("Chernoff bound", data.chernoff, style.BLUE, "--", "s"),
        ("Hoeffding bound", data.hoeffding, style.VERMILLION, ":", "^"),
    )
    for label, values, colour, line, marker in lines:
        seen = np.isfinite(values) & (values > LEAST_PROBABILITY / 10)
        filled = colour if line == "-" else "white"
        ax.plot(
            data.shared[seen], values[seen], color=colour, ls=line, marker=marker, ms=4.5, mfc=filled, label=label,
            zorder=3,
        )  # fmt: skip
    border = data.delta / (2 * data.keep_probability)
    ax.axvline(border, color=style.INK, lw=2.2, zorder=1)
    ax.set_ylim(LEAST_PROBABILITY, 3.0)
    last = data.shared[data.exact > LEAST_PROBABILITY]
    ax.set_xlim(-0.2, max(float(last.max()) if len(last) else 1.0, border) * 1.5)
    ticks = [tick for tick in (0, 1, 3, 10, 30, 100, 300, 1000) if tick <= ax.get_xlim()[1]]
    ax.set_xticks(ticks, [str(tick) for tick in ticks])
    ax.set_xticks([], minor=True)
    ax.grid(axis="y")
    ax.set_title(rf"Exact and bounded, at $\delta$ = {data.delta}")
    ax.set_xlabel("s, items that both have (log scale, and 0)")
    ax.set_ylabel(r"probability that $D_h \leq 0.8\,\delta$ (log scale)")


def _draw_sides(data: Sides, ax: Axes) -> None:
    ax.plot(data.keep_probabilities, data.pairs, color=style.INK, ls="--", lw=2.0, label="random pairs, share")
    ax.plot(
        data.keep_probabilities, data.neighbours, color="#b59f00", marker="D", markevery=7, ms=6,
        mfc=style.YELLOW, mec=style.BLACK, lw=2.0, label="most similar, share",
    )  # fmt: skip
    ax.axvline(data.own, color=style.MUTED, ls=":", lw=1.4)
    top = max(float(data.pairs.max()), float(data.neighbours.max()), 0.01)
    ax.set_xlim(0, 1)
    ax.set_ylim(-0.02 * top, 1.12 * top)
    ax.text(
        data.own, 1.1 * top, f" $\\rho$ = {data.own:g}", va="top", ha="left" if data.own < 0.7 else "right",
        color=style.MUTED, size=style.NOTE,
    )  # fmt: skip
    ax.yaxis.set_major_formatter(lambda value, _: f"{100 * value:g} %")
    ax.grid(axis="y")
    ax.set_title("Pairs that masking pushes apart")
    ax.set_xlabel(r"keep probability $\rho$")
    ax.set_ylabel(r"share of pairs with $\delta < 2\rho s$")


__all__ = ["CAPTION", "TITLE", "data", "describe", "draw", "panels"]
