"""What holds for every architecture: building, inputs, checkpoints, and what the theory sees of it."""

import numpy as np
import pytest
import torch
from scipy import sparse

from collabtheory.errors import DataError, InvalidInput
from collabtheory.models import ModelSpec, MultDAE, MultVAE, RecVAE, encoder_input, load_model, save_model
from collabtheory.models.architectures import build
from collabtheory.models.checkpoints import load_tensors, save_tensors
from collabtheory.models.recommender import from_autoencoder
from collabtheory.runs.seeds import derive

N_ITEMS = 30
SPECS = {
    "mult_vae": ModelSpec(hidden=(9,), latent=4),
    "mult_vae with PIA": ModelSpec(hidden=(9, 7), latent=4, alignment_weight=0.3),
    "mult_dae": ModelSpec(architecture="mult_dae", hidden=(), latent=4),
    "mult_dae with PIA": ModelSpec(architecture="mult_dae", hidden=(9,), latent=4, alignment_weight=0.3),
    "rec_vae": ModelSpec(architecture="rec_vae", hidden=(9,), latent=4),
    "rec_vae with PIA": ModelSpec(architecture="rec_vae", hidden=(9,), latent=4, alignment_weight=0.3),
}
RANDOM_CODES = [name for name in SPECS if not name.startswith("mult_dae")]


@pytest.fixture
def contents():
    """Binary contents of eight users; the last has no items."""
    x = (np.random.default_rng(0).random((8, N_ITEMS)) < 0.3).astype(np.float32)
    x[7] = 0.0
    return sparse.csr_array(x)


def same(left, right):
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


@pytest.mark.parametrize(("name", "kind"), [("mult_vae", MultVAE), ("mult_dae", MultDAE), ("rec_vae", RecVAE)])
def test_the_architecture_that_is_named_is_built(name, kind):
    assert type(build(SPECS[name], N_ITEMS, derive(0))) is kind


@pytest.mark.parametrize("hidden", [(), (600, 300)])
def test_a_rec_vae_has_exactly_one_hidden_width(hidden):
    spec = ModelSpec(architecture="rec_vae", hidden=hidden)
    with pytest.raises(InvalidInput, match="one hidden width"):
        build(spec, N_ITEMS, derive(0))


@pytest.mark.parametrize("name", SPECS)
def test_no_items_are_refused(name):
    with pytest.raises(InvalidInput, match="n_items"):
        build(SPECS[name], 0, derive(0))


@pytest.mark.parametrize("name", SPECS)
def test_weights_come_from_the_generator_alone(name):
    first = build(SPECS[name], N_ITEMS, derive(4)).state_dict()
    torch.manual_seed(99)
    torch.rand(7)
    again, other = (build(SPECS[name], N_ITEMS, derive(seed)).state_dict() for seed in (4, 5))
    assert same(first, again)
    assert not any(torch.equal(first[k], other[k]) for k in first if k.endswith("weight") and first[k].ndim == 2)


@pytest.mark.parametrize("name", SPECS)
def test_anchors_exist_only_with_an_alignment_weight_and_change_no_other_weight(name):
    model = build(SPECS[name], N_ITEMS, derive(0))
    if "PIA" not in name:
        assert model.item_anchors is None
        return
    assert model.item_anchors.shape == (N_ITEMS, 4)
    assert 0 < float(model.item_anchors.detach().abs().max()) < 0.1
    without = build(SPECS[name].model_copy(update={"alignment_weight": 0.0}), N_ITEMS, derive(0))
    shared = {key: value for key, value in model.state_dict().items() if key != "item_anchors"}
    assert same(without.state_dict(), shared)


@pytest.mark.parametrize("name", SPECS)
def test_sparse_and_dense_input_encode_alike_with_equal_gradients(name, contents):
    model = build(SPECS[name], N_ITEMS, derive(1))
    inputs = encoder_input(contents, "normalise_then_mask")
    outcomes = []
    for given in (inputs, inputs.to_dense()):
        model.zero_grad()
        mu, log_variance = model.encode(given)
        sum(part.square().sum() for part in (mu, log_variance) if part is not None).backward()
        gradients = [p.grad.clone() for n, p in model.named_parameters() if p.grad is not None and "encoder" in n]
        outcomes.append([mu.detach(), *gradients])
    torch.testing.assert_close(*outcomes, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", SPECS)
def test_contents_of_another_width_are_refused(name, contents):
    with pytest.raises(InvalidInput, match="29 items and the contents have 30 columns"):
        build(SPECS[name], 29, derive(0)).scores(contents)


@pytest.mark.parametrize("name", SPECS)
def test_scores_are_finite_not_random_and_one_users_do_not_hang_on_others(name, contents):
    model = build(SPECS[name], N_ITEMS, derive(1)).eval()
    scores = model.scores(contents)
    assert scores.shape == contents.shape
    assert np.isfinite(scores).all()
    np.testing.assert_array_equal(scores, model.scores(contents))
    for user in (0, 7):
        np.testing.assert_allclose(model.scores(contents[[user]])[0], scores[user], atol=1e-6)
    assert model.scores(contents[:0]).shape == (0, N_ITEMS)


@pytest.mark.parametrize("name", SPECS)
def test_a_checkpoint_comes_back_bit_for_bit(name, contents, tmp_path):
    model = build(SPECS[name], N_ITEMS, derive(2)).eval()
    with torch.no_grad():
        for number, parameter in enumerate(model.parameters()):
            parameter.add_(0.01 * number)
    save_model(tmp_path / "m.safetensors", model, {"seed": 3})
    loaded = load_model(tmp_path / "m.safetensors")
    assert type(loaded.model) is type(model)
    assert loaded.model.spec == model.spec
    assert loaded.about["seed"] == 3
    assert not loaded.model.training
    assert same(loaded.model.state_dict(), model.state_dict())
    np.testing.assert_array_equal(loaded.model.scores(contents), model.scores(contents))


def test_weights_of_one_architecture_do_not_pass_for_another(tmp_path):
    save_model(tmp_path / "m", build(SPECS["rec_vae"], N_ITEMS, derive(0)), {})
    tensors, about = load_tensors(tmp_path / "m")
    save_tensors(tmp_path / "m", tensors, {**about, "model": {**about["model"], "architecture": "mult_vae"}})
    with pytest.raises(DataError, match="do not fit"):
        load_model(tmp_path / "m")


@pytest.mark.parametrize("name", RANDOM_CODES)
def test_the_theory_sees_the_posterior_in_float64_and_the_model_stays_as_it_was(name, contents):
    model = build(SPECS[name], N_ITEMS, derive(1)).eval()
    recommender = from_autoencoder(model)
    posterior = recommender.posterior(contents)
    assert posterior.mu.dtype == posterior.sigma.dtype == np.float64
    x = torch.from_numpy(contents.toarray())
    with torch.no_grad():
        mu, log_variance = model.encode(x / x.norm(dim=1, keepdim=True).clamp(min=1e-12))
    np.testing.assert_allclose(posterior.mu, mu, atol=1e-5)
    np.testing.assert_allclose(posterior.sigma, (0.5 * log_variance).exp(), atol=1e-5)
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    assert {p.dtype for p in recommender.decoder.parameters()} == {torch.float64}
    assert not any(p.requires_grad for p in recommender.decoder.parameters())


@pytest.mark.parametrize("name", RANDOM_CODES)
def test_masked_posteriors_follow_the_generator(name, contents):
    recommender = from_autoencoder(build(SPECS[name], N_ITEMS, derive(1)))
    clean, _ = recommender.encode(contents)
    first, again, other = (recommender.encode_masked(contents, np.random.default_rng(s))[0] for s in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert first.dtype == np.float64
    for left, right in ((first, clean), (first, other)):
        assert (np.abs(left - right).max(1)[:7] > 1e-6).all()
    np.testing.assert_allclose(first[7], clean[7], atol=1e-12)  # nothing to mask


@pytest.mark.parametrize("name", SPECS)
def test_the_theory_sees_the_decoder_the_anchors_and_only_certified_layers(name, contents):
    model = build(SPECS[name], N_ITEMS, derive(1)).eval()
    recommender = from_autoencoder(model)
    codes = torch.randn(5, 4, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = model.decoder(codes).double()
    torch.testing.assert_close(recommender.decoder(codes.double()), expected, rtol=0, atol=1e-5)
    assert (recommender.layers is not None) == name.startswith("mult_vae")
    assert (recommender.item_anchors is not None) == ("PIA" in name)
    if recommender.item_anchors is not None:
        np.testing.assert_allclose(recommender.item_anchors, model.item_anchors.detach(), atol=1e-7)


@pytest.mark.parametrize("name", ["mult_dae", "mult_dae with PIA"])
def test_a_model_without_random_codes_has_no_posterior_masked_or_not(name, contents):
    recommender = from_autoencoder(build(SPECS[name], N_ITEMS, derive(1)))
    for ask in (
        lambda: recommender.posterior(contents),
        lambda: recommender.encode(contents),
        lambda: recommender.encode_masked(contents, np.random.default_rng(0)),
    ):
        with pytest.raises(InvalidInput, match="not random"):
            ask()
