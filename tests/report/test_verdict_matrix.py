import pytest

from collabtheory.report.html import render_report
from collabtheory.report.matrix import SHORT, claim_rows, verdict_key, verdict_matrix
from collabtheory.report.words import VERDICTS


@pytest.fixture
def mixed(run_of, parts):
    """A theorem that is proved, thin before training and vacuous after it, and a claim about data."""
    comparisons = [
        {"name": name, "text": text, "verdict": verdict, "rigor": "statistical", "coverage": {"met": 40, "tried": 40}}
        for name, text, verdict in (("a", "more <help>", "supported"), ("b", "less drift", "inconclusive"))
    ]
    return run_of(
        [
            parts.record("t", "T", "certified", 1, 1, 0.0, stage="proof", rigor="proved"),
            parts.record("t", "T", "certified", 3, 3, 0.0, stage=None),
            parts.record("t", "T", "holds", 5, 1000, 0.1, stage="initial", seed=0),
            parts.record("t", "T", "vacuous", 0, 1000, None, stage="initial", seed=1),
            parts.record("t", "T", "vacuous", 0, 1000, None, stage="trained", seed=0),
            parts.record("E2", "E2: masks help", "inconclusive", 40, 40, None, stage="study", kind="empirical")
            | {"parts": comparisons},
        ],
        meta='{"stages": ["initial", "trained"], "seeds": [0, 1]}',
    )


def test_matrix_has_what_needs_no_data_first_and_stages_in_their_order(mixed):
    matrix = verdict_matrix(mixed)
    assert matrix.columns == ("proof", "fixed cases", "initial", "trained")
    assert matrix.n_general == 2
    (row,) = matrix.rows
    assert [cell.verdict.name for cell in row.cells] == ["certified", "certified", "vacuous", "vacuous"]
    assert row.verdict.name == "vacuous"


def test_seeds_that_disagree_are_all_named(mixed):
    cell = verdict_matrix(mixed).rows[0].cells[2]
    assert cell.text == "vacuous 1, holds 1"
    assert (cell.met, cell.scope, cell.is_thin) == (0.0025, "0.25 % met", True)


def test_a_proof_is_never_hollow_for_want_of_cases(mixed):
    proof, fixed, *_ = verdict_matrix(mixed).rows[0].cells
    assert (proof.met, fixed.met) == (None, None)
    assert not proof.is_thin


def test_hint_of_a_cell_says_stage_verdict_and_coverage(mixed):
    hint = verdict_matrix(mixed).rows[0].cells[3].hint
    assert hint == "T after training: vacuous (checked); premise met by 0 % of 1,000 cases"


def test_statement_that_was_not_checked_at_a_stage_has_an_empty_cell(run_of, parts):
    records = [parts.record("a", "A", "holds", 1, 1, 0.1, stage="x"), parts.record("b", "B", "holds", 1, 1, 0.1)]
    matrix = verdict_matrix(run_of(records))
    assert [[cell is None for cell in row.cells] for row in matrix.rows] == [[True, False], [False, True]]
    assert "not checked here" in render_report(run_of(records), [])


def test_claims_about_data_stand_in_a_block_of_their_own(mixed):
    (claim,) = claim_rows(mixed)
    assert (claim.name, claim.title, claim.scope) == ("E2", "masks help", "40 users")
    assert [(verdict.name, text) for verdict, text in claim.comparisons] == [
        ("supported", "more <help>"),
        ("inconclusive", "less drift"),
    ]
    assert "E2" not in [row.id for row in verdict_matrix(mixed).rows]
    page = render_report(mixed, [])
    assert "Claims about data" in page
    assert "more &lt;help&gt;" in page


def test_key_explains_every_verdict_that_occurs(mixed):
    matrix, claims = verdict_matrix(mixed), claim_rows(mixed)
    names = [words.name for words, _ in verdict_key(matrix, claims)]
    assert names == ["certified", "supported", "vacuous", "inconclusive"]
    assert set(SHORT) == set(VERDICTS)


def test_every_cell_is_told_by_colour_sign_and_word(mixed):
    page = render_report(mixed, [])
    table = page[page.index('<table class="matrix">') : page.index("</table>")]
    assert table.count('class="tile chip-empty thin"') == 2
    assert table.count('<span class="mark" aria-hidden="true">○</span><span class="word">vacuous') == 2
    assert 'href="#statement-t"' in table
    assert 'id="statement-t"' in page
