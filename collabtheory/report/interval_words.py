"""Shares with their intervals in words, in full and short enough for the title of a panel."""

from __future__ import annotations

import numpy as np

from collabtheory.report.formats import share, without_unit
from collabtheory.stats.correlation import Estimate


def share_with_interval(one: Estimate) -> str:
    """Return a share and its interval, cut at 0 and 1, in percent.

    Examples
    --------
    >>> share_with_interval(Estimate(0.7117, 0.6884, 1.02, 90))
    '71.2 % [68.8, 100]'
    >>> share_with_interval(Estimate(float("nan"), float("nan"), float("nan"), 0))
    'no share'
    """
    if np.isnan(one.value):
        return "no share"
    if np.isnan(one.low):
        return share(one.value)
    low, high = (without_unit(share(min(max(end, 0.0), 1.0))) for end in (one.low, one.high))
    return f"{share(one.value)} [{low}, {high}]"


def rounded_share(one: Estimate) -> str:
    """Return the same in whole percents.

    Examples
    --------
    >>> rounded_share(Estimate(0.7117, 0.6884, 1.02, 90)), rounded_share(Estimate(0.5, float("nan"), float("nan"), 1))
    ('71 % [69, 100]', '50 %')
    """
    low, middle, high = (f"{100 * min(max(part, 0.0), 1.0):.0f}" for part in (one.low, one.value, one.high))
    return f"{middle} %" if np.isnan(one.low) else f"{middle} % [{low}, {high}]"
