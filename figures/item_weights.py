"""EASE's positive and negative weights: how many item pairs pull together, how many push apart, and how strongly."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes

from collabtheory.errors import DataError
from collabtheory.report import style
from collabtheory.report.formats import number, share
from collabtheory.runs.folder import RunFolder
from collabtheory.runs.portrait_files import item_weights

TITLE = "EASE's positive and negative weights"
CAPTION = (
    "Off-diagonal weights of EASE, the linear autoencoder that has no latent space and no mask, fitted to the whole "
    "data: how many ordered pairs of items have a weight of about that size, by sign, on log axes with equal bins of "
    "the logarithm. Positive: having one item speaks for the other; negative: against it. Count and weight are not "
    "the same: many negative weights are tiny, so both shares are given. It does not say whether the negative weights "
    "are needed for accuracy; the study of `collabtheory compare` does (E9). The shares hang on the regularisation."
)
ORDER = 10
SIZE = (6.2, 4.3)
SUPPORTS = ("E9",)
NEEDS = "collabtheory verify"
NARROW = 4.2
LINES = (("positive", style.BLUE, "-"), ("negative", style.VERMILLION, (0, (4, 1.5))))
FIELDS = ("edges", "positive", "negative", "below", "share_negative", "mass_negative", "l2", "n_items", "n_items_all")


@dataclass(frozen=True)
class ItemWeights:
    """Counts of weights by sign and size; ``edges`` has one entry more than the counts."""

    edges: np.ndarray
    positive: np.ndarray
    negative: np.ndarray
    below: int  # weights smaller than the first edge
    share_negative: float
    mass_negative: float
    l2: float
    n_items: int
    n_items_all: int


def data(run: RunFolder) -> ItemWeights:
    """Return the counts that the run holds. Raises DataError if it has none, or they lack a field."""
    held = item_weights(run)
    missing = [name for name in FIELDS if name not in held]
    if missing:
        raise DataError(f"{run.path}: its weights of EASE have no {missing[0]!r}; run `collabtheory verify` again")
    arrays = {name: np.asarray(held[name], dtype=np.float64) for name in ("edges", "positive", "negative")}
    if len(arrays["edges"]) != len(arrays["positive"]) + 1 or len(arrays["positive"]) != len(arrays["negative"]):
        raise DataError(f"{run.path}: its weights of EASE have counts that do not fit their bins")
    return ItemWeights(
        **arrays,
        below=int(held["below"]),
        share_negative=float(held["share_negative"]),
        mass_negative=float(held["mass_negative"]),
        l2=float(held["l2"]),
        n_items=int(held["n_items"]),
        n_items_all=int(held["n_items_all"]),
    )


def describe(data: ItemWeights) -> str:
    """Return what the figure shows, in words."""
    total = data.positive.sum() + data.negative.sum() + data.below
    return (
        f"{int(total):,} weights between {_items(data)} at l2 = {data.l2:g}: {share(data.share_negative)} are "
        f"negative, with {share(data.mass_negative)} of the sum of sizes; the largest has size "
        f"{number(float(data.edges[-1]))}; {data.below:,} are smaller than the axis."
    )


def draw(data: ItemWeights, ax: Axes) -> None:
    """Draw both counts on ``ax``."""
    for name, colour, line in LINES:
        counts = getattr(data, name)
        shown = np.where(counts > 0, counts, np.nan)
        ax.stairs(shown, data.edges, color=colour, lw=2.0, ls=line, baseline=None, zorder=4)
        ax.stairs(counts, data.edges, color=colour, fill=True, alpha=0.12, lw=0, baseline=0.5, zorder=2)
        ax.plot([], [], color=colour, lw=2.0, ls=line, label=f"{name} weights")
    ax.set_xscale("log")
    ax.set_yscale("log")
    narrow = style.panel_width(ax) < NARROW
    _limits(data, ax, room=40 if narrow else 6)
    words = [
        f"negative: {share(data.share_negative)} of weights",
        f"{share(data.mass_negative)} of their sizes' sum",
    ]
    ax.set_title("\n".join(words) if narrow else ", ".join(words), size=10.5)
    note = [f"{_items(data)}, l2 = {data.l2:g}"]
    if data.below:
        note.append(f"{data.below:,} below {data.edges[0]:.1e}")
    ax.text(0.02, 0.98, "\n".join(note), transform=ax.transAxes, va="top", size=style.NOTE, color=style.MUTED)
    ax.set_xlabel("size of the weight (no unit, log scale)")
    ax.set_ylabel("ordered pairs of items per bin (log scale)")
    ax.grid(axis="y")


def _items(data: ItemWeights) -> str:
    chosen = f"{data.n_items:,} items"
    return chosen if data.n_items == data.n_items_all else f"the {chosen} of {data.n_items_all:,} with the most users"


def _limits(data: ItemWeights, ax: Axes, room: float) -> None:
    """Show the bins that hold weights, with room above for the note."""
    held = np.flatnonzero(data.positive + data.negative)
    if not len(held):
        ax.set_xlim(data.edges[0], data.edges[-1])
        ax.set_ylim(0.5, 10)
        ax.text(0.5, 0.5, "all weights are zero", transform=ax.transAxes, ha="center", size=10)
        return
    ax.set_xlim(data.edges[held[0]], data.edges[held[-1] + 1])
    ax.set_ylim(0.5, float(max(data.positive.max(), data.negative.max())) * room)
