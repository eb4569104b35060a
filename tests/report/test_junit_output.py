from collections import Counter

import pytest
from junitparser import Error, Failure, JUnitXml, Skipped

from collabtheory.report.junit import to_junit, write_junit

EXPECTED = {
    "certified": None,
    "holds": None,
    "supported": None,
    "violated": Failure,
    "contradicted": Failure,
    "error": Error,
    "vacuous": Skipped,
    "inconclusive": Skipped,
    "assumption_fails": Skipped,
}


def read_back(run):
    return {case.name: case for suite in JUnitXml.fromfile(str(write_junit(run))) for case in suite}


def test_each_verdict_becomes_its_outcome(run_of, parts):
    records = [parts.record("s", "S", verdict, 1, 4, 0.0, stage=verdict) for verdict in EXPECTED]
    cases = read_back(run_of(records))
    for verdict, kind in EXPECTED.items():
        found = cases[f"statement [{verdict}]"].result
        assert [type(one) for one in found] == ([kind] if kind else [])
    assert cases["statement [vacuous]"].result[0].message.startswith("vacuous: S. Premise met by 25.0 % of 4")


def test_a_control_passes_exactly_if_it_was_caught(run_of, parts):
    records = [
        parts.control("s", "seen", "x"),
        {**parts.control("s", "missed", "x"), "verdict": "holds", "caught": False},
        {**parts.control("s", "empty", "x"), "verdict": "vacuous", "caught": False},
        {**parts.control("s", "broken", "x"), "verdict": "error", "caught": False},
    ]
    cases = read_back(run_of(records))
    assert cases["control seen"].result == []
    assert isinstance(cases["control missed"].result[0], Failure)
    assert cases["control empty"].result[0].message.startswith("control not caught")
    assert isinstance(cases["control broken"].result[0], Error)


def test_counts_read_back_equal_the_records(run):
    whole = JUnitXml.fromfile(str(write_junit(run)))
    verdicts = Counter(record["verdict"] for record in run.claims)
    assert whole.tests == len(run.records)
    assert whole.skipped == verdicts["vacuous"] + verdicts["assumption_fails"]
    assert whole.failures == 0
    assert whole.errors == 0


def test_the_file_depends_on_the_records_alone(run):
    first = write_junit(run).read_bytes()
    assert write_junit(run).read_bytes() == first
    assert b"timestamp" not in first


@pytest.mark.parametrize("text", ["<b>&\"'", "\x00\x1b[31m", "é\U0001f600"])
def test_any_text_gives_well_formed_xml(run_of, parts, text):
    run = run_of([parts.record("s", text, "violated", 1, 1, -1.0, notes=[text], worst={"u": text})])
    (case,) = read_back(run).values()
    assert isinstance(case.result[0], Failure)
    assert len(list(to_junit(run))) == 1
