"""The checks that inequalities bring along: a short search in every run, which twins must not survive."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from collabtheory.claims.counterexample import describe
from collabtheory.claims.evidence import LEAST_SHARE, Coverage, Evidence, Part
from collabtheory.claims.inequality import CLOSE, Case, Inequality
from collabtheory.claims.search import SearchResult, search
from collabtheory.claims.shrink import shrink
from collabtheory.claims.verdict import Rigor, Verdict

if TYPE_CHECKING:
    from collabtheory.claims.subject import Subject

TWIN_ROUNDS = 20
"""Most rounds of search against a false twin; the first violation ends it."""
MOST_SHOWN = 12
"""Cases of more numbers than this are not spelled out in a record."""


def search_evidence(inequalities: tuple[Inequality, ...]) -> Callable[[Subject], Evidence]:
    """Return the check that looks for violations of true inequalities (or of one false twin) for a moment."""

    def check_by_search(subject: Subject) -> Evidence:
        rounds = TWIN_ROUNDS if inequalities[0].control else 1
        return Evidence(
            parts=tuple(
                search_part(one, search(one, subject.rng("search", one.name, str(one.control)), rounds=rounds))
                for one in inequalities
            )
        )

    return check_by_search


def search_part(inequality: Inequality, result: SearchResult) -> Part:
    """Return the outcome of a search as a part of evidence; a violation is made as small as it goes."""
    coverage = Coverage(result.met, result.tried)
    if result.violation is not None:
        case = shrink(inequality, result.violation)
        found = describe(inequality, case, inequality.decide(case))
        return Part(
            inequality.name,
            inequality.text,
            Verdict.VIOLATED,
            Rigor.CERTIFIED,
            coverage,
            margin=inequality.slack(case),
            worst={"left": found["left"], "right": found["right"]},
            detail=f"decided in {found['arithmetic']} arithmetic on the smallest case found",
            counterexample=found,
        )
    if result.met == 0:
        return Part(inequality.name, inequality.text, Verdict.VACUOUS, Rigor.CHECKED, coverage)
    enough = coverage.share >= LEAST_SHARE
    return Part(
        inequality.name,
        inequality.text,
        Verdict.HOLDS if enough else Verdict.VACUOUS,
        Rigor.CHECKED,
        coverage,
        # A deficit that the rigorous comparison did not confirm is equality up to rounding.
        margin=max(result.slack, 0.0) if result.slack > -CLOSE else result.slack,
        worst=_shown(result.worst),
        detail="no violation found by a short search",
    )


def _shown(case: Case | None) -> dict[str, Any] | None:
    if case is None or sum(np.size(value) for value in case.values()) > MOST_SHOWN:
        return None
    return {name: str(np.round(value, 6).tolist()) for name, value in case.items()}
