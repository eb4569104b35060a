"""The search for a case that breaks an inequality: random and degenerate cases, then gradient ascent."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy import optimize

from collabtheory.claims.inequality import CLOSE, Case, Inequality, Variable
from collabtheory.rigor.compare import Decision

DRAWS, ASCENTS, ITERATIONS = 120, 3, 12
"""Per round of :func:`search`: cases drawn, the closest of them that are pushed further, and steps of each push."""
NOWHERE = 1e6
"""How near a case counts whose sides are not numbers."""


@dataclass(frozen=True)
class SearchResult:
    """What a search came to: the worst case found and, where one was found, a certain violation.

    ``met`` of ``tried`` cases met the premise; ``slack`` is the smallest relative slack in float64 (NaN if none met).
    """

    tried: int
    met: int
    slack: float
    worst: Case | None
    violation: Case | None


class Tally:
    """Counts cases, keeps the worst, and decides rigorously whatever float64 cannot tell from a violation."""

    def __init__(self, inequality: Inequality) -> None:
        self.inequality = inequality
        self.tried = self.met = 0
        self.slack, self.worst = math.inf, None  # type: float, Case | None
        self.violation: Case | None = None
        self.ties = 0

    def see(self, case: Case) -> float:
        """Return how near a case is to a violation, having counted it.

        That is its slack; where the premise is not met, more than most slacks, and the less the nearer it is to it.
        """
        met, slack = self.inequality.met_and_slack(case)
        self.tried += 1
        if not met or math.isnan(slack):
            return NOWHERE if met else 2.0 - slack
        self.met += 1
        if slack < self.slack:
            self.slack, self.worst = slack, case
            # Ties in float64 are decided where they first occur; equality cases would otherwise be decided forever.
            if slack < -CLOSE or (slack <= 0 and self.ties < 3):
                self.ties += slack >= -CLOSE
                decided = self.inequality.decide(case)
                if decided.decision is Decision.FALSE:
                    self.violation = case
        return slack

    def result(self) -> SearchResult:
        """Return what came of it."""
        slack = self.slack if self.met else math.nan
        return SearchResult(self.tried, self.met, slack, self.worst, self.violation)


def search(inequality: Inequality, rng: np.random.Generator, *, rounds: int = 1) -> SearchResult:
    """Look for a violation with a fixed amount of work, the same for the same generator.

    Parameters
    ----------
    inequality
        What to break.
    rng
        Source of the cases.
    rounds
        Each draws ``DRAWS`` cases and pushes the ``ASCENTS`` closest with at most ``ITERATIONS`` quasi-Newton steps.

    Returns
    -------
    SearchResult
        A ``violation`` was decided in interval (or rational) arithmetic; that none was found proves nothing.
    """
    tally = Tally(inequality)
    for _ in range(rounds):
        _round(tally, rng)
        if tally.violation is not None:
            break
    return tally.result()


def search_for(inequality: Inequality, rng: np.random.Generator, seconds: float) -> SearchResult:
    """Look for a violation until one is found or the time is over."""
    tally, end = Tally(inequality), time.monotonic() + seconds
    while tally.violation is None and time.monotonic() < end:
        _round(tally, rng)
    return tally.result()


def _round(tally: Tally, rng: np.random.Generator) -> None:
    scored: list[tuple[float, int, Case]] = []
    for number, case in enumerate(draw_cases(tally.inequality, rng, DRAWS)):
        # Cases that miss the premise come last, the nearest to it first.
        scored.append((tally.see(case), number, case))
        if tally.violation is not None:
            return
    for _, _, case in sorted(scored, key=lambda entry: entry[:2])[:ASCENTS]:
        _ascend(tally, case)
        if tally.violation is not None:
            return


def _ascend(tally: Tally, case: Case) -> None:
    """Push a case against the inequality along the gradient of the slack in its real variables."""
    variables = tally.inequality.variables
    free = [name for name, variable in variables.items() if variable.kind in ("real", "positive")]
    if not free:
        return
    shapes = {name: np.shape(case[name]) for name in free}
    start = np.concatenate([np.ravel(case[name]) for name in free])
    bounds = np.concatenate([np.tile([(variables[n].low, variables[n].high)], (np.size(case[n]), 1)) for n in free])

    def rebuilt(point: np.ndarray) -> Case:
        pieces = np.split(point, np.cumsum([int(np.prod(shapes[name])) for name in free])[:-1])
        return {**case, **{n: piece.reshape(shapes[n]) for n, piece in zip(free, pieces, strict=True)}}

    def objective(point: np.ndarray) -> float:
        met, slack = tally.inequality.met_and_slack(rebuilt(point))
        value = slack if met else 2.0 - slack
        return value if math.isfinite(value) else NOWHERE

    found = optimize.minimize(
        objective, np.clip(start, *bounds.T), method="L-BFGS-B", bounds=bounds, options={"maxiter": ITERATIONS}
    )
    tally.see(rebuilt(np.clip(found.x, *bounds.T)))


def draw_cases(inequality: Inequality, rng: np.random.Generator, n: int) -> Iterator[Case]:
    """Draw cases of all sizes: spread, small, sparse, whole-numbered, with equal rows, at the ends of ranges."""
    for _ in range(n):
        lengths = {axis: int(rng.integers(low, high + 1)) for axis, (low, high) in inequality.axes.items()}
        yield {
            name: _draw(variable, tuple(lengths[axis] for axis in variable.axes), rng)
            for name, variable in inequality.variables.items()
        }


def _draw(variable: Variable, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    low, high = variable.low, variable.high
    if variable.kind == "binary":
        return np.asarray(rng.random(shape) < rng.choice([0.2, 0.5, 0.8]), dtype=np.float64)
    if variable.kind == "integer":
        return rng.integers(int(low), int(high) + 1, size=shape).astype(np.float64)
    if variable.kind == "positive":
        values = np.exp(rng.uniform(math.log(low), math.log(high), size=shape))
    else:
        values = rng.uniform(low, high, size=shape)
    style = rng.integers(6)
    if style == 0 and variable.kind == "real":
        values = values * 10.0 ** rng.uniform(-4, 0)
    elif style == 1 and variable.kind == "real":
        values = values * (rng.random(shape) < 0.5)
    elif style == 2:
        values = np.round(values)
    elif style == 3 and values.ndim and len(values):
        values = np.broadcast_to(values[:1], values.shape).copy()
    elif style == 4:
        values = np.where(rng.random(shape) < 0.5, low, high)
    clipped: np.ndarray = np.clip(values, low, high)
    return clipped
