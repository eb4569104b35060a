"""How often a procedure says yes where the truth is no, measured by repetition."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import stats

from collabtheory.errors import InvalidInput


@dataclass(frozen=True)
class ErrorRate:
    """A count of errors in repetitions, with the exact 95 % (Clopper-Pearson) interval of their rate.

    Parameters
    ----------
    count, repetitions
        Errors, and how often they could have happened.
    low, high
        Interval of the rate.
    nominal
        The rate that the procedure promises.
    """

    count: int
    repetitions: int
    low: float
    high: float
    nominal: float

    @classmethod
    def of(cls, count: int, repetitions: int, nominal: float) -> ErrorRate:
        """Return the rate of a count, with its interval."""
        interval = stats.binomtest(count, repetitions).proportion_ci(0.95, method="exact")
        return cls(count, repetitions, float(interval.low), float(interval.high), nominal)

    @property
    def rate(self) -> float:
        """Share of repetitions that came out wrong."""
        return self.count / self.repetitions

    @property
    def contains_nominal(self) -> bool:
        """Whether the measured rate agrees with the promised one."""
        return self.low <= self.nominal <= self.high

    @property
    def exceeds_nominal(self) -> bool:
        """Whether the rate is shown to be above the promised one; a cautious procedure may well be below it."""
        return self.low > self.nominal


def measure_error_rate(
    run_once: Callable[[np.random.Generator], bool],
    repetitions: int,
    rng: np.random.Generator,
    level: float = 0.05,
) -> ErrorRate:
    """Repeat a case whose truth is known and count how often it comes out wrong.

    Parameters
    ----------
    run_once
        Makes one case from its own generator and returns whether the procedure erred.
    repetitions
        At least 1; 200 tell .05 from .10.
    rng
        Parent of one independent generator a repetition: none depends on what others drew or on how many follow.
    level
        The promised error rate, in (0, 1).

    Raises
    ------
    InvalidInput
        If there is no repetition, or ``level`` is not in (0, 1).

    Examples
    --------
    >>> result = measure_error_rate(lambda rng: bool(rng.random() < 0.05), 400, np.random.default_rng(0))
    >>> result.contains_nominal, result.exceeds_nominal
    (True, False)
    """
    if repetitions < 1:
        raise InvalidInput(f"repetitions must be at least 1; it is {repetitions}")
    if not 0 < level < 1:
        raise InvalidInput(f"level must be between 0 and 1; it is {level}")
    count = sum(bool(run_once(child)) for child in rng.spawn(repetitions))
    return ErrorRate.of(count, repetitions, level)
