"""The verdict matrix: every statement at every stage, and the claims about data, ready to be laid out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from collabtheory.report import words
from collabtheory.report.formats import share, signed
from collabtheory.report.headline import statements
from collabtheory.report.mathematics import plain
from collabtheory.report.table import Count
from collabtheory.report.verdicts import PROOF, SEARCH, WITHOUT_MODEL, Summary, statement_verdict
from collabtheory.runs.folder import RunFolder

EMPIRICAL = "empirical"
THIN = 0.01
"""Share of cases below which a cell is shown hollow."""
SHORT = {
    "certified": "proved: by algebra, in exact arithmetic or with rigorous bounds",
    "holds": "true in every case tried, which is no proof",
    "supported": "the data agree, beyond chance",
    "vacuous": "no case, or next to none, meets its premise: it says nothing there",
    "inconclusive": "the data can not tell",
    "assumption_fails": "what it presupposes is not true there",
    "violated": "a counterexample was found",
    "contradicted": "the data show the opposite",
    "error": "the check itself failed",
}
"""What each verdict means, in a few words."""
_GENERAL = {PROOF: "proof", SEARCH: "search", None: "fixed cases"}


@dataclass(frozen=True)
class Cell:
    """One statement at one stage.

    Parameters
    ----------
    verdict, text
        The verdict, and its label; where seeds disagree, each label with its count.
    scope
        How far it speaks, in a few words; empty where that would only repeat that all cases count.
    met
        Share of cases on these data that meet the premise, in [0, 1]; None where there was no model or no case.
    hint
        All of it as a sentence.
    """

    verdict: words.VerdictWords
    text: str
    scope: str
    met: float | None
    hint: str

    @property
    def is_thin(self) -> bool:
        """Whether so few cases meet the premise that the verdict says next to nothing."""
        return self.met is not None and self.met < THIN


@dataclass(frozen=True)
class MatrixRow:
    """One statement: its overall verdict and a cell for each column, None where it was not checked there."""

    id: str
    name: str
    title: str
    verdict: words.VerdictWords
    cells: tuple[Cell | None, ...]


@dataclass(frozen=True)
class Matrix:
    """Statements by stages; ``n_general`` of the columns need neither model nor data."""

    columns: tuple[str, ...]
    n_general: int
    rows: tuple[MatrixRow, ...]

    @property
    def has_thin(self) -> bool:
        """Whether any cell is hollow."""
        return any(cell.is_thin for row in self.rows for cell in row.cells if cell)


@dataclass(frozen=True)
class ClaimRow:
    """One claim about data: its verdict, and that of each comparison on which it rests, in words."""

    id: str
    name: str
    title: str
    verdict: words.VerdictWords
    comparisons: tuple[tuple[words.VerdictWords, str], ...]
    scope: str


def verdict_matrix(run: RunFolder) -> Matrix:
    """Return the matrix of the statements that are no claims about data, in the order of the records."""
    rows = {name: found for name, found in statements(run).items() if not _is_claim(run, name)}
    present = {row.stage for found in rows.values() for row in found}
    general = [stage for stage in WITHOUT_MODEL if stage in present]
    listed = [stage for stage in (*run.stages, "ladder") if stage in present]
    others = sorted(stage for stage in present - {*general, *listed} if stage is not None)
    stages: list[str | None] = [*general, *dict.fromkeys((*listed, *others))]
    labels = tuple(_GENERAL.get(stage) or words.stage_label(stage) for stage in stages)
    return Matrix(labels, len(general), tuple(_row(name, found, stages) for name, found in rows.items()))


def claim_rows(run: RunFolder) -> tuple[ClaimRow, ...]:
    """Return the claims about data, in the order of the records."""
    return tuple(_claim(run, name, found) for name, found in statements(run).items() if _is_claim(run, name))


def verdict_key(matrix: Matrix, claims: Sequence[ClaimRow]) -> tuple[tuple[words.VerdictWords, str], ...]:
    """Return the verdicts that occur, best first, each with a few words on what it means."""
    cells = [cell.verdict.name for row in matrix.rows for cell in row.cells if cell]
    found = {*cells, *(row.verdict.name for row in claims), *(one.name for row in claims for one, _ in row.comparisons)}
    return tuple((words.VERDICTS[name], SHORT[name]) for name in reversed(words.VERDICTS) if name in found)


def _is_claim(run: RunFolder, statement: str) -> bool:
    return any(record["kind"] == EMPIRICAL for record in run.claims if record["id"] == statement)


def _row(name: str, found: Sequence[Summary], stages: Sequence[str | None]) -> MatrixRow:
    by_stage: Mapping[str | None, Summary] = {row.stage: row for row in found}
    cells = tuple(_cell(by_stage[stage]) if stage in by_stage else None for stage in stages)
    verdict = words.verdict_words(statement_verdict(found))
    return MatrixRow(name, words.statement_name(name), plain(found[0].title), verdict, cells)


def _cell(row: Summary) -> Cell:
    counted = row.stage in (PROOF, SEARCH)
    met = None if row.stage in WITHOUT_MODEL else row.coverage.share
    scope = row.scope.text("share") if counted else _scope(row.coverage)
    margin = "" if row.margin is None or row.stage == PROOF else f"; smallest relative margin {signed(row.margin)}"
    cases = f"premise met by {row.coverage.text('share')} cases" if not counted else scope
    where = words.stage_phrase(row.stage)
    hint = f"{words.statement_name(row.id)} {where}: {row.verdict_text} ({row.rigor}); {cases}{margin}"
    return Cell(words.verdict_words(row.verdict), row.verdict_text, scope, met, hint)


def _scope(coverage: Count) -> str:
    if coverage.share is None:
        return "no case tried"
    return "" if coverage.share == 1.0 else f"{share(coverage.share)} met"


def _claim(run: RunFolder, name: str, found: Sequence[Summary]) -> ClaimRow:
    records = [record for record in run.claims if record["id"] == name]
    parts = [part for record in records for part in record.get("parts") or []]
    comparisons = tuple((words.verdict_words(part["verdict"]), plain(part.get("text") or "")) for part in parts)
    largest = max((record["coverage"]["met"] for record in records), default=0)
    title = plain(found[0].title)
    return ClaimRow(
        name,
        words.statement_name(name),
        title.removeprefix(f"{name}: "),
        words.verdict_words(statement_verdict(found)),
        comparisons,
        words.count_words(largest, "user"),
    )


__all__ = ["Cell", "ClaimRow", "Matrix", "MatrixRow", "claim_rows", "verdict_key", "verdict_matrix"]
