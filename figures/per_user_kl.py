"""Where the room in the code goes: KL divergence of each user's posterior against the length of the history."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from scipy.stats import binom

from collabtheory.ranking.cohorts import COHORTS, cohort_of
from collabtheory.report import style
from collabtheory.report.formats import number
from collabtheory.report.trend import Trend, correlation_words, draw_trend, log_axis, make_trend
from collabtheory.runs.folder import RunFolder
from collabtheory.runs.portrait_files import ALIGNED, CLEAN, GIVEN, MASKED, SETTINGS, settings, users

TITLE = "Where the room in the code goes"
CAPTION = (
    "KL divergence of each user's posterior to the prior, in nats: what the model spends on telling this user from "
    "nobody in particular. One dot is one user; the line is the median of users with about as many interactions, with "
    "the middle half shaded; ρ is Spearman's rank correlation with its 95 % interval over users. Last panel: medians "
    "by cohort with 95 % intervals (order statistics), and the number of users below each cohort; a cohort of fewer "
    "than six has no interval. The same users in all settings. It does not say that longer histories are better "
    "represented, only that their posteriors lie farther from the prior. PIA: personalised item alignment."
)
ORDER = 10
SIZE = (5.0, 3.9)
SHORTEST = 2.6
SUPPORTS = ("beta_kl", "E10", "E11")
NEEDS = "collabtheory verify"
LOOKS = {
    CLEAN: (style.GREEN, "o"),
    MASKED: (style.BLUE, "s"),
    ALIGNED: (style.VERMILLION, "^"),
    GIVEN: (style.BLUE, "o"),
}


@dataclass(frozen=True)
class Panel:
    """Users of one setting."""

    setting: str
    trend: Trend
    top: float  # of the common axis, nats


@dataclass(frozen=True)
class Median:
    """Median KL of the users of one cohort under one setting, nats; NaN ends: too few users for an interval."""

    setting: str
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class ByCohort:
    """Medians of every cohort that has users: for each its name, its number of users, and a median per setting."""

    cohorts: tuple[tuple[str, int, tuple[Median, ...]], ...]
    top: float


@dataclass(frozen=True)
class PerUserKl:
    """One panel per setting, and the cohorts."""

    panels: tuple[Panel, ...]
    cohorts: ByCohort


def data(run: RunFolder) -> PerUserKl:
    """Return KL and history of every portrayed user in every setting. Raises DataError if the run portrays none."""
    tables = {name: users(run, name) for name in settings(run)}
    top = 1.05 * max(float(table["kl"].max()) for table in tables.values()) or 1.0
    made = tuple(
        Panel(name, make_trend(table["n_items"].to_numpy(), table["kl"].to_numpy()), top)
        for name, table in tables.items()
    )
    names = {setting: cohort_of(table["n_items"].to_numpy()) for setting, table in tables.items()}
    rows = []
    for cohort in COHORTS:
        held = {setting: tables[setting]["kl"].to_numpy()[names[setting] == cohort.name] for setting in tables}
        n = len(next(iter(held.values())))
        if n:
            medians = tuple(Median(setting, *_median(values)) for setting, values in held.items())
            rows.append((cohort.name, n, medians))
    return PerUserKl(made, ByCohort(tuple(rows), top))


def panels(data: PerUserKl) -> tuple[Panel | ByCohort, ...]:
    """Return a panel per setting, then the cohorts."""
    return (*data.panels, data.cohorts)


def describe(data: PerUserKl) -> str:
    """Return what the figure shows, in words."""
    parts = [
        f"{SETTINGS[panel.setting]}: median {number(float(np.median(panel.trend.y)))} nats over "
        f"{len(panel.trend.x):,} users, {correlation_words(panel.trend.correlation)} with the number of interactions"
        for panel in data.panels
    ]
    cohorts = [
        f"{name} interactions ({n:,} users): "
        + ", ".join(f"{SETTINGS[one.setting]} {number(one.value)}" for one in row)
        for name, n, row in data.cohorts.cohorts
    ]
    return f"KL divergence by user. {'; '.join(parts)}. Medians by cohort: {'; '.join(cohorts)}."


def draw(data: Panel | ByCohort, ax: Axes) -> None:
    """Draw one setting, or the cohorts, on ``ax``."""
    if isinstance(data, ByCohort):
        _draw_cohorts(data, ax)
        return
    colour, marker = LOOKS[data.setting]
    draw_trend(ax, data.trend, colour, marker)
    log_axis(ax, float(data.trend.x.min()), float(data.trend.x.max()))
    ax.set_ylim(0, data.top)
    name = SETTINGS[data.setting]
    ax.set_title(
        f"{name[0].upper()}{name[1:]}, n = {len(data.trend.x):,}\n{correlation_words(data.trend.correlation)}",
        size=10.5,
    )
    ax.set_xlabel("interactions of the user (log scale)")
    ax.set_ylabel("KL to the prior (nats)")
    ax.grid(axis="y")


def _draw_cohorts(data: ByCohort, ax: Axes) -> None:
    n_settings = max(len(row) for *_, row in data.cohorts)
    for k, (_, _, row) in enumerate(data.cohorts):
        for j, one in enumerate(row):
            x = k + 0.16 * (j - (n_settings - 1) / 2)
            colour, marker = LOOKS[one.setting]
            label = SETTINGS[one.setting] if k == 0 else None
            ax.vlines(x, one.low, one.high, color=colour, lw=1.6)
            ax.plot([x], [one.value], color=colour, marker=marker, ms=7, ls="", mec=style.INK, mew=0.5, label=label)
    names = [f"{name}\nn = {n:,}" for name, n, _ in data.cohorts]
    ax.set_xticks(range(len(names)), names)
    ax.set_xlim(-0.5, len(names) - 0.5)
    ax.set_ylim(0, data.top)
    ax.set_title("Median by cohort", size=10.5)
    ax.set_xlabel("interactions of the user")
    ax.set_ylabel("KL to the prior (nats)")
    ax.grid(axis="y")


def _median(values: np.ndarray) -> tuple[float, float, float]:
    """Return the median and its 95 % interval from order statistics, which holds for every distribution."""
    ordered = np.sort(values)
    n = len(ordered)
    below = int(binom.ppf(0.025, n, 0.5))
    # The interval between the k-th smallest and the k-th largest misses with probability 2 P(Bin(n, 1/2) < k).
    if below < 1:
        return float(np.median(ordered)), float("nan"), float("nan")
    return float(np.median(ordered)), float(ordered[below - 1]), float(ordered[n - below])
