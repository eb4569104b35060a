import math

import pytest

from collabtheory.errors import DataError
from collabtheory.report.headline import headline
from collabtheory.report.table import Count, Estimate
from collabtheory.report.verdicts import (
    controls_table,
    mean_and_range,
    numbers_table,
    summaries,
    tightness_table,
    verdict_table,
)
from collabtheory.report.words import VERDICTS, verdict_words


def test_seeds_are_summed_up_by_the_worst_verdict_and_the_smallest_margin(run_of, parts):
    records = [
        parts.record("a", "A", "holds", 10, 100, 0.5, stage="trained", seed=0, rigor="proved"),
        parts.record("a", "A", "violated", 4, 100, -0.25, stage="trained", seed=1),
        parts.record("a", "A", "vacuous", 0, 100, None, stage="trained", seed=2),
        parts.control("a", "twin", "x", stage="trained", seed=0),
        {**parts.control("a", "twin", "x", stage="trained", seed=1), "caught": False, "verdict": "holds"},
        parts.control("a", "twin", "x", stage="initial", seed=0),
        parts.control("a", "stageless", "x"),
    ]
    (one,) = summaries(run_of(records))
    assert one.verdict == "violated"
    assert one.verdict_text == "violated 1, vacuous 1, holds 1"
    assert one.coverage == Count(14, 300)
    assert one.margin == -0.25
    assert one.rigor == "checked"
    assert one.controls == Count(2, 3)


def test_stages_come_in_the_order_of_training(run):
    rows = [row for row in verdict_table(run).rows if row[0] == "Theorem 2.3"]
    assert [row[1] for row in rows] == ["initial", "epoch 3", "epoch 10", "trained"]


def test_numbers_are_means_over_seeds_with_their_range(run):
    table = numbers_table(run, "theorem_2_3")
    row = next(row for row in table.rows if row[0] == "pairs in which v helps u")
    tables = [run.pairs(seed, "trained") for seed in (0, 1)]
    by_hand = [float((table["loss_change"] < 0)[table["sampling"] == "sampled"].mean()) for table in tables]
    assert row[-1].value == pytest.approx(sum(by_hand) / 2, abs=1e-15)
    assert (row[-1].low, row[-1].high) == (min(by_hand), max(by_hand))


def test_one_seed_keeps_its_own_interval_and_undefined_seeds_are_told(parts):
    def with_number(value, low=None, high=None):
        return {"numbers": {"x": parts.number(value, low, high)}}

    assert mean_and_range([with_number(0.4, 0.3, 0.5)], "x") == Estimate(0.4, 0.3, 0.5)
    assert mean_and_range([with_number(0.2), with_number(0.4)], "x") == Estimate(pytest.approx(0.3), 0.2, 0.4)
    assert mean_and_range([with_number(1.0), with_number(None)], "x").text("share") == "100 % (1 of 2 seeds)"
    assert math.isnan(mean_and_range([with_number(None), with_number(None)], "x").value)
    assert mean_and_range([{"numbers": {}}], "x").text("share") == "n/a"


def test_a_statement_that_was_not_checked_is_named(run):
    with pytest.raises(DataError, match="no record of theorem_9_9; it has wasserstein_bracket"):
        numbers_table(run, "theorem_9_9")


def test_controls_are_counted_over_stages_and_seeds(run):
    rows = {row[1]: row[4] for row in controls_table(run).rows}
    assert rows["drop content mismatch"] == Count(8, 8)
    assert rows["drop trace"] == Count(1, 1)


def test_a_control_without_a_result_counts_as_not_caught(run_of, parts):
    table = controls_table(run_of([{**parts.control("a", "twin", "x"), "caught": None}]))
    assert table.rows[0][4] == Count(0, 1)


def test_unknown_verdicts_are_refused(run_of, parts):
    with pytest.raises(DataError, match="unknown verdict 'passed'"):
        verdict_table(run_of([parts.record("a", "A", "passed", 1, 1, 0.0)]))


def test_every_verdict_has_a_meaning_and_a_mark():
    for name in ("certified", "holds", "vacuous", "assumption_fails", "violated", "error"):
        assert verdict_words(name).meaning.endswith(".")
    for name in ("supported", "contradicted", "inconclusive"):
        assert verdict_words(name).mark
    assert len(VERDICTS) == 9


def answer_of(run_of, parts, *verdicts, caught=True):
    records = [parts.record(f"s{i}", "S", verdict, 1, 1, 0.0) for i, verdict in enumerate(verdicts)]
    return headline(run_of([*records, {**parts.control("s0", "twin", "x"), "caught": caught}]))


def test_the_headline_puts_what_is_wrong_first(run_of, parts):
    assert answer_of(run_of, parts, "holds", "certified").answer.startswith("No counterexample. All 2 statements hold")
    assert "1 of 2 statements hold" in answer_of(run_of, parts, "holds", "vacuous").answer
    assert answer_of(run_of, parts, "holds", "violated").answer == "1 statement of 2 is false here."
    assert answer_of(run_of, parts, "violated", "error").answer.startswith("Unfinished")
    assert answer_of(run_of, parts, "vacuous").answer.startswith("Nothing was refuted, and nothing was confirmed")
    missed = answer_of(run_of, parts, "violated", caught=False)
    assert missed.answer.startswith("Do not trust this run: 1 negative control")
    assert missed.tone == "bad"


def test_the_headline_says_where_a_statement_is_silent_and_what_the_radius_covers(run):
    said = " ".join(headline(run).sentences)
    row = next(row for row in numbers_table(run, "theorem_2_3").rows if row[0] == "pairs in which v helps u")
    assert "planted world (400 users, 300 items, 9,120 interactions)" in said
    assert "Theorem 2.3 says nothing after 3 epochs" in said
    assert f"After training, one user's step helps the other in {100 * row[-1].value:.1f} % of pairs" in said
    assert "vouches for no pair." in said
    assert "All 5 negative controls" in said


def test_an_empty_run_says_that_nothing_was_checked(run_of):
    answer = headline(run_of([]))
    assert answer.answer == "Nothing was checked."
    assert "No negative control was run" in answer.sentences[-1]


def test_tightness_has_a_row_a_bound_and_a_column_a_stage(run_of, parts):
    number = {"value": 0.5, "label": "left / right", "unit": "", "low": 0.25, "high": 0.75, "n": 9, "order": 0}
    other = {**number, "value": 0.1, "label": "second bound"}
    records = [
        {**parts.record("a", "A", "holds", 9, 9, 0.1, stage="trained", seed=0), "numbers": {"tightness": number}},
        {**parts.record("a", "A", "holds", 9, 9, 0.1, stage="initial", seed=0), "numbers": {"tightness": number}},
        {**parts.record("b", "B", "holds", 9, 9, 0.1, stage="initial", seed=0), "numbers": {"tightness_2": other}},
        {**parts.record("c", "C", "holds", 9, 9, 0.1, stage="initial", seed=0), "numbers": {"share": other}},
    ]
    table = tightness_table(run_of(records))
    assert [column.label for column in table.columns] == ["Statement", "Bound", "initial", "trained"]
    assert [row[:2] for row in table.rows] == [("A", "left / right"), ("B", "second bound")]
    assert table.rows[0][2] == Estimate(0.5, 0.25, 0.75, "number")
    assert table.rows[1][3] is None


def test_a_run_without_tightness_is_told_so(run_of, parts):
    with pytest.raises(DataError, match="no result named tightness"):
        tightness_table(run_of([parts.record("a", "A", "holds", 9, 9, 0.1, stage="trained", seed=0)]))
