"""A statement, its proof steps and a replayed counterexample, as lines for a terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import TYPE_CHECKING

from collabtheory.claims.counterexample import Replay, sides
from collabtheory.claims.proof import Step
from collabtheory.report.mathematics import plain
from collabtheory.rigor.compare import Decision

if TYPE_CHECKING:
    from collabtheory.claims.discovery import StatementFile

WIDTH = 100
_MARKS = {Decision.TRUE: "✓", Decision.FALSE: "✗", Decision.UNDECIDED: "?"}


def explain_statement(file: StatementFile) -> Iterator[str]:
    """Yield statement, assumptions, proof with the means that discharged each step (now), controls and limits."""
    statement = file.statement
    yield f"{statement.identifier}  {statement.title}"
    yield statement.source
    yield ""
    for line in plain(statement.text).splitlines():
        yield from _wrapped(line, "", "")
    yield from _listed("Assumptions", [plain(line) for line in statement.assumptions])
    yield "\nProof (machine-checked steps, not a formal proof)"
    for number, step in enumerate(statement.proof, 1):
        yield from _proof_step(number, step)
    controls = dict.fromkeys(f"{check.control}: {check.change}" for check in file.checks if check.control)
    yield from _listed("Negative controls (each must come out violated)", list(controls))
    yield from _listed("What it does not say", [plain(line) for line in statement.limits])
    if file.inequalities:
        yield f"\n`collabtheory attack {statement.identifier}` looks for counterexamples."


def explain_replay(found: Replay) -> Iterator[str]:
    """Yield what was replayed, both sides as enclosures, and the decision."""
    inequality, decided = found.inequality, found.decided
    whose = f"false twin {inequality.control!r} of" if inequality.control else "statement"
    yield f"{whose} {inequality.statement.identifier}: {inequality.text}"
    for name, value in found.case.items():
        yield f"  {name} = {value.tolist()}"
    yield f"  claimed: {sides(decided)}"
    outcome = {
        Decision.FALSE: "violated: the claim is certainly false on this case",
        Decision.TRUE: "not violated: the claim is certainly true on this case",
        Decision.UNDECIDED: "undecided: the premise is not certainly met, or the sides are too close to tell",
    }[decided.decision]
    arithmetic = "rational arithmetic" if inequality.exact else f"interval arithmetic at {decided.precision} bits"
    yield f"{outcome} ({arithmetic})"


def _proof_step(number: int, step: Step | str) -> Iterator[str]:
    if isinstance(step, str):
        yield from _wrapped(f"{plain(step)} [not machine-checked]", f"  {number}. ", "     ")
        return
    finding = step.discharge()
    yield from _wrapped(plain(step.text), f"  {number}. ", "     ")
    how = f"{_MARKS[finding.decision]} {finding.means.value}: {finding.detail}"
    yield from _wrapped(how, "       ", "         ")


def _listed(heading: str, lines: list[str]) -> Iterator[str]:
    if lines:
        yield f"\n{heading}"
    for number, line in enumerate(lines, 1):
        yield from _wrapped(line, f"  {number}. ", "     ")


def _wrapped(text: str, first: str, later: str) -> list[str]:
    return textwrap.wrap(text, width=WIDTH, initial_indent=first, subsequent_indent=later) or [""]
