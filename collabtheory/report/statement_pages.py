"""A page of documentation for each statement, in MyST Markdown, generated from the statement and its checks."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from collabtheory.claims.proof import Step
from collabtheory.report.mathematics import shortened
from collabtheory.report.words import VERDICTS, statement_name
from collabtheory.rigor.compare import Decision
from collabtheory.runs.files import write_text

if TYPE_CHECKING:
    from collabtheory.claims.discovery import StatementFile
    from collabtheory.claims.statement import Check, Statement
    from collabtheory.rigor.finding import Finding

LONGEST_DETAIL = 400
_FORMULA = re.compile(r"(\$[^$]+\$)")
_SPECIAL = re.compile(r"([\\`*_\[\]<>|#~])")
_MARKS = {Decision.TRUE: ("✓", "discharged"), Decision.FALSE: ("✗", "refuted"), Decision.UNDECIDED: ("?", "undecided")}
_WHEN = {
    "study": "once, on the results of several methods",
    "none": "without a model",
    "every": "at every stage of training",
    "last": "on the trained model",
    "ladder": "on models trained alike but for one setting",
}
_VERDICTS_OF = {
    "theorem": ("certified", "holds", "vacuous", "assumption_fails", "violated"),
    "empirical": ("supported", "inconclusive", "contradicted"),
}

Findings = Mapping[str, "Finding"]
"""What the machine found, by the name of the step."""


def write_pages(files: Iterable[StatementFile], folder: Path) -> list[Path]:
    """Discharge every step; write a page for each statement, ``index.md`` with a table of all, and ``_verdicts.md``.

    Pages of statements that are gone are removed; a page that did not change keeps its date.
    """
    pages: dict[str, str] = {}
    rows = []
    for file in files:
        findings = {step.name: step.discharge() for step in file.statement.steps}
        pages[file.identifier] = statement_page(file, findings)
        rows.append((file, findings))
    pages |= {"index": index_page(rows), "_verdicts": verdicts_table()}
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.md"):
        if old.stem not in pages:
            old.unlink()
    for name, text in pages.items():
        path = folder / f"{name}.md"
        if not path.exists() or path.read_text("utf-8") != text:
            write_text(path, text)
    return [folder / f"{name}.md" for name in pages]


def statement_page(file: StatementFile, findings: Findings) -> str:
    """Return the page of one statement."""
    statement = file.statement
    lines = [f"# {statement_name(statement.identifier)}", "", f"**{prose(statement.title)}.**", ""]
    lines += [f"Source: {prose(statement.source)}. In the code: `proofs_checks/{file.path.name}`.", ""]
    lines += ["## Statement", "", *(f"{prose(line)}\n" for line in statement.text.splitlines())]
    lines += _section("Assumptions", (f"- {prose(line)}" for line in statement.assumptions))
    lines += _section("Proof", _proof(statement, findings))
    lines += _section("Inequalities to attack", _inequalities(file))
    lines += _section("Negative controls", _controls(file))
    lines += _section("What is checked", _checks(file.checks))
    lines += _section("What its verdict means", _verdicts(statement))
    lines += _section("What it does not say", (f"- {prose(line)}" for line in statement.limits))
    lines += _section("Run it", _commands(file))
    return "\n".join(lines).rstrip() + "\n"


def index_page(rows: Iterable[tuple[StatementFile, Findings]]) -> str:
    """Return the table of all statements, with the list of pages."""
    rows = list(rows)
    lines = ["# Statements", ""]
    lines += [
        "All that `collabtheory verify` checks, in the order of the report. Each page is generated from the code:"
    ]
    lines += ["its proof steps were discharged by machine when the page was built.", ""]
    lines += ["| statement | what it says | proof steps | inequalities | controls |", "|:--|:--|--:|--:|--:|"]
    for file, findings in rows:
        name, title = statement_name(file.identifier), prose(file.statement.title)
        steps = _steps_text(file.statement, findings).replace(" of ", "/")
        true = sum(one.control is None for one in file.inequalities)
        lines.append(f"| [{name}]({file.identifier}.md) | {title} | {steps} | {true} | {len(_changes(file))} |")
    lines += ["", "Proof steps: discharged by machine, of all. Inequalities: on small explicit cases, which"]
    lines += ["[`collabtheory attack`](../attack.md) searches. Controls: false twins that every run must refute.", ""]
    lines += ["```{toctree}", ":hidden:", "", *(file.identifier for file, _ in rows), "```"]
    return "\n".join(lines) + "\n"


def verdicts_table() -> str:
    """Return the table of all verdicts with their meanings, from best to worst, to be included in a page."""
    lines = ["| verdict | of | meaning |", "|:--|:--|:--|"]
    for words in reversed(VERDICTS.values()):
        kinds = [kind for kind, names in _VERDICTS_OF.items() if words.name in names] or ["any"]
        lines.append(f"| {words.mark} `{words.name}` | {kinds[0]} | {prose(words.meaning)} |")
    return "\n".join(lines) + "\n"


def prose(text: str) -> str:
    r"""Return prose with TeX between dollar signs as Markdown: all but the formulas is escaped.

    Examples
    --------
    >>> prose(r"so $a_1 < b$ for x_u * 2")
    'so $a_1 < b$ for x\\_u \\* 2'
    """
    parts = _FORMULA.split(text)
    return "".join(part if part.startswith("$") else _SPECIAL.sub(r"\\\1", part) for part in parts)


def _section(title: str, lines: Iterable[str]) -> list[str]:
    found = list(lines)
    return [f"## {title}", "", *found, ""] if found else []


def _proof(statement: Statement, findings: Findings) -> Iterator[str]:
    if not statement.proof:
        return
    yield f"{_steps_text(statement, findings)} steps discharged by machine; see [what that is worth](../rigor.md)."
    yield ""
    for number, step in enumerate(statement.proof, 1):
        text = prose(step if isinstance(step, str) else step.text)
        how = _how(findings[step.name]) if isinstance(step, Step) else '<span class="how">not machine-checked</span>'
        yield f"{number}. {text}\n{' ' * (len(str(number)) + 2)}{how}"


def _how(finding: Finding) -> str:
    mark, kind = _MARKS[finding.decision]
    detail = html.escape(shortened(finding.detail, LONGEST_DETAIL), quote=False)
    if re.search(r"[=^]|\*\*", detail):
        detail = f"<code>{detail}</code>"
    # Inside raw HTML, Markdown would still read emphasis and formulas.
    detail = re.sub(r"[*_$\\\[\]`]", lambda match: f"&#{ord(match[0])};", detail)
    return f'<span class="how"><span class="{kind}">{mark}</span> {finding.means.value}: {detail}</span>'


def _inequalities(file: StatementFile) -> Iterator[str]:
    if not file.inequalities:
        return
    yield "Each can be searched for counterexamples, its false twins as well; every case found is decided rigorously."
    yield ""
    yield "| inequality | says | false twins |"
    yield "|:--|:--|:--|"
    for one in (one for one in file.inequalities if one.control is None):
        twins = ", ".join(f"`{twin.control}`" for twin in file.inequalities if twin.control and twin.name == one.name)
        yield f"| `{one.name}` | {_cell(one.text)} | {twins} |"


def _controls(file: StatementFile) -> Iterator[str]:
    changes = _changes(file)
    attackable = {one.control for one in file.inequalities}
    yield "False twins of the statement. Every run must refute each of them, or it fails."
    yield ""
    yield "| control | the one change | can be attacked |"
    yield "|:--|:--|:--|"
    for name, change in changes.items():
        yield f"| `{name}` | {_cell(change)} | {'yes' if name in attackable else 'no'} |"


def _changes(file: StatementFile) -> dict[str, str]:
    return {check.control: check.change or "" for check in file.checks if check.control}


def _checks(checks: Iterable[Check]) -> Iterator[str]:
    for check in checks:
        if check.control:
            continue
        if check.label == "proof":
            yield "- `proof`, without a model: every step above is discharged again."
        elif check.label == "search":
            yield "- `search`, without a model: a short search for counterexamples to the inequalities above."
        else:
            first = (check.function.__doc__ or check.function.__name__).strip().splitlines()[0]
            yield f"- {_WHEN[check.stages]}: {prose(first)}"


def _verdicts(statement: Statement) -> Iterator[str]:
    for name in _VERDICTS_OF[statement.kind]:
        words = VERDICTS[name]
        yield f"{words.mark} **{words.label}**\n: {prose(words.meaning)}\n"


def _commands(file: StatementFile) -> Iterator[str]:
    name = file.identifier
    yield "```text"
    yield f"collabtheory explain {name}"
    yield f"collabtheory verify {name} --data planted"
    if file.inequalities:
        yield f"collabtheory attack {name} --seconds 5 --out found"
        twin = next((one for one in file.inequalities if one.control), None)
        if twin is not None:
            yield f"collabtheory replay found/{name}-{twin.control}-{twin.name}.json"
    yield "```"


def _steps_text(statement: Statement, findings: Findings) -> str:
    discharged = sum(finding.decision is Decision.TRUE for finding in findings.values())
    return f"{discharged} of {len(statement.proof)}" if statement.proof else "none"


def _cell(text: str) -> str:
    """Return text for a cell of a table: a bar inside a formula would end it."""
    parts = _FORMULA.split(text.replace("\n", " "))
    return "".join(part.replace("|", r"\vert ") if part.startswith("$") else prose(part) for part in parts)
