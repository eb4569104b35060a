"""Measured influence of one user's step on another, against the distance of their posteriors, with both radii."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from collabtheory.report.formats import share
from collabtheory.report.pair_cloud import Panel, pair_clouds
from collabtheory.report.pair_cloud_drawing import Effect, draw_cloud, retrieval_words
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
    "Table: the radii as detectors of help. Precision is the share of pairs inside that help, which the theorem puts "
    "at 100 % for a certified radius; recall is the share of helping pairs that are inside. Heuristic: with the "
    "largest slope seen in place of a bound, which promises nothing. Empty: no pair is inside. Bars at the foot: how "
    "far the radii reach (5 to 95 % of the pairs that have one, tick at the median). Pairs beyond an axis are drawn "
    "at its edge; users with equal contents are left out. A theorem says something only where its bar reaches the "
    "cloud. Shares, precision and recall are over pairs of users drawn at random; 'near' counts pairs added to the "
    "table because their inputs are alike."
)
ORDER = 1
SIZE = (5.5, 4.7)
SHORTEST = 3.2
SUPPORTS = ("theorem_2_3", "aligned_radius")
NEEDS = "collabtheory verify"
EFFECT = Effect("relative loss change of u", "v's step hurts u", "v's step helps u", True, "v helps u")
COLUMNS = ("learning_rate", "gradient_norm_u", "gradient_norm_v")


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
    return InfluenceAgainstDistance(pair_clouds(run, _relative_change, COLUMNS, helps_below=True), len(run.seeds))


def panels(data: InfluenceAgainstDistance) -> tuple[Panel, ...]:
    """Return the panels, one per stage."""
    return data.panels


def describe(data: InfluenceAgainstDistance) -> str:
    """Return what the figure shows, in words."""
    parts = [
        f"{stage_phrase(panel.stage)} {share(panel.share_helping)} of {panel.n_drawn:,} pairs help, "
        f"{panel.sharing.n_inside:,} lie inside the sharing radius "
        f"and {panel.aligned.n_inside:,} inside the aligned radius; over pairs drawn at random, certified sharing "
        f"radius {retrieval_words(panel.sharing.certified)}, heuristic {retrieval_words(panel.sharing.heuristic)}; "
        f"certified aligned radius {retrieval_words(panel.aligned.certified)}, "
        f"heuristic {retrieval_words(panel.aligned.heuristic)}"
        for panel in data.panels
    ]
    return f"Loss change against Wasserstein distance. {'. '.join(f'{one[0].upper()}{one[1:]}' for one in parts)}."


def draw(data: Panel, ax: Axes) -> None:
    """Draw one stage on ``ax``."""
    draw_cloud(data, ax, EFFECT, table=True)


def _relative_change(pairs: pd.DataFrame) -> np.ndarray:
    scale = (pairs["learning_rate"] * pairs["gradient_norm_u"] * pairs["gradient_norm_v"]).to_numpy()
    change = pairs["loss_change"].to_numpy()
    return np.asarray(np.divide(change, scale, out=np.full(len(pairs), np.nan), where=scale > 0))
