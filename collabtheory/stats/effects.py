"""Effect sizes, standard errors, the smallest effect a design could have seen, and equivalence."""

from __future__ import annotations

import numpy as np
from scipy import optimize, stats

from collabtheory.errors import InvalidInput
from collabtheory.stats.samples import average_within, check_strata, finite_vector


def cohens_dz(differences: np.ndarray) -> float:
    r"""Return the standardised paired difference :math:`d_z = \bar d / s_d` (``s_d`` with ``n - 1``).

    0 if all differences are 0; infinite, with their sign, if they all are one other number.

    Raises
    ------
    InvalidInput
        On NaN or fewer than two users.

    Examples
    --------
    >>> cohens_dz(np.array([1.0, 2.0, 3.0]))
    2.0
    """
    d = finite_vector(differences, "differences")
    return _ratio(float(d.mean()), 0.0 if np.ptp(d) == 0 else float(d.std(ddof=1)))


def cohens_d(first: np.ndarray, second: np.ndarray) -> float:
    r"""Return the standardised difference of two groups, :math:`(\bar x_1 - \bar x_2) / s` with the pooled ``s``.

    Degenerate groups give 0 or infinity as in :func:`cohens_dz`.

    Examples
    --------
    >>> cohens_d(np.array([2.0, 3.0, 4.0]), np.array([1.0, 2.0, 3.0]))
    1.0
    """
    x, y = finite_vector(first, "first"), finite_vector(second, "second")
    # Means of equal constants may differ by rounding, which must not pass for an infinite effect.
    if np.ptp(x) == np.ptp(y) == 0:
        return _ratio(float(x[0] - y[0]), 0.0)
    squares = float(((x - x.mean()) ** 2).sum() + ((y - y.mean()) ** 2).sum())
    return _ratio(float(x.mean() - y.mean()), float(np.sqrt(squares / (len(x) + len(y) - 2))))


def group_superiority(first: np.ndarray, second: np.ndarray) -> float:
    r"""Return the common-language effect :math:`P(x > y) + P(x = y)/2` for a user of each group, in [0, 1].

    Examples
    --------
    >>> group_superiority(np.array([2.0, 3.0]), np.array([1.0, 2.0]))
    0.875
    """
    x, y = finite_vector(first, "first"), finite_vector(second, "second")
    return float(stats.mannwhitneyu(x, y, method="asymptotic").statistic / (len(x) * len(y)))


def standard_error_of_sum(contributions: np.ndarray, cells: np.ndarray) -> tuple[float, int]:
    r"""Return the standard error of a sum and its degrees of freedom; users are independent within cells.

    .. math:: \sqrt{\sum_c \frac{n_c}{n_c - 1} \sum_{i \in c} (y_i - \bar y_c)^2}, \qquad n - \#c

    For one cell of contributions :math:`x_i / n` this is :math:`s / \sqrt n`.

    Raises
    ------
    InvalidInput
        On NaN, or a cell of one member.

    Examples
    --------
    >>> standard_error_of_sum(np.array([1.0, 2.0, 3.0]) / 3, np.zeros(3, dtype=int))
    (0.577..., 2)
    """
    y = finite_vector(contributions, "contributions")
    check_strata(cells)
    sizes = np.bincount(cells)
    squares = np.bincount(cells, weights=(y - average_within(y, cells)[cells]) ** 2)
    variance = float((sizes / (sizes - 1.0) * squares).sum())
    return float(np.sqrt(variance)), len(y) - len(sizes)


def smallest_detectable(standard_error: float, degrees: float, *, level: float = 0.95, power: float = 0.8) -> float:
    r"""Return the smallest true difference that a two-sided test finds with the given power.

    Solves :math:`P(T'_{\nu,\delta} > t_{\nu, 1-\alpha/2}) = \text{power}`, ``T'`` noncentral Student's t, for
    :math:`\delta`, and returns :math:`\delta` standard errors (about 2.8 of them for many users).

    Parameters
    ----------
    standard_error
        Of the difference, >= 0, in its unit.
    degrees
        Degrees of freedom of the standard error, >= 1.
    level
        One minus the test's error rate.
    power
        In (0, 1), above the error rate.

    Raises
    ------
    InvalidInput
        If an argument is out of its range.

    Examples
    --------
    >>> round(smallest_detectable(0.001, 5000), 5), round(smallest_detectable(0.001, 4), 5)
    (0.0028, 0.00376)
    """
    _check_test(standard_error, degrees, level)
    if not 1 - level < power < 1:
        raise InvalidInput(f"power must be between {1 - level:.3g} and 1; it is {power}")
    critical = float(stats.t.ppf((1 + level) / 2, degrees))
    # P(T' > c) = E Phi(delta - c S), nu S^2 ~ chi2: scipy's nct does not converge for one degree at a high level.
    scales = np.sqrt(stats.chi2.ppf((np.arange(4000) + 0.5) / 4000, degrees) / degrees)
    delta = optimize.brentq(
        lambda d: float(stats.norm.cdf(d - critical * scales).mean()) - power, 0, critical * float(scales[-1]) + 40
    )
    return standard_error * float(delta)


def equivalence_margin(difference: float, standard_error: float, degrees: float, *, level: float = 0.95) -> float:
    r"""Return the smallest margin within which the two sides are shown to be equivalent (two one-sided tests).

    .. math:: |d| + t_{\nu, 1-\alpha} \, \text{se}

    An inconclusive comparison is no evidence of equality; "equal up to m" is shown for every m above this.

    Raises
    ------
    InvalidInput
        If an argument is out of its range.

    References
    ----------
    Schuirmann, J. Pharmacokinet. Biopharm. 15 (1987) 657-680.

    Examples
    --------
    >>> round(equivalence_margin(0.001, 0.002, 500), 4)
    0.0043
    """
    _check_test(standard_error, degrees, level)
    return abs(difference) + float(stats.t.ppf(level, degrees)) * standard_error


def _ratio(difference: float, deviation: float) -> float:
    if deviation > 0:
        return difference / deviation
    return float(np.sign(difference) * np.inf) if difference else 0.0


def _check_test(standard_error: float, degrees: float, level: float) -> None:
    if not 0 <= standard_error < np.inf:
        raise InvalidInput(f"standard_error must be finite and not negative; it is {standard_error}")
    if not degrees >= 1:
        raise InvalidInput(f"degrees must be at least 1; it is {degrees}")
    if not 0 < level < 1:
        raise InvalidInput(f"level must be between 0 and 1, such as 0.95; it is {level}")
