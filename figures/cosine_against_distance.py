"""Cosine of two users' gradients against the distance of their posteriors, with both radii."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from collabtheory.report.formats import number, share
from collabtheory.report.pair_cloud import Panel, pair_clouds
from collabtheory.report.pair_cloud_drawing import Effect, draw_cloud
from collabtheory.report.words import stage_phrase
from collabtheory.runs.folder import RunFolder

TITLE = "Do near users pull the same way?"
CAPTION = (
    "The cloud is all ordered pairs of users (stronger shade: more pairs, log scale). Across: how far apart the two "
    "posteriors lie. Up: cosine of the users' gradients, the first-order part of what one step on v does to u; above "
    "the zero line both pull the same way, and a small enough step on either helps the other; the scale is a square "
    "root, so that small cosines show. Line: median at that distance, with the middle half of the pairs shaded: the "
    "decay of influence with distance. Dots and rings: pairs inside a certified radius; each must lie above zero. "
    "Yellow marks: medians of the relations planted in the data, where there are any. Bars at the foot: how far the "
    "radii reach (5 to 95 % of the pairs that have one, tick at the median). Pairs beyond an axis are drawn at its "
    "edge; users with equal contents are left out. Shares are over pairs of users drawn at random; 'near' counts "
    "pairs added to the table because their inputs are alike. The cosine says nothing about steps of finite size."
)
ORDER = 1
SIZE = (5.5, 4.5)
SHORTEST = 3.2
SUPPORTS = ("theorem_2_3", "aligned_radius")
NEEDS = "collabtheory verify"
EFFECT = Effect("cosine of the gradients", "pull the same way", "pull apart", False, "same way")


@dataclass(frozen=True)
class CosineAgainstDistance:
    """One panel per stage, on common axes."""

    panels: tuple[Panel, ...]
    n_seeds: int


def data(run: RunFolder) -> CosineAgainstDistance:
    """Return the binned pairs of every stage, all seeds together. Raises DataError if the run has no pair tables.

    Pairs without a gradient (a norm of zero) have no cosine; they are counted, not drawn.
    """
    return CosineAgainstDistance(pair_clouds(run, _cosine, ("cosine",), helps_below=False), len(run.seeds))


def panels(data: CosineAgainstDistance) -> tuple[Panel, ...]:
    """Return the panels, one per stage."""
    return data.panels


def describe(data: CosineAgainstDistance) -> str:
    """Return what the figure shows, in words."""
    parts = []
    for panel in data.panels:
        medians = panel.quartiles[1][np.isfinite(panel.quartiles[1])]
        decay = (
            f", median cosine {number(medians[0])} nearest and {number(medians[-1])} farthest" if len(medians) else ""
        )
        parts.append(f"{stage_phrase(panel.stage)} {share(panel.share_helping)} of {panel.n_drawn:,} pairs{decay}")
    return f"Cosine of gradients against Wasserstein distance. Above zero: {'; '.join(parts)}."


def draw(data: Panel, ax: Axes) -> None:
    """Draw one stage on ``ax``."""
    draw_cloud(data, ax, EFFECT, table=False)


def _cosine(pairs: pd.DataFrame) -> np.ndarray:
    return np.asarray(pairs["cosine"], dtype=np.float64)
