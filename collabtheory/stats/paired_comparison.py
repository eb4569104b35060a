"""Does one method beat another on the same users: interval, test, effect size and verdict in one call."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from collabtheory.errors import InvalidInput
from collabtheory.stats.bootstrap import bootstrap_sum
from collabtheory.stats.comparison import Comparison, Evidence, Expected, evidence_by_t
from collabtheory.stats.effects import cohens_dz, standard_error_of_sum
from collabtheory.stats.permutation import sign_flip_p
from collabtheory.stats.run_noise import run_level_error
from collabtheory.stats.samples import average_within, finite_vector, numbered, one_label_each


@dataclass(frozen=True, kw_only=True)
class PairedComparison(Comparison):
    """A comparison over the same users; ``effect_size`` is Cohen's d_z of the users' differences.

    Parameters
    ----------
    better, worse, equal
        Shares of users whose first value is larger, smaller, the same; they sum to 1.
    """

    better: float
    worse: float
    equal: float


def compare_paired(
    first: np.ndarray,
    second: np.ndarray,
    *,
    strata: np.ndarray | None = None,
    users: np.ndarray | None = None,
    runs: np.ndarray | None = None,
    rng: np.random.Generator,
    level: float = 0.95,
    practical: float = 0.0,
    expected: Expected = "greater",
    resamples: int = 9_999,
) -> PairedComparison:
    r"""Judge the claim "first > second" by the mean over users of the paired differences.

    Parameters
    ----------
    first, second
        ``(n,)`` finite values of the same rows: row i of both is the same user (and the same run).
    strata
        ``(n,)`` labels: users are resampled within their stratum (fold, cohort).
    users
        ``(n,)`` labels of users where one user has several rows; without it every row is another user.
    runs
        ``(n,)`` labels of the training run each row comes from: its fold, or its seed. Either each user is in one
        run, or every user is in every run. With several seeds in each fold give the fold, and ``users``. Without
        it the verdict is about the trained models at hand, not about the methods.
    rng
        Source of resamples and sign flips.
    level
        Confidence; the test's error rate is one minus it.
    practical
        The difference below which nobody would care, >= 0: a verdict needs the interval beyond it.
    expected
        ``"less"`` for the claim "first < second".
    resamples
        Bootstrap resamples, and sign flips.

    Raises
    ------
    InvalidInput
        On different lengths, NaN (the row is named), fewer than two users, a stratum of one user, one run only,
        or runs that are neither nested nor crossed.

    Notes
    -----
    **By users**: stratified BCa interval and sign-flip permutation test. Users are the unit of resampling, so the
    trained models count as fixed. Many users make that interval as short as one likes, while training again with
    another seed would move the difference by more: the same method trained twice would come out different.

    **By runs**: Student's t over the runs (:mod:`~collabtheory.stats.run_noise`). A two-level bootstrap of five
    runs has a variance too small by 4/5 and normal tails in place of those of t with 4 degrees of freedom; the t
    interval has its promised error rate with three runs already, and so it is used here.

    The verdict needs both: the hull of the intervals, the larger p. Where training noise is large, t alone decides
    and errs at its promised rate; where it is absent, both have to err at once, and the rate falls below that.
    Folds share training users, so their runs are not quite independent, and no estimator of K-fold variance is
    free of bias (Bengio and Grandvalet, JMLR 5 (2004)); independent repetitions measure what is left
    (:func:`~collabtheory.stats.measure_error_rate`).

    If all differences are the same number, its interval is the point itself.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> base, fold = rng.random(500), np.arange(500) % 5
    >>> result = compare_paired(base + rng.normal(0.02, 0.05, 500), base, strata=fold, runs=fold, rng=rng)
    >>> result.verdict, result.n
    ('supported', 500)
    """
    rows = _differences(first, second)
    user_codes = np.arange(len(rows)) if users is None else numbered(users, len(rows), "users")
    stratum = one_label_each(numbered(strata, len(rows), "strata"), user_codes, "stratum")
    run_codes = None if runs is None else numbered(runs, len(rows), "runs")
    by_user = finite_vector(average_within(rows, user_codes), "differences averaged by user")
    by_runs = None
    if run_codes is not None:
        error = run_level_error(rows, user_codes, run_codes)
        by_runs = evidence_by_t(float(by_user.mean()), len(by_user), error, level)
    return PairedComparison(
        by_users=_by_users(by_user, stratum, level, resamples, rng),
        by_runs=by_runs,
        effect_size=cohens_dz(by_user),
        level=level,
        practical=practical,
        expected=expected,
        better=float((by_user > 0).mean()),
        worse=float((by_user < 0).mean()),
        equal=float((by_user == 0).mean()),
    )


def _differences(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    x, y = finite_vector(first, "first"), finite_vector(second, "second")
    if len(x) != len(y):
        raise InvalidInput(f"first and second must have the same users; they have {len(x)} and {len(y)} rows")
    return np.asarray(x - y)


def _by_users(
    differences: np.ndarray, stratum: np.ndarray, level: float, resamples: int, rng: np.random.Generator
) -> Evidence:
    shares = differences / len(differences)
    interval = bootstrap_sum(shares, stratum, level=level, resamples=resamples, rng=rng)
    error, degrees = standard_error_of_sum(shares, stratum)
    return Evidence(interval, error, float(degrees), sign_flip_p(differences, resamples=resamples, rng=rng))
