"""Both tail bounds of Theorem 2.6 against the exact law, on every case of a grid of pairs and thresholds.

The probabilities start from exact integers; products of positive float64 numbers with a proven count of roundings
decide nearly all cases, and what they cannot tell from equality is decided in rational or interval arithmetic.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from flint import arb, fmpq
from numpy.lib.stride_tricks import sliding_window_view

from collabtheory.errors import InvalidInput
from collabtheory.latent.exact_masking import ExactLaw, binomial_numerators
from collabtheory.rigor.compare import Decision, compare_all, decide
from collabtheory.rigor.positive_floats import PositiveFloats

Terms = Callable[[np.ndarray, np.ndarray], np.ndarray]


def all_items(delta: np.ndarray, shared: np.ndarray) -> np.ndarray:
    """Return the number of independent terms, ``delta + s``."""
    return np.asarray(delta + shared)


@dataclass(frozen=True, eq=False)
class TailCases:
    """Pairs and thresholds at one keep probability, with the probability of the tail away from the mean.

    Parameters
    ----------
    law
        The exact law.
    delta, shared
        ``(cases,)`` int64, not both 0.
    numerators, denominator
        The threshold ``t = numerators / denominator``.
    upper
        Whether ``t >= m``; the probability is then ``P(D_h >= t)``, else ``P(D_h <= t)``.
    probability
        ``(cases,)``.
    """

    law: ExactLaw
    delta: np.ndarray
    shared: np.ndarray
    numerators: np.ndarray
    denominator: int
    upper: np.ndarray
    probability: PositiveFloats

    def __len__(self) -> int:
        return len(self.delta)

    @property
    def mean_numerators(self) -> np.ndarray:
        """The mean times ``b^2``, for ``rho = a / b``."""
        a, b = self.law.keep_probability.numerator, self.law.keep_probability.denominator
        return np.asarray(a * b * self.delta + 2 * a * (b - a) * self.shared)

    def threshold(self, case: int) -> Fraction:
        """Return the threshold of one case."""
        return Fraction(int(self.numerators[case]), self.denominator)

    def exact_ratio(self, case: int) -> tuple[int, int]:
        """Return the probability of one case as a numerator and a denominator, not reduced."""
        numbers, below = _numerators(self.law, int(self.delta[case]), int(self.shared[case]))
        t = self.threshold(case)
        kept = numbers[max(math.ceil(t), 0) :] if self.upper[case] else numbers[: max(math.floor(t) + 1, 0)]
        return sum(kept), below

    def exact_probability(self, case: int) -> Fraction:
        """Return the probability of one case."""
        return Fraction(*self.exact_ratio(case))


@dataclass(frozen=True)
class GridDecision:
    """How many cases were decided, how many of them not by float64, and the first that is false (or undecided)."""

    decision: Decision
    cases: int
    settled: int
    worst: dict[str, float | int | str] | None = None


def whole_thresholds(law: ExactLaw, largest: int) -> TailCases:
    """Return every ``delta, s <= largest`` with every whole threshold ``0 <= t <= delta + s``.

    They stand for all real ones: ``P(D_h >= t) = P(D_h >= ceil t)``, and the bounds fall away from the mean.
    """
    size = np.arange(largest + 1)
    delta, shared, t = np.meshgrid(size, size, np.arange(2 * largest + 1), indexing="ij")
    chosen = (t <= delta + shared) & (delta + shared > 0)
    return _cases(law, largest, delta[chosen], shared[chosen], t[chosen], 1)


def relative_thresholds(law: ExactLaw, largest: int, denominator: int, most: int = 2) -> TailCases:
    """Return every ``delta >= 1`` and ``s`` up to ``largest`` with the thresholds ``c delta`` of the statement.

    ``c`` goes from 0 to ``most`` in steps of ``1 / denominator``.
    """
    size = np.arange(largest + 1)
    delta, shared, k = np.meshgrid(size[1:], size, np.arange(most * denominator + 1), indexing="ij")
    return _cases(law, largest, delta.ravel(), shared.ravel(), (k * delta).ravel(), denominator)


def decide_hoeffding(cases: TailCases, terms: Terms = all_items) -> GridDecision:
    """Decide ``P <= exp(-2 (t - m)^2 / n)`` on every case, ``n`` by ``terms`` (cases with ``n = 0`` are left out)."""
    n = terms(cases.delta, cases.shared)
    square = cases.law.keep_probability.denominator**2
    distance = np.abs(cases.numerators * square - cases.mean_numerators * cases.denominator)
    below = n * (square * cases.denominator) ** 2
    kept = np.flatnonzero(n > 0)
    raised = PositiveFloats.ratios(2 * distance[kept] ** 2, below[kept]).exponential()

    def exactly(case: int) -> Decision:
        exponent = fmpq(2 * int(distance[case]) ** 2, int(below[case]))
        probability = cases.exact_probability(case)
        if exponent == 0:
            return compare_all((probability, "<=", 1))
        return decide(lambda: ((probability, "<=", (-arb(exponent)).exp()),)).decision

    return _decided(cases, kept, cases.probability[kept] * raised, exactly)


def decide_chernoff(cases: TailCases) -> GridDecision:
    """Decide ``P t^t (n - t)^(n - t) <= m^t (n - m)^(n - t)`` on every case with a whole threshold, ``0 < rho < 1``."""
    if cases.denominator != 1 or not 0 < cases.law.keep_probability < 1:
        raise InvalidInput("the Chernoff bound is rational for whole thresholds and 0 < rho < 1 only")
    t, n = cases.numerators, cases.delta + cases.shared
    square, mean = cases.law.keep_probability.denominator**2, cases.mean_numerators
    reached = PositiveFloats.ratios(t * square, mean).power(t)
    missed = PositiveFloats.ratios((n - t) * square, n * square - mean).power(n - t)

    def exactly(case: int) -> Decision:
        # Times the denominators and without reducing: integers of a few thousand bits.
        k, rest, m = int(t[case]), int(n[case] - t[case]), int(mean[case])
        numerator, denominator = cases.exact_ratio(case)
        left = numerator * k**k * rest**rest * square ** (k + rest)
        right = denominator * m**k * ((k + rest) * square - m) ** rest
        return Decision.TRUE if left <= right else Decision.FALSE

    return _decided(cases, np.arange(len(cases)), cases.probability * reached * missed, exactly)


def _decided(
    cases: TailCases, kept: np.ndarray, ratio: PositiveFloats, exactly: Callable[[int], Decision]
) -> GridDecision:
    """Decide ``ratio <= 1``; ``kept`` are the numbers of its cases."""
    quick = ratio.at_most_one()
    settled = kept[quick == 0]
    decisions = [(int(case), exactly(int(case))) for case in settled]
    bad = [(case, decision) for case, decision in decisions if decision is not Decision.TRUE]
    bad += [(int(case), Decision.FALSE) for case in kept[quick < 0][:1]]
    if not bad:
        return GridDecision(Decision.TRUE, len(kept), len(settled))
    case, decision = min(bad, key=lambda entry: (entry[1] is not Decision.FALSE, entry[0]))
    worst: dict[str, float | int | str] = {
        "delta": int(cases.delta[case]),
        "shared": int(cases.shared[case]),
        "keep_probability": str(cases.law.keep_probability),
        "threshold": str(cases.threshold(case)),
        "probability": str(cases.exact_probability(case)),
    }
    return GridDecision(decision, len(kept), len(settled), worst)


def _cases(
    law: ExactLaw, largest: int, delta: np.ndarray, shared: np.ndarray, numerators: np.ndarray, denominator: int
) -> TailCases:
    a, b = law.keep_probability.numerator, law.keep_probability.denominator
    mean = a * b * delta + 2 * a * (b - a) * shared
    upper = numerators * b * b >= mean * denominator
    at_least, at_most = _tails(law, largest)
    # Entry x + 1 is for x = -1, 0, ..., so that "at least 2 largest + 1" and "at most -1" are there, and 0.
    above = np.minimum(-(-numerators // denominator), 2 * largest + 1) + 1
    below = np.minimum(numerators // denominator, 2 * largest + 1) + 1
    values = np.where(upper, at_least.values[delta, above, shared], at_most.values[delta, below, shared])
    return TailCases(law, delta, shared, numerators, denominator, upper, PositiveFloats(values, at_least.roundings))


def _tails(law: ExactLaw, largest: int) -> tuple[PositiveFloats, PositiveFloats]:
    """Return ``P(D_h >= x)`` and ``P(D_h <= x)``, each ``(delta, x, s)`` with ``x = -1, ..., 2 largest + 1``."""
    width = largest + 1
    rows = [binomial_numerators(n, law.keep_probability) for n in range(width)]
    shared = [binomial_numerators(n, law.flip_probability) for n in range(width)]
    weights = PositiveFloats.quotients([row + [0] * (width - len(row)) for row, _ in shared], [d for _, d in shared])
    transposed = PositiveFloats(weights.values.T, weights.roundings)
    found = []
    for upper in (True, False):
        # Cumulated for x = -1 - largest, ..., 2 largest + 1, so that every x - j is there.
        cumulated = [_cumulated(row, width, upper) for row, _ in rows]
        ends = PositiveFloats.quotients(cumulated, [below for _, below in rows])
        windows = sliding_window_view(ends.values, width, axis=1)[:, :, ::-1]
        found.append(PositiveFloats(np.ascontiguousarray(windows), ends.roundings) @ transposed)
    return found[0], found[1]


def _cumulated(row: list[int], width: int, upper: bool) -> list[int]:
    """Return sums of the integers from (``upper``) or up to x, for ``x = -width, ..., 2 width - 1``."""
    padded = [0] * width + row + [0] * (2 * width - len(row))
    total = list(itertools.accumulate(padded, initial=0))
    return [total[-1] - before for before in total[:-1]] if upper else total[1:]


@functools.lru_cache(maxsize=4096)
def _numerators(law: ExactLaw, delta: int, shared: int) -> tuple[list[int], int]:
    return law.numerators(delta, shared)
