"""Who is near whom in latent space: t-SNE maps of the three settings, and whether cohorts keep to themselves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes

from collabtheory.report import style
from collabtheory.report.formats import share
from collabtheory.report.interval_words import rounded_share, share_with_interval
from collabtheory.report.map_marks import draw_users
from collabtheory.report.size_cohorts import SizeCohort, size_cohorts
from collabtheory.runs.folder import RunFolder
from collabtheory.runs.portrait_files import SETTINGS, posteriors, setting_title, settings, users
from collabtheory.stats.correlation import Estimate, grouped_jackknife

TITLE = "Who is near whom: do cohorts keep to themselves?"
CAPTION = (
    "t-SNE maps of the same users under each setting after training, made from the Wasserstein distances $W_2$ of "
    "their posteriors: they keep who is near whom, not how far apart, and have no unit. Marks in colour: users of "
    "short, middle and long histories, near 5, 50 and 350 interactions where the data has such users; the legend gives "
    "the true sizes. The number above each map does not come from the map: of the five users of the coloured cohorts "
    "that are nearest to a user of these cohorts in $W_2$, the share that is of the user's own cohort, with a 95 % "
    "interval over users, and in brackets what random labels would give. Islands of a t-SNE map prove nothing."
)
ORDER = 3
SIZE = (4.6, 4.8)
PER_ROW = 3
NARROWEST = 2.3
SUPPORTS = ("E1", "E2", "E4")
NEEDS = "collabtheory verify"
NEAREST = 5
NARROW = 3.6


@dataclass(frozen=True)
class Panel:
    """The map of one setting."""

    setting: str
    points: np.ndarray  # (users, 2), no unit
    cohorts: tuple[SizeCohort, ...]
    same: Estimate  # share of the nearest that are of the own cohort
    by_chance: float


@dataclass(frozen=True)
class LatentNeighbours:
    """One panel per setting."""

    panels: tuple[Panel, ...]


def data(run: RunFolder) -> LatentNeighbours:
    """Return the t-SNE map of every setting that the run portrays. Raises DataError if it portrays none."""
    made = []
    for name in settings(run):
        frame, posterior = users(run, name), posteriors(run, name)
        cohorts = size_cohorts(frame["n_items"].to_numpy())
        # The W_2 distance of diagonal Gaussians is the Euclidean distance of (mu, sigma).
        same, by_chance = _own_cohort(np.hstack([posterior.mu, posterior.sigma]), cohorts)
        made.append(Panel(name, frame[["tsne_x", "tsne_y"]].to_numpy(dtype=np.float64), cohorts, same, by_chance))
    return LatentNeighbours(tuple(made))


def panels(data: LatentNeighbours) -> tuple[Panel, ...]:
    """Return the panels, one per setting."""
    return data.panels


def describe(data: LatentNeighbours) -> str:
    """Return what the figure shows, in words."""
    parts = [
        f"{SETTINGS[panel.setting]}: {share_with_interval(panel.same)} of the {NEAREST} nearest are of the own cohort, "
        f"{share(panel.by_chance)} by chance"
        for panel in data.panels
        if np.isfinite(panel.same.value)
    ]
    cohorts = ", ".join(cohort.label for cohort in data.panels[0].cohorts)
    told = "; ".join(parts) or "too few users to tell whether cohorts keep to themselves"
    return f"Maps of {len(data.panels[0].points):,} users, cohorts of {cohorts}. {told}."


def draw(data: Panel, ax: Axes) -> None:
    """Draw one setting on ``ax``."""
    draw_users(ax, data.points, data.cohorts)
    ax.margins(0.06)
    narrow = style.panel_width(ax) < NARROW
    ax.set_title("\n".join((setting_title(data.setting, short=narrow), *_same_words(data, narrow=narrow))), size=10.0)
    ax.set_xticks([])
    ax.set_yticks([])
    ax.spines[["top", "right"]].set_visible(True)
    ax.set_xlabel("t-SNE, no unit")


def _same_words(panel: Panel, *, narrow: bool) -> tuple[str, ...]:
    if not np.isfinite(panel.same.value):
        return ("too few users for cohorts",)
    if narrow:
        return (f"{rounded_share(panel.same)}", f"near own ({100 * panel.by_chance:.0f} %)")
    return (
        f"{rounded_share(panel.same)} of the nearest are of the own cohort ({100 * panel.by_chance:.0f} % by chance)",
    )


def _own_cohort(codes: np.ndarray, cohorts: tuple[SizeCohort, ...]) -> tuple[Estimate, float]:
    """Return how many of the nearest are of the user's own cohort, and what random labels would give."""
    undefined = Estimate(float("nan"), float("nan"), float("nan"), 0), float("nan")
    if len(cohorts) < 2:
        return undefined
    from scipy.spatial.distance import cdist

    rows = np.concatenate([cohort.rows for cohort in cohorts])
    labels = np.repeat(np.arange(len(cohorts)), [len(cohort.rows) for cohort in cohorts])
    distances = cdist(codes[rows], codes[rows])
    np.fill_diagonal(distances, np.inf)
    nearest = np.argsort(distances, axis=1, kind="stable")[:, : min(NEAREST, len(rows) - 1)]
    same = (labels[nearest] == labels[:, None]).mean(axis=1)
    sizes = np.bincount(labels)
    by_chance = float(((sizes - 1) / (len(rows) - 1))[labels].mean())
    # Users are dealt to the groups of the jackknife by position: mixed over cohorts, else a group would be a cohort.
    mixed = np.argsort(np.argsort(np.concatenate([np.arange(size) for size in sizes]), kind="stable"), kind="stable")
    return grouped_jackknife(lambda chosen: float(same[chosen].mean()), mixed, mixed), by_chance
