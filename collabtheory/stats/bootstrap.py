"""Bootstrap intervals of per-user values: bias-corrected and accelerated (BCa), stratified, in bounded memory."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import stats

from collabtheory.errors import NumericalFailure
from collabtheory.stats.correlation import Estimate
from collabtheory.stats.samples import (
    average_within,
    blocks,
    check_draws,
    check_strata,
    finite_vector,
    groups_of,
    numbered,
    one_label_each,
)


def bootstrap_mean(
    values: np.ndarray,
    *,
    strata: np.ndarray | None = None,
    users: np.ndarray | None = None,
    level: float = 0.95,
    resamples: int = 9_999,
    rng: np.random.Generator,
) -> Estimate:
    """Return the mean over users with its BCa interval.

    Parameters
    ----------
    values
        ``(n,)`` finite, one row a user; with ``users``, one row a user and seed.
    strata
        ``(n,)`` labels (fold or cohort): users are resampled within their stratum, whose size stays as it is.
    users
        ``(n,)`` labels of users, where one user has several rows. Its rows are averaged first and users resampled
        whole: rows of one user are not independent, and taken as such they would give too short an interval.
    level
        Confidence, in (0, 1).
    resamples
        Number of resamples, at least 99.
    rng
        Source of the resamples.

    Returns
    -------
    Estimate
        Mean over users, its interval at ``level``, and the number of users. The interval is the point itself where
        every stratum is constant.

    Raises
    ------
    InvalidInput
        On NaN (the row is named), fewer than two users, a stratum of one user, or a user in two strata.

    Notes
    -----
    The resampled means need no ``(resamples, n)`` array. In one stratum the draws are those of
    :func:`scipy.stats.bootstrap` from the same generator, so both give the same interval. Models count as fixed:
    the interval says nothing about training them again (see :func:`~collabtheory.stats.compare_paired`).

    References
    ----------
    Efron and Tibshirani, An Introduction to the Bootstrap (1993), eqs. 14.9-14.15.

    Examples
    --------
    >>> ndcg = np.random.default_rng(0).beta(2, 3, 400)
    >>> estimate = bootstrap_mean(ndcg, rng=np.random.default_rng(1))
    >>> estimate.low < estimate.value < estimate.high, estimate.n
    (True, 400)
    """
    rows = finite_vector(values, "values")
    strata_codes = numbered(strata, len(rows), "strata")
    if users is not None:
        codes = numbered(users, len(rows), "users")
        strata_codes = one_label_each(strata_codes, codes, "stratum")
        rows = finite_vector(average_within(rows, codes), "values averaged by user")
    return bootstrap_sum(rows / len(rows), strata_codes, level=level, resamples=resamples, rng=rng)


def bootstrap_sum(
    contributions: np.ndarray,
    cells: np.ndarray,
    *,
    level: float = 0.95,
    resamples: int = 9_999,
    rng: np.random.Generator,
) -> Estimate:
    r"""Return a sum of contributions with its BCa interval; entries are resampled within cells.

    A mean is the sum of :math:`x_i / n`; a difference of two groups' means the sum of :math:`x_i / n_1` and
    :math:`-x_i / n_2`, with the groups as cells. With the contributions :math:`y_i` and the means of their cells,

    .. math:: a = \frac{1}{6} \sum_i (y_i - \bar y)^3 \Big/ \Big(\sum_i (y_i - \bar y)^2\Big)^{3/2},
       \qquad z_0 = \Phi^{-1}(\text{share of resampled sums below the sum})

    (the jackknife in closed form), and the ends are the quantiles
    :math:`\Phi(z_0 + (z_0 + z)/(1 - a (z_0 + z)))` of the resampled sums, :math:`z` normal quantiles.

    Parameters
    ----------
    contributions
        ``(n,)`` finite.
    cells
        ``(n,)`` cell numbers 0, 1, ...; every cell has at least two members.
    level, resamples, rng
        As in :func:`bootstrap_mean`.

    Raises
    ------
    InvalidInput
        On NaN, fewer than two entries, or a cell of one member.

    Examples
    --------
    >>> bootstrap_sum(np.full(4, 0.5), np.zeros(4, dtype=int), rng=np.random.default_rng(0))
    Estimate(value=2.0, low=2.0, high=2.0, n=4)
    """
    y = finite_vector(contributions, "contributions")
    check_draws(level, resamples)
    check_strata(cells)
    total = float(y.sum())
    centred = y - average_within(y, cells)[cells]
    # A constant that is not a binary fraction leaves rounding behind, which must not pass for noise.
    if np.abs(centred).max() <= 1e-14 * np.abs(y).max():
        return Estimate(total, total, total, len(y))
    drawn = resampled_sums(y, cells, resamples, rng)
    acceleration = float((centred**3).sum() / (6 * (centred**2).sum() ** 1.5))
    low, high = np.quantile(drawn, _bca_shares(drawn, total, acceleration, level))
    return Estimate(total, float(low), float(high), len(y))


def resampled_sums(
    contributions: np.ndarray, cells: np.ndarray, resamples: int, rng: np.random.Generator
) -> np.ndarray:
    """Return the sums of ``resamples`` bootstrap samples drawn within cells, ``(resamples,)``; memory is bounded."""
    sums = np.zeros(resamples)
    for rows in groups_of(cells):
        values, start = contributions[rows], 0
        for size in blocks(resamples, len(values)):
            draws = rng.integers(0, len(values), (size, len(values)))
            sums[start : start + size] += values[draws].sum(1)
            start += size
    return sums


def bootstrap_statistic(
    statistic: Callable[..., np.ndarray],
    values: np.ndarray,
    *,
    strata: np.ndarray | None = None,
    level: float = 0.95,
    resamples: int = 9_999,
    rng: np.random.Generator,
) -> Estimate:
    """Return any statistic of per-user values with its BCa interval, by :func:`scipy.stats.bootstrap`.

    Parameters
    ----------
    statistic
        Takes an array and ``axis``, as :func:`numpy.median` does, and reduces that axis. Users come ordered by
        stratum.
    values, strata, level, resamples, rng
        As in :func:`bootstrap_mean`, one row a user.

    Returns
    -------
    Estimate
        The interval is the point itself where no resample changes the statistic.

    Raises
    ------
    InvalidInput
        On NaN, fewer than two users, or a stratum of one user.
    NumericalFailure
        If the interval is not defined: the statistic lies outside all resampled ones.

    Notes
    -----
    Time grows with the square of the users (the jackknife of a general statistic); memory does not.

    Examples
    --------
    >>> estimate = bootstrap_statistic(np.median, np.arange(101.0), rng=np.random.default_rng(0))
    >>> estimate.low < estimate.value == 50 < estimate.high
    True
    """
    x = finite_vector(values, "values")
    check_draws(level, resamples)
    codes = numbered(strata, len(x), "strata")
    check_strata(codes)
    groups = groups_of(codes)
    value = float(statistic(np.concatenate([x[rows] for rows in groups]), axis=-1))
    if all(np.ptp(x[rows]) == 0 for rows in groups):
        return Estimate(value, value, value, len(x))
    result = stats.bootstrap(
        [x[rows] for rows in groups],
        lambda *samples, axis: statistic(np.concatenate(samples, axis=axis), axis=axis),
        n_resamples=resamples,
        batch=max(1, (1 << 20) // len(x)),
        vectorized=True,
        confidence_level=level,
        method="BCa",
        random_state=rng,
    )
    interval = result.confidence_interval
    if np.ptp(result.bootstrap_distribution) == 0:
        return Estimate(value, value, value, len(x))
    if not np.isfinite([interval.low, interval.high]).all():
        raise NumericalFailure("the BCa interval is not defined: the statistic lies outside all resampled ones")
    return Estimate(value, float(interval.low), float(interval.high), len(x))


def _bca_shares(drawn: np.ndarray, value: float, acceleration: float, level: float) -> np.ndarray:
    """Return which two quantiles of the resampled statistics end the interval."""
    share = (np.mean(drawn < value) + np.mean(drawn <= value)) / 2
    # One half draw inside the ends keeps the correction finite where no resample lies on one side.
    bias = stats.norm.ppf(np.clip(share, 0.5 / len(drawn), 1 - 0.5 / len(drawn)))
    reach = bias + stats.norm.ppf([(1 - level) / 2, (1 + level) / 2])
    shrink = 1 - acceleration * reach
    # The correction has a pole, which only extreme skewness at an extreme level reaches: beyond it lies the last draw.
    moved = np.where(shrink > 0, reach / np.where(shrink > 0, shrink, 1), np.inf * np.sign(reach))
    return np.asarray(stats.norm.cdf(bias + moved))
