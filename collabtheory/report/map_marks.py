"""Users on a map: everybody in grey, cohorts of short, middle and long histories each with a mark of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from collabtheory.report import style
from collabtheory.report.size_cohorts import SizeCohort

COHORT_LOOKS = ((style.GREEN, "o"), (style.ORANGE, "s"), (style.PURPLE, "^"))
"""Colour and marker of each cohort, from short to long histories."""
NARROW = 3.6
"""Inches of a panel below which marks are smaller."""


def draw_users(ax: Axes, points: np.ndarray, cohorts: Sequence[SizeCohort], rest: str = "other users") -> None:
    """Draw users on a map with equal axes.

    Parameters
    ----------
    ax
        Where to draw.
    points
        ``(users, 2)``.
    cohorts
        At most three, see :func:`.size_cohorts`; each is in the legend with its true sizes.
    rest
        What the others are called in the legend.
    """
    size = 34 if style.panel_width(ax) >= NARROW else 16
    others = np.setdiff1d(np.arange(len(points)), np.concatenate([np.zeros(0, int), *(one.rows for one in cohorts)]))
    if len(others):
        x, y = points[others].T
        ax.scatter(x, y, s=7, color="#9aa5ad", linewidth=0, zorder=2, label=f"{rest} (n = {len(others):,})")
    for cohort, (colour, marker) in zip(cohorts, COHORT_LOOKS, strict=False):
        x, y = points[cohort.rows].T
        look: dict[str, Any] = {"s": size, "color": colour, "marker": marker, "edgecolor": style.INK, "linewidth": 0.6}
        ax.scatter(x, y, zorder=5, label=cohort.label, **look)
    ax.set_aspect("equal", adjustable="datalim")
