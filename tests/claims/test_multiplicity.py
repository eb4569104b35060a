"""Holm over claims: what one claim's parts, and many claims together, do to verdicts."""

import copy

import numpy as np
import pytest

from collabtheory.claims.multiplicity import corrected
from collabtheory.stats import holm


def record(identifier, *parts, control=False):
    made = [
        {"name": str(number), "verdict": verdict, "comparison": None if p is None else {"p": p}}
        for number, (verdict, p) in enumerate(parts)
    ]
    return {"id": identifier, "control": control, "verdict": parts[0][0], "parts": made}


def test_single_part_claims_get_exactly_holms_adjusted_decisions():
    rng = np.random.default_rng(0)
    for _ in range(200):
        p_values = rng.random(6) ** 4
        records = corrected([record(f"E{k}", ("supported", p)) for k, p in enumerate(p_values)])
        decided = [one["verdict"] == "supported" for one in records]
        assert decided == (holm(p_values) < 0.05).tolist()


def test_a_conjunction_is_judged_by_its_largest_p_without_correction_within():
    (only,) = corrected([record("E4", ("supported", 0.001), ("supported", 0.04), ("supported", 0.002))])
    assert only["verdict"] == "supported"
    (only,) = corrected([record("E4", ("supported", 0.001), ("supported", 0.06))])
    assert only["verdict"] == "inconclusive"


def test_one_contradicted_part_of_several_pays_for_having_had_several_chances():
    (only,) = corrected([record("E5", ("contradicted", 0.02), ("inconclusive", 0.5), ("inconclusive", 0.6))])
    assert only["verdict"] == "inconclusive"
    (only,) = corrected([record("E5", ("contradicted", 0.01), ("inconclusive", 0.5), ("inconclusive", 0.6))])
    assert only["verdict"] == "contradicted"


def test_more_claims_make_each_harder_and_no_verdict_stronger():
    alone = corrected([record("E1", ("supported", 0.03))])[0]["verdict"]
    among = corrected([record("E1", ("supported", 0.03)), record("E2", ("inconclusive", 0.9))])[0]["verdict"]
    assert (alone, among) == ("supported", "inconclusive")
    assert corrected([record("E1", ("inconclusive", 1e-9))])[0]["verdict"] == "inconclusive"


def test_controls_and_records_without_comparisons_stay_as_they_are():
    untouched = [record("E1", ("contradicted", 0.5), control=True), record("theorem_2_3", ("holds", None))]
    assert corrected(copy.deepcopy(untouched)) == untouched


def test_the_order_of_records_does_not_matter():
    records = [record("E1", ("supported", 0.02)), record("E2", ("supported", 0.001)), record("E3", ("supported", 0.2))]
    forward = {one["id"]: one["verdict"] for one in corrected(copy.deepcopy(records))}
    backward = {one["id"]: one["verdict"] for one in corrected(copy.deepcopy(records[::-1]))}
    assert forward == backward == {"E1": "supported", "E2": "supported", "E3": "inconclusive"}


@pytest.mark.parametrize("p", [0.0, 1.0])
def test_extreme_p_values_are_fine(p):
    assert corrected([record("E1", ("supported", p))])[0]["parts"][0]["comparison"]["p_adjusted"] == p
