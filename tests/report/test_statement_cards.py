import pytest

from collabtheory.report import render_report
from collabtheory.report.cards import make_card
from collabtheory.report.headline import headline, statements
from collabtheory.report.verdicts import verdict_table

FOUND = {
    "format": 1,
    "statement": "a",
    "inequality": "bound",
    "control": "twin",
    "text": "x <= y",
    "case": {"x": [[0], ["0.5"]], "y": 1},
    "axes": {},
    "lengths": {},
    "left": "[1.5 +/- 2.1e-16]",
    "relation": "<=",
    "right": "5/4",
    "precision": 128,
    "arithmetic": "interval",
}


def part(name, verdict="certified", **more):
    base = {"name": name, "text": "", "verdict": verdict, "rigor": "proved", "coverage": {"met": 1, "tried": 1}}
    return {**base, "margin": 0.0, "worst": None, "means": None, "detail": None, "counterexample": None, **more}


@pytest.fixture
def proved(run_of, parts):
    """A statement with proof, search, two stages without a case that meets its premise, and a control."""
    steps = [
        part("first", text=r"$x_u \ne x_v$", means="symbolic identity", detail="2 identities simplify to 0"),
        part("second", text="then", means="interval enclosure", detail="31 boxes"),
    ]
    control = parts.control("a", "twin", "y halved", stage=None)
    control["parts"] = [part("bound", "violated", counterexample=FOUND)]
    return run_of(
        [
            parts.record("a", "A", "certified", 1, 1, 0.0, stage="proof", seed=0, parts=steps),
            parts.record("a", "A", "holds", 9, 9, 0.1, stage="search", seed=0, parts=[part("bound", "holds")]),
            parts.record("a", "A", "vacuous", 0, 100, None, stage="initial", seed=0),
            parts.record("a", "A", "vacuous", 0, 100, None, stage="trained", seed=0),
            control,
        ],
        meta='{"stages": ["initial", "trained"], "seeds": [0]}',
    )


def card_of(run):
    (rows,) = statements(run).values()
    return make_card(rows, run)


def test_a_proof_does_not_make_a_vacuous_statement_hold(proved):
    assert card_of(proved).verdict.name == "vacuous"
    assert headline(proved).verdicts == {"vacuous": 1}


def test_a_refuted_search_spoils_a_statement_that_holds_on_data(run_of, parts):
    records = [
        parts.record("a", "A", "violated", 9, 9, -0.1, stage="search", parts=[part("bound", "violated")]),
        parts.record("a", "A", "holds", 9, 9, 0.1, stage="trained"),
    ]
    assert headline(run_of(records)).verdicts == {"violated": 1}


def test_card_shows_how_each_step_was_discharged(proved):
    first, second = card_of(proved).steps
    assert first.text == "x_u ≠ x_v"
    assert first.how == "symbolic identity: 2 identities simplify to 0"
    assert second.how == "interval enclosure: 31 boxes"


def test_card_shows_the_counterexample_of_a_control_and_how_to_replay_it(proved):
    (control,) = card_of(proved).controls
    assert control.counterexample.case == "x = [[0], [0.5]], y = 1"
    assert control.counterexample.sides == "1.5 ± 2.1e-16 ≤ 5/4"
    page = render_report(proved, [])
    assert "collabtheory replay counterexamples/a-twin-bound.json" in page
    assert "Proof steps" in page
    assert "Search for counterexamples" in page
    assert "claimed and false: 1.5 ± 2.1e-16 ≤ 5/4" in page


def test_control_refuted_by_data_shows_its_worst_case(run_of, parts):
    control = parts.control("a", "twin", "x", stage="trained")
    control["parts"] = [part("gap", "violated", worst={"u": 3, "left": 2.0, "right": 1.0})]
    run = run_of([parts.record("a", "A", "holds", 1, 1, 0.0, stage="trained"), control])
    (shown,) = card_of(run).controls
    assert shown.counterexample.case == "u = 3"
    assert shown.counterexample.sides == "2.000 ≤ 1.000"
    assert shown.counterexample.file == ""


def test_counterexample_of_a_statement_is_shown_openly(run_of, parts):
    found = {**FOUND, "control": None}
    record = parts.record("a", "A", "violated", 9, 9, -0.1, stage="search", parts=[part("b", "violated")])
    record["parts"][0]["counterexample"] = found
    page = render_report(run_of([record, parts.control("a", "t", "x")]), [])
    before_details = page.split("<details>")[0]
    assert "counterexamples/a-bound.json" in before_details


def test_records_without_the_newer_fields_still_render(run):
    old = [record for record in run.claims if record["parts"]]
    assert all("means" not in one for record in old for one in record["parts"])
    assert "gap bound" in render_report(run, [])


def test_proof_and_search_rows_count_steps_and_searches(proved):
    rows = verdict_table(proved).grid(blank_repeats=True)
    assert [row[1] for row in rows] == ["proof", "search", "initial", "trained"]
    assert [row[4] for row in rows] == ["2 steps", "1 search", "0 % of 100", "0 % of 100"]
    assert [row[6] for row in rows] == ["1/1", "", "", ""]


def test_brief_table_joins_stages_that_say_the_same(run_of, parts):
    records = [
        parts.record("a", "A", "vacuous", 0, 100, None, stage="initial"),
        parts.record("a", "A", "holds", 50, 100, 0.5, stage="epoch_1"),
        parts.record("a", "A", "holds", 20, 100, 0.7, stage="trained"),
        parts.record("b", "B", "holds", 50, 100, 0.5, stage="initial"),
        parts.record("b", "B", "holds", 50, 100, 0.2, stage="epoch_1"),
        parts.record("b", "B", "holds", 50, 100, 0.7, stage="trained"),
    ]
    rows = verdict_table(run_of(records, meta='{"stages": ["initial", "epoch_1", "trained"]}'), brief=True).grid()
    assert [row[1:] for row in rows] == [
        ("initial", "vacuous", "checked", "0 % of 100", "n/a", "n/a"),
        ("epoch 1 to trained", "holds", "checked", "≥ 20.0 % of 100", "+0.500", "n/a"),
        ("all 3", "holds", "checked", "50.0 % of 100", "+0.200", "n/a"),
    ]
