"""Property-based search for violations: Hypothesis draws simple and odd cases and follows the smallest margins."""

from __future__ import annotations

import contextlib
import math
import time
import warnings
from typing import Any

import numpy as np

from collabtheory.claims.inequality import Case, Inequality, Variable
from collabtheory.claims.search import SearchResult, Tally

EXAMPLES = 400


def search_by_properties(inequality: Inequality, rng: np.random.Generator, seconds: float) -> SearchResult:
    """Look for a violation with Hypothesis until one is found or the time is over.

    The relative slack is the target that Hypothesis drives down.
    """
    from hypothesis import HealthCheck, Phase, given, seed, settings, target
    from hypothesis.errors import NonInteractiveExampleWarning

    class Over(BaseException):
        """Ends a round early. Hypothesis would take an Exception for a failure of the case, and run it again."""

    # Built before the clock starts: importing what it needs takes longer than a short search.
    strategy = cases(inequality)
    tally, end = Tally(inequality), time.monotonic() + seconds

    @settings(
        max_examples=EXAMPLES, database=None, deadline=None, phases=(Phase.generate, Phase.target),
        suppress_health_check=list(HealthCheck), report_multiple_bugs=False, print_blob=False,
    )  # fmt: skip
    @given(strategy)
    def look(case: Case) -> None:
        if tally.violation is None and time.monotonic() < end:
            distance = tally.see(case)
        if tally.violation is not None or time.monotonic() >= end:
            raise Over
        target(-distance)

    while tally.violation is None and time.monotonic() < end:
        with warnings.catch_warnings(), contextlib.suppress(Over):
            warnings.simplefilter("ignore", NonInteractiveExampleWarning)
            seed(int(rng.integers(2**31)))(look)()
    return tally.result()


def cases(inequality: Inequality) -> Any:
    """Return the Hypothesis strategy of the inequality's cases."""
    from hypothesis import strategies as st
    from hypothesis.extra.numpy import arrays

    @st.composite
    def draw(draw_value: Any) -> Case:
        lengths = {axis: draw_value(st.integers(low, high)) for axis, (low, high) in inequality.axes.items()}
        return {
            name: draw_value(
                arrays(np.float64, tuple(lengths[axis] for axis in variable.axes), elements=_entries(variable))
            )
            for name, variable in inequality.variables.items()
        }

    return draw()


def _entries(variable: Variable) -> Any:
    from hypothesis import strategies as st

    if variable.kind == "binary":
        return st.sampled_from([0.0, 1.0])
    if variable.kind == "integer":
        return st.integers(int(variable.low), int(variable.high)).map(float)
    floats = st.floats(variable.low, variable.high, allow_subnormal=False)
    low, high = math.ceil(variable.low * 10), math.floor(variable.high * 10)
    # Decimals of few digits first: they are what a counterexample should look like.
    return st.one_of(st.integers(low, high).map(lambda k: k / 10), floats) if low <= high else floats
