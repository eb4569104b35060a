"""Every broken model is caught by its own check and no other; the right ones pass; what is not given is not passed."""

import importlib.util
import sys
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import stats

import collabtheory as ct
from collabtheory.conformance import (
    CHECKS,
    VaeUnderTest,
    captured_codes,
    check_vae,
    exit_code,
    from_autoencoder,
    random_contents,
    to_table,
)
from collabtheory.conformance.posterior_checks import code_noise
from collabtheory.conformance.under_test import decode, make_probe
from collabtheory.data.split import strong_generalisation
from collabtheory.errors import InvalidInput
from collabtheory.models.architectures import build
from collabtheory.models.specification import ModelSpec, TrainingSpec
from collabtheory.models.trainer import train

_specification = importlib.util.spec_from_file_location("broken_models", Path(__file__).parent / "broken_models.py")
zoo = importlib.util.module_from_spec(_specification)
# Dataclasses look their module up there.
sys.modules["broken_models"] = zoo
_specification.loader.exec_module(zoo)


def check(model, seed=0):
    return {f.name: f for f in check_vae(model, zoo.CONTENTS, rng=np.random.default_rng(seed))}


def test_a_right_model_passes_every_check():
    found = check(zoo.RIGHT)
    assert {f.status.value for f in found.values()} == {"fine"}, [f for f in found.values() if f.status != "fine"]
    assert list(found) == list(CHECKS)


@pytest.mark.parametrize("name", zoo.BROKEN)
def test_each_error_is_flagged_by_its_own_check_and_no_other(name):
    broken = zoo.BROKEN[name]
    found = check(broken.model)
    flagged = {f.name: f for f in found.values() if f.status in ("wrong", "suspicious")}
    assert set(flagged) == broken.checks, {n: f.words for n, f in flagged.items()}
    assert {f.status.value for f in flagged.values()} == {broken.status}
    assert any(broken.words in f.words for f in flagged.values()), flagged
    assert exit_code(tuple(found.values())) == (broken.status == "wrong")


def test_every_check_has_a_broken_model():
    assert set().union(*(broken.checks for broken in zoo.BROKEN.values())) == set(CHECKS)


@pytest.mark.parametrize("option", ["sample", "kl", "reconstruction", "beta", "rank", "encode_masked", "evaluate"])
def test_what_is_not_given_is_not_checked_and_never_passed(option):
    before, after = check(zoo.RIGHT), check(replace(zoo.RIGHT, **{option: None}))
    changed = {name for name in CHECKS if before[name].status != after[name].status}
    assert changed
    assert all(after[name].status == "not checked" and "not given" in after[name].words for name in changed)


def test_two_callables_are_enough():
    found = check(VaeUnderTest(zoo.RIGHT.encode, zoo.RIGHT.decoder))
    assert {n for n, f in found.items() if f.status == "fine"} == {
        "standard_deviation",
        "posterior_spread",
        "input_normalisation",
        "short_histories",
        "batch_independence",
        "evaluation_mode",
    }
    assert sum(f.status == "not checked" for f in found.values()) == len(CHECKS) - 6


def test_right_models_raise_no_alarm_whatever_the_weights_and_the_seed():
    for seed in range(1, 4):
        found = check(replace(zoo.correct(seed), train_with_l2=None), seed)
        assert not [f for f in found.values() if f.status in ("wrong", "suspicious")], seed


def test_right_noise_is_called_wrong_as_often_as_the_error_rate_says(monkeypatch):
    """At a rate that repetitions can tell: 5 %."""
    monkeypatch.setattr("collabtheory.conformance.posterior_checks.FALSE_ALARM_RATE", 0.05)
    monkeypatch.setattr("collabtheory.conformance.posterior_checks.N_DRAWS", 500)
    monkeypatch.setattr("collabtheory.conformance.posterior_checks.N_CALLS", 2)
    probe = make_probe(zoo.RIGHT, zoo.CONTENTS, np.random.default_rng(0))
    repeats = 250
    alarms = sum(code_noise(zoo.RIGHT, probe, np.random.default_rng(s)).status == "wrong" for s in range(repeats))
    interval = stats.binomtest(alarms, repeats).proportion_ci(0.999)
    assert interval.low <= 0.05 <= interval.high, alarms


def test_right_noise_raises_no_alarm_in_200_repetitions():
    probe = make_probe(zoo.RIGHT, zoo.CONTENTS, np.random.default_rng(0))

    def sample(contents, rng):
        return np.tile(probe.mu, (contents.shape[0] // len(probe.mu), 1)) + rng.standard_normal(
            (contents.shape[0], zoo.LATENT)
        ) * np.tile(probe.sigma, (contents.shape[0] // len(probe.mu), 1))

    model = replace(zoo.RIGHT, sample=sample)
    alarms = sum(code_noise(model, probe, np.random.default_rng(s)).status == "wrong" for s in range(200))
    # At 1e-3 a run, more than 2 of 200 have probability 1e-3.
    assert alarms <= 2


@pytest.mark.parametrize("architecture", ["mult_vae", "rec_vae"])
@pytest.mark.parametrize("masking", ["normalise_then_mask", "mask_then_normalise", "mask_only"])
@pytest.mark.parametrize("likelihood", ["multinomial", "gaussian"])
def test_models_of_this_package_conform(architecture, masking, likelihood):
    spec = ModelSpec(architecture=architecture, hidden=(16,), latent=5, masking=masking, likelihood=likelihood)
    model = build(spec, 50, np.random.default_rng(0))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(2.0)
    given = from_autoencoder(model)
    # Two trainings of the same trainer are enough.
    given = (
        given if (masking, likelihood) == ("normalise_then_mask", "gaussian") else replace(given, train_with_l2=None)
    )
    found = check_vae(given, random_contents(50, 60, np.random.default_rng(1)), rng=np.random.default_rng(2))
    flagged = [f for f in found if f.status in ("wrong", "suspicious")]
    assert not flagged
    unseen = {f.name for f in found if f.status == "not checked"} - {"weight_decay"}
    assert unseen == ({"kl_form", "loss_balance"} if architecture == "rec_vae" else set())


def test_a_training_that_never_reaches_its_cap_is_seen_in_this_package_too():
    model = build(ModelSpec(hidden=(8,), latent=3), 40, np.random.default_rng(0))
    broken = replace(from_autoencoder(model, TrainingSpec(beta=0.2)), beta=lambda step, total: step / 1e6)
    assert (
        check_vae(broken, random_contents(40, 30, np.random.default_rng(1)), rng=np.random.default_rng(0))[
            list(CHECKS).index("kl_annealing")
        ].status
        == "wrong"
    )


@pytest.mark.slow
@pytest.mark.parametrize("scale", [1.0, 0.01])
def test_small_noise_in_this_packages_trainer_is_seen_in_training_and_in_what_it_leads_to(scale, monkeypatch):
    data = ct.load("planted")
    split = strong_generalisation(data, rng=np.random.default_rng(0))
    draw = torch.randn
    monkeypatch.setattr(torch, "randn", lambda *args, **options: scale * draw(*args, **options))
    model = train(ModelSpec(hidden=(20,), latent=4), TrainingSpec(epochs=40, beta=0.2), split, seed=0).model
    given = replace(from_autoencoder(model), train_with_l2=None)
    found = check_vae(given, split.train.matrix, rng=np.random.default_rng(0))
    flagged = {f.name for f in found if f.status in ("wrong", "suspicious")}
    # The loss as a whole is that of other codes than those that the posterior promises.
    assert flagged == (set() if scale == 1.0 else {"code_noise", "posterior_spread", "loss_balance"})


def test_an_autoencoder_without_random_codes_is_refused():
    model = build(ModelSpec(architecture="mult_dae", hidden=(8,), latent=3), 40, np.random.default_rng(0))
    with pytest.raises(InvalidInput, match="no VAE"):
        from_autoencoder(model)


def test_checks_leave_the_model_as_it_was():
    model = zoo.correct()
    model.decoder.train()
    before = [(name, value.clone()) for name, value in model.decoder.state_dict().items()]
    check(model)
    assert model.decoder.training
    assert not model.decoder._forward_hooks
    assert all(torch.equal(value, model.decoder.state_dict()[name]) for name, value in before)


def test_decoding_switches_no_part_on():
    decoder = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Dropout(0.5)).train()
    decoder[1].eval()
    model = VaeUnderTest(zoo.RIGHT.encode, decoder)
    decode(model, np.ones((1, 2)))
    assert (decoder.training, decoder[1].training) == (True, False)


def test_a_callable_that_fails_is_a_finding_and_the_others_are_still_checked():
    def fails(contents):
        raise RuntimeError("boom")

    found = check(replace(zoo.RIGHT, kl=fails))
    assert found["kl_form"].status == "wrong"
    assert "RuntimeError: boom" in found["kl_form"].words
    assert found["code_noise"].status == "fine"


@pytest.mark.parametrize(
    ("encode", "message"),
    [
        (lambda x: x.nothing, "AttributeError"),
        (lambda x: (np.zeros(3), np.ones(3)), "users, d"),
        (lambda x: (np.full((x.shape[0], 2), np.nan), np.ones((x.shape[0], 2))), "not finite"),
    ],
)
def test_an_encoder_that_cannot_be_used_is_one_clear_line(encode, message):
    with pytest.raises(InvalidInput, match=message):
        check(VaeUnderTest(encode, zoo.RIGHT.decoder))


def test_claims_that_no_model_can_meet_are_refused_at_the_door():
    for wrong in ({"likelihood": "normal"}, {"masking": "none"}, {"decoder": len}):
        with pytest.raises(InvalidInput):
            replace(zoo.RIGHT, **wrong)


def test_codes_can_be_read_at_the_decoders_door():
    model = zoo.RIGHT
    contents = zoo.CONTENTS[:3]
    codes = captured_codes(model.decoder, lambda: model.loss(contents, 1.0, np.random.default_rng(5)))
    np.testing.assert_allclose(codes, model.sample(contents, np.random.default_rng(5)))
    with pytest.raises(InvalidInput, match="does not call the decoder"):
        captured_codes(model.decoder, lambda: None)


def test_the_table_has_a_row_a_check_worst_first_and_counts_what_was_not_checked():
    found = tuple(check(replace(zoo.BROKEN["KL without 1/2"].model, evaluate=None)).values())
    table = to_table(found)
    assert len(table.rows) == len(CHECKS)
    assert [row[1] for row in table.rows] == sorted(
        (row[1] for row in table.rows), key=["wrong", "suspicious", "not checked", "fine"].index
    )
    assert "1 wrong, 0 suspicious, 2 not checked" in table.caption


def test_which_definition_of_a_metric_is_used_is_said():
    said = {
        (recall, ndcg): check(zoo.with_evaluator(recall=recall, ndcg=ndcg))["metrics"]
        for recall, ndcg in (("min", "n"), ("n", "k"), ("n", "min"))
    }
    assert {finding.status.value for finding in said.values()} == {"fine"}
    assert said["n", "k"].words == "Recall@20: hits / n; NDCG@100: ideal of k items"
    assert said["min", "n"].words == "Recall@20: hits / min(k, n); NDCG@100: ideal of all n items, not cut at k"
    assert len({finding.words for finding in said.values()}) == len(said)


def test_made_up_contents_have_short_and_long_histories_and_no_item_twice():
    contents = random_contents(50, 200, np.random.default_rng(0))
    sizes = np.diff(contents.indptr)
    assert sizes.min() >= 2
    assert sizes.max() <= 25
    assert len(set(sizes.tolist())) > 10
    assert (contents.toarray() <= 1).all()
    assert {field.name for field in fields(VaeUnderTest)} >= {"encode", "decoder"}
