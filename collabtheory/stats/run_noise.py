r"""Standard errors that count training a model again as a source of noise, next to drawing other users.

Users are many, runs (folds, seeds) are few. Resampling users treats the trained models as fixed: the standard
error goes to 0 with the number of users, while another seed would still move the mean. Two designs are exact:

nested
    each user is tested in one run, as in K-fold evaluation. The spread of the runs' means holds both sources.
crossed
    every user is tested in every run, as with several seeds on one split. Users and runs are two crossed random
    effects, :math:`d_{ur} = \mu + a_u + b_r + e_{ur}`.
"""

from __future__ import annotations

import numpy as np

from collabtheory.errors import InvalidInput
from collabtheory.stats.samples import average_within, one_label_each


def run_level_error(values: np.ndarray, users: np.ndarray, runs: np.ndarray) -> tuple[float, float]:
    """Return the standard error of the mean over users and runs, with its degrees of freedom.

    Parameters
    ----------
    values
        ``(n,)`` finite, one row a user and run; rows of one user in one run (several seeds in a fold) are averaged.
    users, runs
        ``(n,)`` numbers 0, 1, ... of the user and the run of each row.

    Raises
    ------
    InvalidInput
        If there is one run only, or the design is neither nested nor crossed.

    Examples
    --------
    >>> run_level_error(np.array([1.0, 3.0, 2.0, 4.0]), np.arange(4), np.array([0, 0, 1, 1]))
    (0.5, 1.0)
    """
    n_users, n_runs = int(users.max()) + 1, int(runs.max()) + 1
    if n_runs < 2:
        raise InvalidInput("runs must name at least 2 runs; leave runs out to treat the models as fixed")
    present, cell = np.unique(users * n_runs + runs, return_inverse=True)
    means = average_within(values, cell)
    if len(present) == n_users:
        return nested_error((means - means.mean()) / n_users, one_label_each(runs, users, "run"))
    if len(present) == n_users * n_runs:
        return crossed_error(means.reshape(n_users, n_runs))
    raise InvalidInput(
        "each user must be in one run, or every user in every run; with several seeds in a fold give the fold as run"
    )


def nested_error(scores: np.ndarray, runs: np.ndarray) -> tuple[float, float]:
    r"""Return the standard error of a sum over users that are clustered in runs, with ``R - 1`` degrees of freedom.

    .. math:: \sqrt{\frac{R}{R - 1} \sum_r \Big(\sum_{i \in r} s_i\Big)^2}

    Parameters
    ----------
    scores
        ``(n,)`` contributions of users minus what the estimate expects of them: :math:`(d_i - \bar d)/n` for a mean.
        Equally large runs give the standard error of the mean of R run means, which has Student's t exactly.
    runs
        ``(n,)`` run numbers, at least two different ones.

    Examples
    --------
    >>> nested_error(np.array([-0.5, 0.5]), np.array([0, 1]))
    (1.0, 1.0)
    """
    totals = np.bincount(runs, weights=scores)
    n_runs = len(totals)
    return float(np.sqrt(n_runs / (n_runs - 1) * (totals**2).sum())), float(n_runs - 1)


def crossed_error(table: np.ndarray) -> tuple[float, float]:
    r"""Return the standard error of the mean of a users x runs table, both random, with Satterthwaite's degrees.

    .. math:: \frac{MS_r + \max(0, MS_u - MS_e)}{U R}, \qquad
       \nu = \frac{(MS_r + \max(0, MS_u - MS_e))^2}{MS_r^2/(R-1) + \max(0, MS_u - MS_e)^2/(U-1)}

    with the mean squares of users, runs and interaction of the two-way analysis of variance.

    Parameters
    ----------
    table
        ``(users, runs)`` finite, at least 2 x 2.

    References
    ----------
    Searle, Casella and McCulloch, Variance Components (1992), sec. 4.3; Satterthwaite, Biometrics Bulletin 2 (1946).

    Examples
    --------
    >>> crossed_error(np.array([[1.0, 2.0], [1.0, 2.0]]))
    (0.5, 1.0)
    """
    n_users, n_runs = table.shape
    mean = table.mean()
    users, runs = table.mean(1) - mean, table.mean(0) - mean
    rest = table - mean - users[:, None] - runs
    of_runs = n_users * float((runs**2).sum()) / (n_runs - 1)
    of_users = n_runs * float((users**2).sum()) / (n_users - 1)
    lasting = max(0.0, of_users - float((rest**2).sum()) / ((n_users - 1) * (n_runs - 1)))
    total = of_runs + lasting
    if total == 0:
        return 0.0, float(n_runs - 1)
    degrees = total**2 / (of_runs**2 / (n_runs - 1) + lasting**2 / (n_users - 1))
    return float(np.sqrt(total / (n_users * n_runs))), float(degrees)
