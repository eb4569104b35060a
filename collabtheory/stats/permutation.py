"""Permutation tests of paired differences and of two groups; p-values are never 0."""

from __future__ import annotations

import numpy as np
from scipy import stats

from collabtheory.errors import InvalidInput
from collabtheory.stats.samples import blocks, check_draws, finite_vector, groups_of, numbered


def sign_flip_p(differences: np.ndarray, *, resamples: int = 9_999, rng: np.random.Generator) -> float:
    r"""Return the two-sided p-value of "neither of the pair is better", by flipping signs of differences.

    .. math:: p = \frac{1 + \#\{b : |\sum_i s_i^{(b)} d_i| \ge |\sum_i d_i|\}}{1 + B}

    Parameters
    ----------
    differences
        ``(n,)`` finite: first minus second, one row a user (average a user's seeds first).
    resamples
        Number of random sign vectors ``B``, at least 99. Few users are done exactly: all :math:`2^n` sign vectors,
        where these are not more (:func:`scipy.stats.permutation_test`).
    rng
        Source of the signs.

    Returns
    -------
    float
        In (0, 1]; 1 if all differences are 0.

    Raises
    ------
    InvalidInput
        On NaN (the row is named) or fewer than two users.

    Notes
    -----
    Null hypothesis: each user's two values could have come the other way round. Strata change nothing, as signs
    flip within users. Exact for the two models as they are; a model trained twice is not exchangeable user by
    user, which is why :func:`~collabtheory.stats.compare_paired` looks at runs as well.

    Examples
    --------
    >>> sign_flip_p(np.array([1.0, 2.0, 3.0, 4.0]), rng=np.random.default_rng(0))
    0.125
    """
    d = finite_vector(differences, "differences")
    check_draws(0.5, resamples)
    # Zeros do not move the sum whatever their sign; without them more cases can be done exactly.
    d = d[d != 0]
    if len(d) < 2:
        return 1.0
    if 2 ** min(len(d), 60) <= resamples + 1:
        return _exact_sign_flip_p(d)
    observed, slack = abs(d.sum()), _rounding(d)
    reached = 0
    for size in blocks(resamples, len(d)):
        bits = np.frombuffer(rng.bytes(size * ((len(d) + 7) // 8)), dtype=np.uint8).reshape(size, -1)
        kept = np.unpackbits(bits, axis=1, count=len(d)).astype(np.float64)
        reached += int((np.abs(2 * (kept @ d) - d.sum()) >= observed - slack).sum())
    return (1 + reached) / (1 + resamples)


def label_permutation_p(
    values: np.ndarray,
    in_first: np.ndarray,
    *,
    strata: np.ndarray | None = None,
    resamples: int = 9_999,
    rng: np.random.Generator,
) -> float:
    """Return the two-sided p-value of "the groups have one distribution", permuting labels within strata.

    The statistic is the difference of means that :func:`difference_weights` describes.

    Parameters
    ----------
    values
        ``(n,)`` finite, one row a user.
    in_first
        ``(n,)`` boolean: whether the user is of the first group.
    strata
        ``(n,)`` labels; a user's label is exchanged with users of the same stratum only.
    resamples, rng
        As in :func:`sign_flip_p`; always by random draws, with one added above and below.

    Raises
    ------
    InvalidInput
        On NaN, or if no stratum has users of both groups.

    Examples
    --------
    >>> x, first = np.arange(40.0), np.arange(40) >= 20
    >>> label_permutation_p(x, first, rng=np.random.default_rng(0))
    0.0001
    """
    x = finite_vector(values, "values")
    check_draws(0.5, resamples)
    weights = difference_weights(in_first, strata)
    if len(weights) != len(x):
        raise InvalidInput(f"in_first must have one entry for each of the {len(x)} rows; it has {len(weights)}")
    sums = np.zeros(resamples)
    expected = 0.0
    for rows in groups_of(numbered(strata, len(x), "strata")):
        centred = x[rows] - x[rows].mean()
        # Weights cancel within a stratum, so that centring changes no statistic and saves digits.
        expected += float(weights[rows] @ centred)
        sums += _permuted_sums(centred, weights[rows], resamples, rng)
    slack = _rounding(weights * x)
    return float(1 + (np.abs(sums) >= abs(expected) - slack).sum()) / (1 + resamples)


def difference_weights(in_first: np.ndarray, strata: np.ndarray | None = None) -> np.ndarray:
    r"""Return weights ``(n,)`` whose sum with values is the difference of the groups' means within strata.

    .. math:: \sum_s \frac{w_s}{\sum w} (\bar x_{1s} - \bar x_{2s}), \qquad w_s = \frac{n_{1s} n_{2s}}{n_{1s} + n_{2s}}

    This is the coefficient of the group in a least-squares fit with one constant a stratum: strata that differ
    in level and in their mix of groups do not pass for a difference of groups. A stratum of one group only says
    nothing about the difference and has weight 0.

    Raises
    ------
    InvalidInput
        If ``in_first`` is not a boolean vector, or no stratum has users of both groups.

    Examples
    --------
    >>> difference_weights(np.array([True, True, False])).tolist()
    [0.5, 0.5, -1.0]
    """
    first = np.asarray(in_first)
    if first.dtype != np.bool_ or first.ndim != 1:
        raise InvalidInput("in_first must be a boolean vector, true for users of the first group")
    codes = numbered(strata, len(first), "strata")
    n_first = np.bincount(codes, weights=first)
    n_second = np.bincount(codes, weights=~first)
    stratum_weight = n_first * n_second / (n_first + n_second)
    if not stratum_weight.sum() > 0:
        raise InvalidInput("both groups need users, in at least one common stratum")
    with np.errstate(divide="ignore", invalid="ignore"):
        per_user = np.where(first, (stratum_weight / n_first)[codes], -(stratum_weight / n_second)[codes])
    return np.asarray(np.where(stratum_weight[codes] > 0, per_user, 0.0) / stratum_weight.sum())


def _exact_sign_flip_p(d: np.ndarray) -> float:
    def total(values: np.ndarray, axis: int) -> np.ndarray:
        return np.asarray(values.sum(axis=axis))

    result = stats.permutation_test((d,), total, permutation_type="samples", vectorized=True, n_resamples=np.inf)
    return float(result.pvalue)


def _permuted_sums(values: np.ndarray, weights: np.ndarray, resamples: int, rng: np.random.Generator) -> np.ndarray:
    """Return the weighted sums of one stratum under permuted labels, ``(resamples,)``."""
    # Weights take two values, and the values sum to 0, so the smaller group's sum gives the whole.
    few = weights > 0 if 2 * (weights > 0).sum() <= len(weights) else weights <= 0
    if not few.any():
        return np.zeros(resamples)
    factor, size_few = weights[few][0] - weights[~few][0], int(few.sum())
    sums = [
        rng.permuted(np.tile(values, (size, 1)), axis=1)[:, :size_few].sum(1) for size in blocks(resamples, len(values))
    ]
    return np.asarray(factor * np.concatenate(sums))


def _rounding(contributions: np.ndarray) -> float:
    """Return how far two sums of the same numbers in another order may differ, generously."""
    return 1e-12 * float(np.abs(contributions).sum())
