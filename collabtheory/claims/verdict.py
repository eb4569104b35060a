"""Verdicts, and how the verdicts of parts combine."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum


class Verdict(StrEnum):
    """What a check found; `collabtheory.report.words` says in words what each one means."""

    CERTIFIED = "certified"
    HOLDS = "holds"
    VACUOUS = "vacuous"
    ASSUMPTION_FAILS = "assumption_fails"
    VIOLATED = "violated"
    ERROR = "error"
    SUPPORTED = "supported"
    CONTRADICTED = "contradicted"
    INCONCLUSIVE = "inconclusive"

    @property
    def is_refutation(self) -> bool:
        """Whether this is what a negative control has to come out as."""
        return self in (Verdict.VIOLATED, Verdict.CONTRADICTED)


class Rigor(StrEnum):
    """How strong the means were that led to a verdict, strongest first."""

    PROVED = "proved"
    CERTIFIED = "certified"
    CHECKED = "checked"
    STATISTICAL = "statistical"


_WORST_FIRST = (
    Verdict.ERROR,
    Verdict.VIOLATED,
    Verdict.CONTRADICTED,
    Verdict.ASSUMPTION_FAILS,
    Verdict.VACUOUS,
    Verdict.INCONCLUSIVE,
    Verdict.HOLDS,
    Verdict.SUPPORTED,
    Verdict.CERTIFIED,
)


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """Return the verdict that a whole deserves whose parts have these: the worst of them.

    Examples
    --------
    >>> worst([Verdict.HOLDS, Verdict.VACUOUS, Verdict.CERTIFIED])
    <Verdict.VACUOUS: 'vacuous'>
    """
    return min(verdicts, key=_WORST_FIRST.index)


def weakest(rigors: Iterable[Rigor]) -> Rigor:
    """Return the weakest of the means used: a chain is as strong as that."""
    return max(rigors, key=list(Rigor).index)
