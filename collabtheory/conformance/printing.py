"""Findings in the terminal: a table for people, or one JSON line a check."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from collabtheory.conformance.finding import Finding
from collabtheory.conformance.vae import to_table
from collabtheory.report.terminal import WIDEST, to_rich

if TYPE_CHECKING:
    from rich.console import Console


def print_findings(console: Console, findings: tuple[Finding, ...], *, as_json: bool = False) -> None:
    """Print findings, worst first in the table, in the order of the checks as JSON.

    A JSON line has ``check``, ``status``, ``words`` and ``numbers``.
    """
    if as_json:
        for finding in findings:
            console.out(json_line(finding), highlight=False)
        return
    table = to_table(findings)
    console.print(to_rich(table, min(console.width, WIDEST)))
    console.print(table.caption, highlight=False)


def json_line(finding: Finding) -> str:
    """Return a finding as one line of JSON; a number that is not finite is written as text.

    Examples
    --------
    >>> from collabtheory.conformance.finding import wrong
    >>> json_line(wrong("the noise is small.", sd=0.01).named("code_noise"))
    '{"check": "code_noise", "status": "wrong", "words": "the noise is small.", "numbers": {"sd": 0.01}}'
    """
    numbers = {name: value if abs(value) < float("inf") else str(value) for name, value in finding.numbers.items()}
    content = {"check": finding.name, "status": finding.status.value, "words": finding.words, "numbers": numbers}
    return json.dumps(content)
