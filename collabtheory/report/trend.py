"""A cloud of users with its running median: how one measure of a user goes with another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patheffects import withStroke

from collabtheory.report import style
from collabtheory.report.binning import equal_count_bins, quartiles_by_bin
from collabtheory.stats.correlation import Estimate, grouped_jackknife, spearman

MOST_BINS, FEWEST_USERS = 9, 8
NARROW = 3.6
"""Inches of a panel below which an axis has few ticks, and marks are small."""


@dataclass(frozen=True, eq=False)
class Trend:
    """Users by two measures.

    Parameters
    ----------
    x, y
        ``(n,)``, finite.
    centres
        Median ``x`` of each bin of about equally many users, ``(bins,)``; NaN where a bin has too few.
    quartiles
        25, 50 and 75 % of ``y`` in each bin, ``(3, bins)``.
    correlation
        Spearman's rank correlation with its 95 % interval over users; NaN where a side is constant.
    """

    x: np.ndarray
    y: np.ndarray
    centres: np.ndarray
    quartiles: np.ndarray
    correlation: Estimate


def make_trend(x: np.ndarray, y: np.ndarray) -> Trend:
    """Return the trend of users for whom both measures are finite.

    Examples
    --------
    >>> trend = make_trend(np.arange(40.0), np.append(np.arange(39.0) ** 2, np.nan))
    >>> len(trend.x), round(trend.correlation.value, 9), trend.centres.tolist()
    (39, 1.0, [4.5, 14.5, 24.5, 34.0])
    """
    known = np.isfinite(x) & np.isfinite(y)
    x, y = np.asarray(x, dtype=np.float64)[known], np.asarray(y, dtype=np.float64)[known]
    which, n_bins = equal_count_bins(x, MOST_BINS, FEWEST_USERS)
    centres, quartiles = quartiles_by_bin(x, y, which, n_bins, FEWEST_USERS)
    there = np.isfinite(centres)
    users = np.arange(len(x))
    correlation = grouped_jackknife(lambda chosen: spearman(x[chosen], y[chosen]), users, users)
    return Trend(x, y, centres[there], quartiles[:, there], correlation)


def draw_trend(ax: Axes, trend: Trend, colour: str, marker: str = "o") -> None:
    """Draw every user, and the median and the middle half of the users with about the same ``x``."""
    many = len(trend.x) > 1000
    size = 7 if many or style.panel_width(ax) < NARROW else 13
    look: dict[str, Any] = {"color": colour, "marker": marker, "alpha": 0.55, "linewidth": 0}
    ax.scatter(trend.x, trend.y, s=size, zorder=2, rasterized=many, **look)
    low, middle, high = trend.quartiles
    ax.fill_between(trend.centres, low, high, color=style.INK, alpha=0.16, lw=0, zorder=3, label="middle half of users")
    outline = [withStroke(linewidth=4, foreground="white")]
    ax.plot(
        *(trend.centres, middle),
        color=style.BLACK,
        marker="D",
        ms=4,
        lw=2,
        path_effects=outline,
        zorder=4,
        label="median",
    )


def log_axis(ax: Axes, low: float, high: float) -> None:
    """Make x logarithmic from ``low`` to ``high``, a little more on either side, and mark round numbers only.

    The axis may span less than a decade, where matplotlib marks nothing, or several.
    """
    ends = low / 1.12, high * 1.12
    ax.set_xscale("log")
    ax.set_xlim(*ends)
    few = style.panel_width(ax) < NARROW
    decades = range(-9, 10)
    for steps in ((1,), (1, 3), (1, 2, 5), (1, 1.5, 2, 3, 4, 5, 7)):
        ticks = [k * 10.0**decade for decade in decades for k in steps if ends[0] <= k * 10.0**decade <= ends[1]]
        if len(ticks) >= (2 if few else 3):
            break
    ax.set_xticks(ticks or [low], [f"{tick:,.6g}" for tick in ticks or [low]])
    ax.minorticks_off()


def correlation_words(one: Estimate) -> str:
    """Return a rank correlation with its interval, or that there is none.

    Examples
    --------
    >>> correlation_words(Estimate(-0.416, -0.5, -0.302, 90)), correlation_words(Estimate(float("nan"), 0.0, 0.0, 2))
    ('ρ = −0.42 [−0.50, −0.30]', 'ρ undefined')
    """
    if np.isnan(one.value):
        return "ρ undefined"
    low, middle, high = (_signed(part) for part in (max(one.low, -1.0), one.value, min(one.high, 1.0)))
    return f"ρ = {middle}" if np.isnan(one.low) else f"ρ = {middle} [{low}, {high}]"


def _signed(value: float) -> str:
    # A true minus sign is as wide as the plus.
    return f"{value:+.2f}".replace("-", "−")
