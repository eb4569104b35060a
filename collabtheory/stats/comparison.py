"""What a comparison says about a claim: evidence from users and from runs, and the verdict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeVar

import numpy as np
from scipy import stats

from collabtheory.errors import InvalidInput
from collabtheory.stats.correlation import Estimate
from collabtheory.stats.effects import smallest_detectable
from collabtheory.stats.holm import holm

Verdict = Literal["supported", "contradicted", "inconclusive"]
Expected = Literal["greater", "less"]


@dataclass(frozen=True)
class Evidence:
    """What one source of noise leaves of a difference.

    Parameters
    ----------
    interval
        The difference with its interval.
    standard_error, degrees
        In the unit of the difference, with its degrees of freedom.
    p
        Two-sided p-value of "no difference".
    """

    interval: Estimate
    standard_error: float
    degrees: float
    p: float


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """A difference between two sides, how sure it is, and the verdict on the claim about it.

    Parameters
    ----------
    by_users, by_runs
        The evidence from users with the models as they are, and with training as a source of noise (None: not asked).
    effect_size
        Cohen's d_z (paired) or d (groups); 0 if nothing differs.
    level, practical, expected
        Confidence; the difference below which nobody would care, >= 0; the direction that the claim expects.
    p_adjusted, family
        The p-value corrected over a family of claims and the size of the family (None and 1 before
        :func:`with_holm`).
    """

    by_users: Evidence
    by_runs: Evidence | None
    effect_size: float
    level: float
    practical: float
    expected: Expected
    p_adjusted: float | None = None
    family: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.practical < np.inf:
            raise InvalidInput(f"practical must be finite and not negative; it is {self.practical}")
        if self.expected not in ("greater", "less"):
            raise InvalidInput(f"expected must be 'greater' or 'less'; it is {self.expected!r}")

    @property
    def difference(self) -> Estimate:
        """First minus second, with the hull of the intervals by users and by runs."""
        intervals = [evidence.interval for evidence in self._evidence]
        low, high = min(one.low for one in intervals), max(one.high for one in intervals)
        return Estimate(intervals[0].value, low, high, intervals[0].n)

    @property
    def n(self) -> int:
        """Number of users that the difference was taken over."""
        return self.by_users.interval.n

    @property
    def standard_error(self) -> float:
        """The larger of the standard errors by users and by runs."""
        return max(evidence.standard_error for evidence in self._evidence)

    @property
    def p(self) -> float:
        """The larger of the p-values by users and by runs."""
        return max(evidence.p for evidence in self._evidence)

    @property
    def smallest_detectable(self) -> float:
        """The smallest true difference that would have come out with probability .8.

        In a family it is what the first step of Holm's correction could see, at an error rate divided by the size
        of the family: a difference that large would have passed whatever the other claims are.
        """
        level = 1 - (1 - self.level) / self.family
        seen = [smallest_detectable(one.standard_error, one.degrees, level=level) for one in self._evidence]
        return self.practical + max(seen)

    @property
    def verdict(self) -> Verdict:
        """``supported``, ``contradicted`` or ``inconclusive``, by :func:`decide`."""
        p = self.p if self.p_adjusted is None else self.p_adjusted
        return decide(self.difference, p, level=self.level, practical=self.practical, expected=self.expected)

    @property
    def _evidence(self) -> tuple[Evidence, ...]:
        return (self.by_users,) if self.by_runs is None else (self.by_users, self.by_runs)


AnyComparison = TypeVar("AnyComparison", bound=Comparison)


def with_holm(comparisons: Sequence[AnyComparison]) -> tuple[AnyComparison, ...]:
    """Correct the p-values of a family of claims, and so decide each claim again.

    Parameters
    ----------
    comparisons
        All claims of a run, in any order, as they came out alone. Their intervals stay as they are; a verdict other
        than ``inconclusive`` now needs the adjusted p-value too, so it can only turn into ``inconclusive``.

    Returns
    -------
    tuple
        In the order given, with ``p_adjusted`` and ``family``.

    Examples
    --------
    >>> from collabtheory.stats import compare_paired
    >>> rng = np.random.default_rng(0)
    >>> claims = [compare_paired(rng.normal(shift, 1, 200), np.zeros(200), rng=rng) for shift in (0.5, 0.0)]
    >>> [claim.verdict for claim in with_holm(claims)]
    ['supported', 'inconclusive']
    """
    adjusted = holm(np.array([one.p for one in comparisons]))
    size = len(comparisons)
    return tuple(replace(one, p_adjusted=float(p), family=size) for one, p in zip(comparisons, adjusted, strict=True))


def decide(difference: Estimate, p: float, *, level: float, practical: float, expected: Expected) -> Verdict:
    """Return the verdict on a claim.

    ``supported`` if the interval lies wholly beyond ``practical`` in the expected direction and ``p`` is below
    ``1 - level``; ``contradicted`` if it does so in the other direction; else ``inconclusive``.

    Examples
    --------
    >>> decide(Estimate(0.02, 0.01, 0.03, 100), 0.001, level=0.95, practical=0.0, expected="less")
    'contradicted'
    """
    above, below = difference.low > practical, difference.high < -practical
    # 1 - .95 is a little more than .05 in binary; a p-value of exactly .05 must not pass through that gap.
    if not p < round(1 - level, 12) or not (above or below):
        return "inconclusive"
    return "supported" if above == (expected == "greater") else "contradicted"


def evidence_by_t(mean: float, n: int, error: tuple[float, float], level: float) -> Evidence:
    """Return Student's t interval and test of a mean, from its standard error and degrees of freedom."""
    standard_error, degrees = error
    reach = float(stats.t.ppf((1 + level) / 2, degrees)) * standard_error
    interval = Estimate(mean, mean - reach, mean + reach, n)
    if standard_error == 0:
        return Evidence(interval, 0.0, degrees, 0.0 if mean else 1.0)
    return Evidence(interval, standard_error, degrees, 2 * float(stats.t.sf(abs(mean) / standard_error, degrees)))
