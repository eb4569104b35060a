"""Property tests: the last resort for a step that no certifying means fits. They never certify."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from collabtheory.rigor.compare import Comparison, Decision, compare_all
from collabtheory.rigor.finding import Finding, Means

EXAMPLES = 300


def on_examples(
    claim: Callable[..., Comparison | None], strategies: dict[str, Any], domain: str, *, examples: int = EXAMPLES
) -> Finding:
    """Decide an exact or enclosed comparison on examples that Hypothesis draws (always the same ones).

    Parameters
    ----------
    claim
        Takes an example as keywords and returns ``(left, relation, right)``, or None where the premise does not hold.
    strategies
        A Hypothesis strategy for each keyword.
    domain
        What they are drawn from, in words.
    examples
        How many are tried.

    Returns
    -------
    Finding
        ``FALSE`` with the smallest counterexample that Hypothesis shrinks to; ``TRUE`` says that no example refutes.
        Undecided examples count as not met; none met is ``UNDECIDED``.
    """
    from hypothesis import HealthCheck, Phase, given, settings

    met = [0]
    refuted: list[dict[str, Any]] = []

    class Refuted(Exception):
        pass

    @settings(
        max_examples=examples, derandomize=True, database=None, deadline=None, print_blob=False,
        phases=(Phase.generate, Phase.shrink), suppress_health_check=list(HealthCheck), report_multiple_bugs=False,
    )  # fmt: skip
    @given(**strategies)
    def check(**case: Any) -> None:
        comparison = claim(**case)
        decision = Decision.UNDECIDED if comparison is None else compare_all(comparison)
        met[0] += decision is Decision.TRUE
        if decision is Decision.FALSE:
            refuted.append(case)
            raise Refuted

    try:
        check()
    except Refuted:
        worst = {name: str(value) for name, value in refuted[-1].items()}
        return Finding(Means.PROPERTY, Decision.FALSE, len(refuted), f"a counterexample in {domain}", worst)
    decision = Decision.TRUE if met[0] else Decision.UNDECIDED
    return Finding(Means.PROPERTY, decision, met[0], f"{met[0]} examples: {domain}")
