"""Tables of what studies say about claims: paired comparisons, verdicts by data set, the numbers of one claim."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from collabtheory.errors import InvalidInput
from collabtheory.report.formats import write_scalar
from collabtheory.report.study_schema import ClaimNumber, Comparison, Study
from collabtheory.report.study_words import CLAIMS, claim_key, interval_cell, method_title, metric_label
from collabtheory.report.table import Cell, Column, Estimate, Table
from collabtheory.report.words import COUNTED, verdict_words

COMPARISON_CAPTION = (
    "Difference: the first minus the second, over the same users, with its interval; a cohort in brackets after the "
    "measure. "
    "d: mean difference over the standard deviation of the differences. p: the larger of the permutation test over "
    "users and the t test over folds; p (Holm): corrected over all comparisons of the run. Detectable: the smallest "
    "difference that would have been seen with power 0.8."
)

EXPECTED = {"greater": "above", "less": "below"}


def comparison_table(studies: Study | Sequence[Study], claim: str | None = None, *, brief: bool = False) -> Table:
    """Return the paired comparisons of one or more studies, all or those of one claim.

    Parameters
    ----------
    studies
        One study, or several, which are told apart by a column more.
    claim
        ``"E1"`` to ``"E12"``; default all.
    brief
        Only what fits a terminal: without n, the uncorrected p-value and the smallest detectable difference.
    """
    listed = [studies] if isinstance(studies, Study) else list(studies)
    columns = (
        Column("Data", group=True),
        Column("Claim", group=True),
        Column("What is claimed"),
        Column("Measure"),
        Column("Verdict"),
        Column("Difference", form="signed", align="right"),
        Column("n", form="integer", align="right"),
        Column("d", form="signed", align="right"),
        Column("p", form="number", align="right"),
        Column("p (Holm)", form="number", align="right"),
        Column("Detectable", form="number", align="right"),
    )
    rows = tuple(
        (study.data.name, *_comparison_cells(study, one))
        for study in listed
        for one in sorted(study.comparisons, key=lambda one: claim_key(one.claim))
        if claim in (None, one.claim)
    )
    hidden = {"Data"} if len(listed) == 1 else set()
    hidden |= {"Claim"} if claim else set()
    hidden |= {"n", "p", "Detectable"} if brief else set()
    name = f"{claim}: paired comparisons" if claim else "paired comparisons"
    title = f"{listed[0].data.name}: {name}" if len(listed) == 1 else name[0].upper() + name[1:]
    return _without(Table(title, columns, rows, COMPARISON_CAPTION), hidden)


def verdict_matrix(studies: Sequence[Study]) -> Table:
    """Return the claims E1 to E12 against the data sets: verdict, and effect size of the first comparison."""
    columns = (Column("Claim"), Column("What it says"), *(Column(study.data.name) for study in studies))
    rows = tuple((name, words, *(_verdict_cell(study, name) for study in studies)) for name, words in CLAIMS.items())
    caption = "d: effect size of the claim's first comparison, mean difference over the standard deviation over users."
    return Table("Verdicts by claim and data set", columns, rows, caption)


def claim_tables(studies: Sequence[Study], claim: str) -> tuple[Table, ...]:
    """Return what all studies say of one claim: the verdicts, their comparisons and their numbers, where there are any.

    Raises
    ------
    InvalidInput
        If there is no such claim.
    """
    if claim not in CLAIMS:
        raise InvalidInput(f"unknown claim {claim!r}; choose one of {', '.join(CLAIMS)}")
    found = [(study, one) for study in studies for one in study.claims if one.id == claim]
    verdicts = tuple(
        (study.data.name, verdict_words(one.verdict).label, "; ".join(note.rstrip(".") for note in one.notes))
        for study, one in found
    )
    numbers = tuple(
        (study.data.name, number.label, _number_cell(number), number.unit if number.unit != "1" else "", number.n)
        for study, one in found
        for number in one.numbers
    )
    count = (Column("Value", form="number", align="right"), Column("Unit"), Column("n", form="integer", align="right"))
    made = (
        Table(f"{claim}: verdicts", (Column("Data"), Column("Verdict"), Column("Notes")), verdicts),
        comparison_table(studies, claim) if studies else None,
        Table(f"{claim}: numbers", (Column("Data", group=True), Column("Quantity"), *count), numbers),
    )
    return tuple(table for table in made if table is not None and table.rows)


def _comparison_cells(study: Study, one: Comparison) -> tuple[Cell, ...]:
    titles = {**study.titles, **{method.name: method_title(method) for method in study.methods}}
    return (
        one.claim,
        f"{titles.get(one.first, one.first)} {EXPECTED[one.expected]} {titles.get(one.second, one.second)}",
        f"{metric_label(one.metric)} [{one.cohort}]" if one.cohort else metric_label(one.metric),
        verdict_words(one.verdict).label,
        interval_cell(one.difference),
        one.difference.n,
        one.effect_size,
        one.p,
        one.p_adjusted,
        one.smallest_detectable,
    )


def _verdict_cell(study: Study, claim: str) -> str:
    verdict = next((one.verdict for one in study.claims if one.id == claim), None)
    if verdict is None:
        return "not tested"
    effect = next((one.effect_size for one in study.comparisons if one.claim == claim), None)
    label = verdict_words(verdict).label
    return label if effect is None else f"{label}, d {write_scalar(effect, 'signed')}"


def _number_cell(number: ClaimNumber) -> Estimate:
    form = "share" if number.unit == "share" else "count" if number.unit in COUNTED else "number"
    return Estimate(number.value, number.low, number.high, form)


def _without(table: Table, labels: Collection[str]) -> Table:
    kept = [j for j, column in enumerate(table.columns) if column.label not in labels]
    rows = tuple(tuple(row[j] for j in kept) for row in table.rows)
    return Table(table.title, tuple(table.columns[j] for j in kept), rows, table.caption)
