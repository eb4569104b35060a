"""Proofs as chains of named steps, each discharged by machine; the record says by which means."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from collabtheory.claims.evidence import Coverage, Evidence, Part
from collabtheory.claims.verdict import Rigor, Verdict
from collabtheory.rigor.compare import Decision
from collabtheory.rigor.finding import Finding, Means

if TYPE_CHECKING:
    from collabtheory.claims.statement import Statement
    from collabtheory.claims.subject import Subject

_RIGOR = {
    Means.SYMBOLIC: Rigor.PROVED,
    Means.POLYNOMIAL: Rigor.PROVED,
    Means.EXACT: Rigor.CERTIFIED,
    Means.ENCLOSURE: Rigor.CERTIFIED,
    Means.PROPERTY: Rigor.CHECKED,
}


@dataclass(frozen=True)
class Step:
    r"""One machine-checked step of a proof; never called a formal proof.

    ``text`` is prose with TeX between dollar signs; ``discharge`` decides it, by the strongest means that fits.
    """

    name: str
    text: str
    discharge: Callable[[], Finding]


def proof_evidence(statement: Statement) -> Callable[[Subject], Evidence]:
    """Return the check that discharges every step of the statement's proof."""

    def check_proof(subject: Subject) -> Evidence:
        return Evidence(parts=tuple(step_part(step.name, step.text, step.discharge()) for step in statement.steps))

    return check_proof


def step_part(name: str, text: str, finding: Finding) -> Part:
    """Return a finding as a part of evidence: certified only by means that sample nothing."""
    if finding.decision is Decision.FALSE:
        verdict = Verdict.VIOLATED
    elif finding.decision is Decision.UNDECIDED:
        verdict = Verdict.INCONCLUSIVE
    else:
        verdict = Verdict.CERTIFIED if finding.means.certifies else Verdict.HOLDS
    return Part(
        name,
        text,
        verdict,
        _RIGOR[finding.means],
        Coverage(finding.cases, finding.cases),
        margin=finding.margin,
        worst=finding.worst,
        means=finding.means.value,
        detail=finding.detail,
    )
