"""E1 to E12 on made-up results: true ones are supported, turned round they are contradicted, nothing is nothing."""

import numpy as np
import pytest
from synthetic_study import OTHERS, TRUE_ACCURACY, TRUE_MEASURES, write_study

from collabtheory.claims import Subject, Verdict
from collabtheory.claims.discovery import discover
from collabtheory.claims.record import run_checks
from collabtheory.studies.methods import METHODS
from collabtheory.studies.results import Study

CLAIMS = {file.identifier: file for file in discover() if file.statement.kind == "empirical"}
WITH_ACCURACY = [name for name in CLAIMS if name not in ("E1", "E2", "E11")]


@pytest.fixture(scope="module")
def studies(tmp_path_factory):
    """Studies where the claims are true, false, and where no method differs from another."""
    turned = {name: 2 * OTHERS - value for name, value in TRUE_ACCURACY.items()}
    # What is compared with a method that has no lead needs one against it: the linear model and the masked model.
    turned |= {"ease": 0.30, "mult_vae": 0.36, "mult_vae_pia": 0.33, "mult_vae_pia_shuffled": 0.35}
    turned |= {"rec_vae_pia": 0.30, "rec_vae": 0.36, "kl_by_size": 0.30, "kl_learned": 0.30, "modern": 0.25}
    flat = {measure: {"": by.get("", 0.0)} for measure, by in TRUE_MEASURES.items()}
    make = tmp_path_factory.mktemp
    return {
        "true": write_study(make("true")),
        "turned": write_study(make("turned"), accuracy=turned, seed=1),
        "null": write_study(make("null"), accuracy=dict.fromkeys(METHODS, OTHERS), measures=flat, seed=2),
        "rising": write_study(make("rising"), rising=tuple(METHODS), seed=3),
    }


def checks_of(name, control):
    return [one for one in CLAIMS[name].checks if one.stages == "study" and (one.control is not None) == control]


def test_there_are_twelve_claims_each_with_controls():
    assert set(CLAIMS) == {f"E{number}" for number in range(1, 13)}
    assert all(checks_of(name, True) and checks_of(name, False) for name in CLAIMS)
    assert all(set(one.methods) <= set(METHODS) for file in CLAIMS.values() for one in file.checks)
    assert all(set(one.measured) <= set(one.methods) for file in CLAIMS.values() for one in file.checks)


@pytest.mark.parametrize("name", CLAIMS)
def test_a_claim_that_is_true_is_supported_in_every_part(studies, name):
    (check,) = checks_of(name, False)
    evidence = check(Subject(0, inputs=studies["true"]))
    assert {part.verdict for part in evidence.parts} == {Verdict.SUPPORTED}, [part.detail for part in evidence.parts]
    assert evidence.numbers


@pytest.mark.parametrize("name", WITH_ACCURACY)
def test_a_claim_that_is_turned_round_is_contradicted(studies, name):
    (check,) = checks_of(name, False)
    assert check(Subject(0, inputs=studies["turned"])).verdict is Verdict.CONTRADICTED


@pytest.mark.parametrize("name", WITH_ACCURACY)
def test_a_claim_about_methods_that_do_not_differ_is_not_supported(studies, name):
    (check,) = checks_of(name, False)
    assert check(Subject(0, inputs=studies["null"])).verdict is Verdict.INCONCLUSIVE


@pytest.mark.parametrize("name", CLAIMS)
def test_a_method_that_was_still_improving_decides_nothing_and_is_named(studies, name):
    (check,) = checks_of(name, False)
    evidence = check(Subject(0, inputs=studies["rising"]))
    assert evidence.verdict is Verdict.INCONCLUSIVE
    assert "still improving when training ended" in evidence.leading.detail


@pytest.mark.parametrize("kind", ["true", "turned", "null"])
@pytest.mark.parametrize("name", CLAIMS)
def test_controls_are_refuted_whatever_the_truth_of_the_claim(studies, name, kind):
    for control in checks_of(name, True):
        evidence = control(Subject(0, inputs=studies[kind]))
        assert evidence.verdict is Verdict.CONTRADICTED, (control.control, evidence.leading.detail)


def test_users_are_paired_and_a_study_of_different_users_is_refused(studies, tmp_path):
    study = Study.of_inputs(studies["true"], 0)
    left, right = study.users("ease"), study.users("popularity")
    assert left["row"].equals(right["row"])
    expected = (left["ndcg@100"] - right["ndcg@100"]).mean()
    assert study.compare("ease", "popularity").difference.value == pytest.approx(expected, abs=1e-12)
    other = Study({**study.fits, "popularity": {0: study.fits["popularity"][0]}}, {}, 0)
    with pytest.raises(Exception, match="different users"):
        other.compare("ease", "popularity")


def test_measures_are_compared_over_users_present_in_every_fold(studies):
    study = Study.of_inputs(studies["true"], 0)
    values = study.per_user("mult_vae", "sparsity.kl")
    short = values[[key for key in values.index if key != (3, 2)]]
    assert study.compare_measures(values, 0.0, "all").n == 80
    assert study.compare_measures(short, 0.0, "one user lacks a fold").n == 79
    assert np.isnan(study.mean_measure("mult_vae", "no such measure"))


def test_a_measure_that_the_data_do_not_define_is_a_premise_not_met_and_no_crash(tmp_path):
    measures = {name: by for name, by in TRUE_MEASURES.items() if not name.startswith("familiarity.per_doubling")}
    subject = Subject(0, inputs=write_study(tmp_path, measures=measures))
    records = list(run_checks([*checks_of("E11", False), *checks_of("E11", True)], subject, data=None, model=None))
    assert {record["verdict"] for record in records if not record["control"]} == {"assumption_fails"}
    assert "familiarity.per_doubling.kl" in records[0]["notes"][0]
