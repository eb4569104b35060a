"""A run as JUnit XML, for the tools that read test results: one test case per record."""

from __future__ import annotations

from pathlib import Path

from junitparser import Error, Failure, JUnitXml, Skipped, TestCase, TestSuite

from collabtheory.report.table import Count
from collabtheory.report.words import verdict_words
from collabtheory.runs.files import write_atomically
from collabtheory.runs.folder import Record, RunFolder, open_run

_SKIPPED = ("vacuous", "inconclusive", "assumption_fails")


def to_junit(run: RunFolder) -> JUnitXml:
    """Return a run as JUnit: a suite per statement, a test case per record.

    ``violated`` and ``contradicted`` fail; ``error`` is an error; ``vacuous``, ``inconclusive`` and
    ``assumption_fails`` are skipped with the reason. A negative control passes if it was caught and fails if not. No
    time and no date is written, so that equal records give equal files.
    """
    whole = JUnitXml("collabtheory")
    for statement in dict.fromkeys(record["id"] for record in run.records):
        suite = TestSuite(_printable(statement))
        suite.add_testcases([_case(record) for record in run.records if record["id"] == statement])
        whole.add_testsuite(suite)
    whole.update_statistics()  # type: ignore[no-untyped-call]
    return whole


def write_junit(run: RunFolder | Path | str) -> Path:
    """Write ``junit.xml`` into the run folder, atomically, and return its path."""
    folder = open_run(run)
    path = folder.path / "junit.xml"
    document = to_junit(folder)
    write_atomically(path, lambda temporary: document.write(str(temporary), pretty=True))
    return path


def _case(record: Record) -> TestCase:
    where = [str(record["stage"])] if record.get("stage") else []
    where += [f"seed {record['seed']}"] if record.get("seed") is not None else []
    subject = f"control {record.get('control_name') or 'unnamed'}" if record["control"] else "statement"
    case = TestCase(_printable(f"{subject} [{', '.join(where)}]" if where else subject))
    case.classname = _printable(record["id"])
    outcome = _outcome(record)
    if outcome is not None:
        case.result = [outcome]
    return case


def _outcome(record: Record) -> Failure | Error | Skipped | None:
    words = verdict_words(record["verdict"])
    message = _printable(_message(record))
    if words.name == "error":
        return Error(message, words.name)
    if record["control"]:
        return None if record.get("caught") is True else Failure(f"control not caught. {message}", "control_not_caught")
    if words.tone == "bad":
        return Failure(message, words.name)
    return Skipped(f"{words.label}: {message}", words.name) if words.name in _SKIPPED else None


def _message(record: Record) -> str:
    met = Count(record["coverage"]["met"], record["coverage"]["tried"]).text("share")
    parts = [f"{record['title']}. Premise met by {met}"]
    if record.get("margin") is not None:
        parts.append(f"worst margin {record['margin']:.6g}")
    if record.get("worst"):
        parts.append("worst case " + ", ".join(f"{name} = {value}" for name, value in record["worst"].items()))
    return "; ".join([*parts, *(record.get("notes") or [])])


def _printable(text: str) -> str:
    # XML 1.0 has no place for control characters, not even escaped.
    return "".join(
        c if c in "\t\n\r" or " " <= c <= "\ud7ff" or "\ue000" <= c <= "\ufffd" or c > "\uffff" else " " for c in text
    )
