"""Verdicts, and how the verdicts of parts combine."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum


class Verdict(StrEnum):
    """What a check found. The text of each member says what it means."""

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
    def meaning(self) -> str:
        """One sentence for people."""
        return _MEANINGS[self]

    @property
    def is_refutation(self) -> bool:
        """Whether this is what a negative control has to come out as."""
        return self in (Verdict.VIOLATED, Verdict.CONTRADICTED)


_MEANINGS = {
    Verdict.CERTIFIED: "Decided by symbolic proof, exact arithmetic or rigorous bounds; no sampling involved.",
    Verdict.HOLDS: "Checked in floating point on every case counted; the worst margin is given.",
    Verdict.VACUOUS: "Nothing refuted it, but fewer than 1 in 10,000 cases met its premise: it says nothing here.",
    Verdict.ASSUMPTION_FAILS: "An assumption of the statement is false here; the record names it and shows where.",
    Verdict.VIOLATED: "A case contradicts the statement; the record holds it.",
    Verdict.ERROR: "The check itself failed; nothing is known.",
    Verdict.SUPPORTED: "The data speak for the claim: its interval lies on the claimed side.",
    Verdict.CONTRADICTED: "The data speak against the claim: its interval lies on the other side.",
    Verdict.INCONCLUSIVE: "The interval straddles zero; the smallest effect that could have been seen is given.",
}


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
