"""Theorem 2.3, the aligned radius and A1 as attackable inequalities: proofs, twins by hand, and what certifies."""

import runpy
from pathlib import Path

import numpy as np
import pytest

from collabtheory.claims import Subject, Verdict
from collabtheory.claims.discovery import load_statement
from collabtheory.claims.search import draw_cases
from collabtheory.rigor import Decision, enclosed

CHECKS = Path(__file__).parents[2] / "proofs_checks"
FILES = {
    name: load_statement(CHECKS / f"{name}.py")
    for name in ("theorem_2_3_sharing_radius", "theorem_2_3_aligned_radius", "assumption_a1")
}
INEQUALITIES = [inequality for file in FILES.values() for inequality in file.inequalities]
TRUE = [one for one in INEQUALITIES if one.control is None]
TWINS = {one.control: one for one in INEQUALITIES if one.control is not None}


def two_users(likelihood="multinomial", **changes):
    """Two users with one code at 0 on a decoder of zeros: p = 1/2 each, so opposed contents pull against each other."""
    case = {
        "likelihood": ["multinomial", "bernoulli", "gaussian", "poisson"].index(likelihood),
        "first": [[0.0]],
        "first_bias": [0.0],
        "second": [[0.0], [0.0]],
        "second_bias": [0.0, 0.0],
        "content_u": [1.0, 0.0],
        "content_v": [0.0, 1.0],
        "codes": [[0.0]],
        "shift": [[0.0]],
        "distance": 0.5,
    }
    return {name: np.asarray(value, dtype=float) for name, value in (case | changes).items()}


def one_user(**changes):
    pair = two_users(**changes)
    kept = {name: pair[name] for name in ("likelihood", "first", "first_bias", "second", "second_bias")}
    extra = {"content": changes.get("content", [1.0, 0.0]), "code": changes["code"], "other": changes["other"]}
    return kept | {name: np.asarray(value, dtype=float) for name, value in extra.items()}


BY_HAND = {
    "drop_content_mismatch": two_users(),
    "wrong_first_order_term": two_users(length=0.01),
    "own_content": two_users(),
    "norms_for_alignment": two_users(),
    # 1/2 b^2 from b = 1, u = v: Lambda = 1, the range ends at 2, and at 3 the loss is 2 instead of 1/2.
    "twice_the_range": two_users(
        "gaussian",
        second=[[0.0]],
        second_bias=[1.0],
        content_u=[0.0],
        content_v=[0.0],
        length=3.0,
        distance=1e-6,
    ),
    # delta' h' = 1 at both codes +-1 of v, so the mean of the norms equals both; bent apart by the hidden unit.
    "mismatch_order_reversed": two_users(
        "bernoulli",
        first=[[1.0]],
        second=[[0.0]],
        second_bias=[0.0],
        content_u=[1.0],
        content_v=[0.0],
        codes=[[-1.0], [1.0]],
        shift=[[0.0], [0.0]],
    ),
    "constant_at_the_centre": one_user(first=[[1.0]], second=[[1.0], [-1.0]], code=[3.0], other=[0.0]),
    "all_layers": one_user(first=[[0.0]], second=[[1.0], [-1.0]], code=[30.0], other=[-30.0]),
}


@pytest.mark.parametrize("control", BY_HAND)
def test_each_twin_is_broken_by_a_case_made_by_hand(control):
    assert TWINS[control].decide(BY_HAND[control]).decision is Decision.FALSE


@pytest.mark.parametrize("control", BY_HAND)
def test_the_true_inequality_survives_the_same_case(control):
    twin = TWINS[control]
    true = next(one for one in TRUE if one.statement == twin.statement and one.name == twin.name)
    case = BY_HAND[control]
    if true.slack(case) == 0:  # equality: an interval cannot decide it
        assert true.decide(case).decision is not Decision.FALSE
    elif np.isnan(true.slack(case)):
        assert true.met_and_slack(case)[1] <= 0
    else:
        assert true.slack(case) > -1e-12


@pytest.mark.parametrize("inequality", TRUE, ids=lambda one: f"{one.statement.identifier}-{one.name}")
def test_true_inequalities_are_never_refuted_and_often_apply(inequality):
    rng = np.random.default_rng(5)
    decisions = [inequality.decide(case).decision for case in draw_cases(inequality, rng, 30)]
    assert Decision.FALSE not in decisions
    assert decisions.count(Decision.TRUE) >= 5


@pytest.mark.parametrize("file", FILES.values(), ids=FILES)
def test_every_step_of_the_proof_is_certainly_true_by_means_that_certify(file):
    assert len(file.statement.steps) == len(file.statement.proof) >= 6
    for step in file.statement.steps:
        finding = step.discharge()
        assert finding.decision is Decision.TRUE, step.name
        assert finding.means.certifies, step.name


def test_every_written_control_has_an_attackable_twin():
    for file in FILES.values():
        written = {one.control for one in file.checks if one.control is not None}
        assert written <= {one.control for one in file.inequalities}


def test_steps_on_small_decoders_are_certified_over_the_whole_segment():
    (small,) = [
        one
        for one in FILES["theorem_2_3_sharing_radius"].checks
        if one.stages == "none" and one.control is None and one.label is None
    ]
    evidence = small(Subject(0))
    assert evidence.verdict is Verdict.CERTIFIED
    assert {part.name for part in evidence.parts} >= {"second_order", "inside_the_range", "falls_multinomial"}
    assert all(part.verdict is Verdict.CERTIFIED for part in evidence.parts)


@pytest.mark.parametrize("likelihood", ["multinomial", "bernoulli", "gaussian", "poisson"])
def test_the_certified_steps_take_nine_tenths_of_the_range_and_a_quarter_more_is_refused(likelihood):
    module = runpy.run_path(str(CHECKS / "theorem_2_3_sharing_radius.py"))
    pair, size = module["_small_case"](likelihood), enclosed(module["LARGEST_STEP"][likelihood])

    def share_of_the_range(size):
        return pair.curvature(size).upper() / (2 * size * pair.norm_u * (pair.norm_u - pair.penalty))

    assert 0.85 < share_of_the_range(size) < 1
    assert share_of_the_range(size * 5 / 4) > 1
