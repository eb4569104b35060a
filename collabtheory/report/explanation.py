"""A statement, its proof steps and a replayed counterexample, as lines for a terminal."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from collabtheory.claims.counterexample import Replay, sides
from collabtheory.claims.proof import Step
from collabtheory.report.mathematics import plain_lines, shortened
from collabtheory.report.words import count_words
from collabtheory.rigor.compare import Decision

if TYPE_CHECKING:
    from collabtheory.claims.discovery import StatementFile
    from collabtheory.rigor.finding import Finding

WIDTH = 100
PATIENCE = 2.0
"""Seconds after which a step that is still running is named."""
LONGEST_DETAIL = 280
_MARKS = {Decision.TRUE: "✓", Decision.FALSE: "✗", Decision.UNDECIDED: "?"}


def explain_statement(
    file: StatementFile, on_slow: Callable[[str], None] | None = None, patience: float = PATIENCE
) -> Iterator[str]:
    """Yield statement, assumptions, proof with the means that discharged each step (now), controls and limits.

    Parameters
    ----------
    file
        The statement.
    on_slow
        Called with a line that names a step which takes longer than ``patience`` seconds; default: standard error.
    """
    statement = file.statement
    yield from plain_lines(f"{statement.identifier}  {statement.title}", WIDTH)
    yield from plain_lines(statement.source, WIDTH)
    yield ""
    for line in statement.text.splitlines():
        yield from plain_lines(line, WIDTH)
    yield from _listed("Assumptions", statement.assumptions)
    yield from _proof(file, on_slow or _to_stderr, patience)
    yield from _listed("Inequalities that can be attacked", _inequalities(file))
    # A control in two forms, on data and on explicit cases, is one control.
    changes = {check.control: check.change for check in file.checks if check.control}
    listed = tuple(f"{control}: {change}" for control, change in changes.items())
    yield from _listed("Negative controls (each must come out violated)", listed)
    yield from _listed("What it does not say", statement.limits)
    if file.inequalities:
        yield f"\n`collabtheory attack {statement.identifier}` looks for counterexamples."


def explain_replay(found: Replay) -> Iterator[str]:
    """Yield what was replayed, both sides as enclosures, and the decision."""
    inequality, decided = found.inequality, found.decided
    whose = f"false twin {inequality.control!r} of" if inequality.control else "statement"
    yield from plain_lines(f"{whose} {inequality.statement.identifier}: {inequality.text}", WIDTH, "", "  ")
    if inequality.change:
        yield from plain_lines(f"changed: {inequality.change}", WIDTH, "  ", "    ")
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


def _proof(file: StatementFile, on_slow: Callable[[str], None], patience: float) -> Iterator[str]:
    steps = file.statement.proof
    if not steps:
        return
    yield "\nProof (machine-checked steps, not a formal proof)"
    discharged = 0
    for number, step in enumerate(steps, 1):
        first = f"  {number}. "
        if isinstance(step, str):
            yield from plain_lines(f"{step} [not machine-checked]", WIDTH, first, " " * len(first))
            continue
        yield from plain_lines(step.text, WIDTH, first, " " * len(first))
        finding = _discharged(step, f"step {number} of {len(steps)} ({step.name})", on_slow, patience)
        discharged += finding.decision is Decision.TRUE
        yield from _how(finding)
    yield f"  {discharged} of {count_words(len(steps), 'step')} discharged by machine."


def _discharged(step: Step, name: str, on_slow: Callable[[str], None], patience: float) -> Finding:
    timer = threading.Timer(patience, on_slow, [f"{name} is still running ..."])
    timer.daemon = True
    timer.start()
    try:
        return step.discharge()
    finally:
        timer.cancel()


def _how(finding: Finding) -> Iterator[str]:
    detail = shortened(finding.detail, LONGEST_DETAIL)
    yield from plain_lines(f"{_MARKS[finding.decision]} {finding.means.value}: {detail}", WIDTH, " " * 7, " " * 9)
    if finding.decision is not Decision.TRUE and finding.worst:
        case = ", ".join(f"{name} = {value}" for name, value in finding.worst.items())
        what = "counterexample" if finding.decision is Decision.FALSE else "not decided at"
        yield from plain_lines(f"{what}: {shortened(case, LONGEST_DETAIL)}", WIDTH, " " * 9, " " * 11)


def _inequalities(file: StatementFile) -> tuple[str, ...]:
    lines = []
    for one in file.inequalities:
        if one.control is None:
            twins = [twin.control for twin in file.inequalities if twin.control and twin.name == one.name]
            lines.append(f"{one.name}: {one.text}" + (f" (false twins: {', '.join(twins)})" if twins else ""))
    return tuple(lines)


def _listed(heading: str, lines: tuple[str, ...]) -> Iterator[str]:
    if lines:
        yield f"\n{heading}"
    for number, line in enumerate(lines, 1):
        yield from plain_lines(line, WIDTH, f"  {number}. ", " " * len(f"  {number}. "))


def _to_stderr(message: str) -> None:
    sys.stderr.write(f"{message}\n")
    sys.stderr.flush()
