"""RecVAE: its prior against scipy, its divergence against closed forms and quadrature, and who learns when."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy import integrate, sparse, stats

from collabtheory.data import PlantedWorld, generate, strong_generalisation
from collabtheory.models import ModelSpec, RecVAE, TrainingSpec, kl_to_prior, rec_vae, trainer
from collabtheory.models.architectures import build
from collabtheory.models.batch_loss import Draws, batch_losses
from collabtheory.models.rec_vae import composite_log_prior, log_density
from collabtheory.models.trainer import train, validation_ndcg
from collabtheory.ranking import ndcg_at_k
from collabtheory.runs.seeds import derive

SPEC = ModelSpec(architecture="rec_vae", hidden=(16,), latent=4)
X = sparse.csr_array((np.random.default_rng(0).random((7, 30)) < 0.25).astype(np.float32))
PUBLISHED_WEIGHTS = (0.15, 0.75, 0.10)
OLD = [(0.0, 0.0), (1.5, -1.0), (-3.0, 2.0), (0.4, -6.0)]


@pytest.fixture(scope="module")
def split():
    return strong_generalisation(generate(PlantedWorld(n_users=240), 3), rng=derive(0, "split"))


@pytest.fixture
def model():
    model = RecVAE(SPEC, 30, derive(3)).double().eval()
    with torch.no_grad():
        # An old encoder that differs from the present one, as it does while an encoder learns.
        for parameter in model.old_encoder.parameters():
            parameter.mul_(1.5).add_(0.05)
    return model


def scalar(value):
    return torch.tensor(value, dtype=torch.float64)


def mixture_density(z, old_mu, old_log_variance):
    """The composite prior of arXiv:1912.11160 written with scipy's normal densities."""
    scales = (1.0, math.exp(0.5 * old_log_variance), math.exp(5.0))
    parts = zip(PUBLISHED_WEIGHTS, (0.0, old_mu, 0.0), scales, strict=True)
    return sum(weight * stats.norm.pdf(z, mean, scale) for weight, mean, scale in parts)


@pytest.mark.parametrize(("mu", "log_variance"), OLD)
def test_the_normal_log_density_equals_scipy(mu, log_variance):
    z = np.linspace(-8.0, 8.0, 41)
    ours = log_density(torch.from_numpy(z), scalar(mu), scalar(log_variance))
    np.testing.assert_allclose(ours, stats.norm.logpdf(z, mu, math.exp(0.5 * log_variance)), rtol=1e-12)


@pytest.mark.parametrize(("mu", "log_variance"), OLD)
def test_the_composite_prior_is_the_published_mixture(mu, log_variance):
    z = np.concatenate([np.linspace(-9.0, 9.0, 73), [-400.0, 150.0, 2000.0]])
    ours = composite_log_prior(torch.from_numpy(z), scalar(mu), scalar(log_variance))
    np.testing.assert_allclose(ours, np.log(mixture_density(z, mu, log_variance)), rtol=1e-11)


@pytest.mark.parametrize(("mu", "log_variance"), OLD)
def test_the_composite_prior_integrates_to_one(mu, log_variance):
    def density(z):
        return math.exp(float(composite_log_prior(scalar(z), scalar(mu), scalar(log_variance))))

    half = 6.0 * math.exp(0.5 * log_variance)
    cuts = sorted({-1500.0, -8.0, mu - half, mu, mu + half, 8.0, 1500.0})
    total = sum(integrate.quad(density, low, high)[0] for low, high in pairwise(cuts))
    assert total == pytest.approx(1.0, abs=1e-8)


def sampled_divergence(model, draws):
    """Divergence estimates of every user, ``(draws, users)``, and the posteriors they belong to."""
    generator = torch.Generator().manual_seed(11)
    with torch.no_grad():
        mu, log_variance = model.encode(model._inputs(X, np.random.default_rng(1)))
        shape = (draws, *mu.shape)
        codes = mu + (0.5 * log_variance).exp() * torch.randn(shape, generator=generator, dtype=mu.dtype)
        estimates = model.divergence(X, codes, mu, log_variance)
    return estimates.numpy(), mu, log_variance


def assert_mean_within_its_error(estimates, expected):
    error = estimates.std(0, ddof=1) / math.sqrt(len(estimates))
    assert (error > 0).all()
    assert (np.abs(estimates.mean(0) - expected) < 4.5 * error).all()


def test_with_the_standard_normal_alone_the_divergence_averages_to_its_closed_form(model, monkeypatch):
    monkeypatch.setattr(rec_vae, "PRIOR_WEIGHTS", (1.0, 1e-300, 1e-300))
    estimates, mu, log_variance = sampled_divergence(model, 20_000)
    assert_mean_within_its_error(estimates, kl_to_prior(mu, log_variance).numpy())


def test_the_divergence_averages_to_the_integral_against_the_old_encoder_on_clean_input(model):
    estimates, mu, log_variance = sampled_divergence(model, 20_000)
    clean = torch.from_numpy(X.toarray()).double()
    with torch.no_grad():
        old_mu, old_log_variance = model.old_encoder(clean / clean.norm(dim=1, keepdim=True).clamp(min=1e-12))
    expected = np.zeros(X.shape[0])
    for user, dimension in np.ndindex(*mu.shape):
        centre, scale = float(mu[user, dimension]), math.exp(0.5 * float(log_variance[user, dimension]))
        old = float(old_mu[user, dimension]), float(old_log_variance[user, dimension])
        z = centre + scale * np.linspace(-9.0, 9.0, 4001)
        q = stats.norm.pdf(z, centre, scale)
        ratio = stats.norm.logpdf(z, centre, scale) - np.log(mixture_density(z, *old))
        expected[user] += integrate.trapezoid(q * ratio, z)
    assert_mean_within_its_error(estimates, expected)
    assert (np.abs(expected - kl_to_prior(mu, log_variance).numpy()) > 0.01).any()


def test_no_gradient_of_the_divergence_reaches_the_old_encoder(model):
    mu, log_variance = model.encode(model._inputs(X, None))
    model.divergence(X, mu + 0.1, mu, log_variance).sum().backward()
    assert all(parameter.grad is None for parameter in model.old_encoder.parameters())
    assert all(parameter.grad is not None for parameter in model.encoder.parameters())


def test_the_encoder_is_the_published_one_written_out(model):
    weights = {name: tensor.numpy() for name, tensor in model.encoder.state_dict().items()}
    x = X.toarray().astype(float)
    hidden = x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)
    before = []
    for k in range(5):
        a = hidden @ weights[f"layers.{k}.weight"].T + weights[f"layers.{k}.bias"] + sum(before)
        a = a / (1.0 + np.exp(-a))
        a = (a - a.mean(1, keepdims=True)) / np.sqrt(a.var(1, keepdims=True) + 0.1)
        hidden = a * weights[f"norms.{k}.weight"] + weights[f"norms.{k}.bias"]
        before.append(hidden)
    posterior = model.posterior(X)
    mean = hidden @ weights["mean_head.weight"].T + weights["mean_head.bias"]
    log_variance = hidden @ weights["log_variance_head.weight"].T + weights["log_variance_head.bias"]
    np.testing.assert_allclose(posterior.mu, mean, atol=1e-12)
    np.testing.assert_allclose(posterior.sigma, np.exp(0.5 * log_variance), atol=1e-12)


def test_the_decoder_is_one_linear_layer_and_the_old_encoder_starts_as_the_encoder():
    model = RecVAE(SPEC, 30, derive(3))
    assert [tuple(parameter.shape) for parameter in model.decoder.parameters()] == [(30, 4), (30,)]
    assert same(model.encoder.state_dict(), model.old_encoder.state_dict())


def same(left, right):
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


def weights_after_each_phase(monkeypatch, spec, training, split):
    """Every parameter before training and at the end of each phase (before and after what the model does there)."""
    at = [("start", copied(build(spec, split.train.n_items, derive(0, "weights"))))]
    finish = RecVAE.finish_phase

    def spy(self, name):
        at.append((name, copied(self)))
        finish(self, name)
        at.append((f"{name} finished", copied(self)))

    monkeypatch.setattr(RecVAE, "finish_phase", spy)
    train(spec, training, split, seed=0)
    return at


def copied(model):
    groups = {"encoder": model.encoder, "decoder": model.decoder, "old_encoder": model.old_encoder}
    weights = {name: {k: v.detach().clone() for k, v in module.state_dict().items()} for name, module in groups.items()}
    if model.item_anchors is not None:
        weights["anchors"] = {"item_anchors": model.item_anchors.detach().clone()}
    return weights


@pytest.mark.parametrize("optimiser", ["adam", "adamw"])
def test_each_phase_leaves_the_other_half_alone(optimiser, monkeypatch, split):
    spec = SPEC.model_copy(update={"alignment_weight": 0.3})
    training = TrainingSpec(epochs=2, batch_size=64, kl_schedule="constant", optimiser=optimiser, weight_decay=0.01)
    at = weights_after_each_phase(monkeypatch, spec, training, split)
    assert [name for name, _ in at[1:]] == ["encoder", "encoder finished", "decoder", "decoder finished"] * 2
    before = at[0][1]
    for position in range(1, len(at), 4):
        (_, encoder), (_, renewed), (_, decoder), (_, after) = at[position : position + 4]
        assert changed(before, encoder) == {"encoder", "anchors"}
        assert changed(encoder, renewed) == {"old_encoder"}
        assert same(renewed["old_encoder"], renewed["encoder"])
        assert changed(renewed, decoder) == {"decoder"}
        assert changed(decoder, after) == set()
        before = after


def changed(left, right):
    return {group for group in left if not same(left[group], right[group])}


def test_an_epoch_is_three_masked_passes_for_the_encoder_and_one_clean_one_for_the_decoder(monkeypatch, split):
    calls = []

    def spy(model, spec, matrix, users, draws, *, masked, full):
        calls.append((masked, full, users))
        return batch_losses(model, spec, matrix, users, draws, masked=masked, full=full)

    monkeypatch.setattr(trainer, "batch_losses", spy)
    train(SPEC, TrainingSpec(epochs=2, batch_size=50), split, seed=0)
    n = split.train.n_users
    per_pass = math.ceil(n / 50)
    passes = [calls[start : start + per_pass] for start in range(0, len(calls), per_pass)]
    kinds = [{(masked, full) for masked, full, _ in one} for one in passes]
    assert kinds == [{(True, True)}, {(True, True)}, {(True, True)}, {(False, False)}] * 2
    for one in passes:
        np.testing.assert_array_equal(np.sort(np.concatenate([users for _, _, users in one])), np.arange(n))


@pytest.mark.parametrize("masked", [True, False])
def test_only_a_masked_pass_hides_items(masked, split):
    losses = []
    for keep_probability in (0.5, 1.0):
        spec = SPEC.model_copy(update={"keep_probability": keep_probability})
        model = build(spec, split.train.n_items, derive(0))
        draws = Draws.of_epoch(0, 1)
        users = np.arange(30)
        losses.append(batch_losses(model, TrainingSpec(), split.train.matrix, users, draws, masked=masked))
    assert torch.equal(losses[0].reconstruction, losses[1].reconstruction) is not masked


def test_the_history_reports_the_encoders_loss_with_its_kl_term(split):
    spec = TrainingSpec(epochs=1, batch_size=1000, kl_schedule="constant", beta=0.3)
    (epoch,) = train(SPEC, spec, split, seed=0).history
    assert epoch.kl > 0
    assert epoch.train_loss == pytest.approx(epoch.reconstruction + 0.3 * epoch.kl, rel=1e-5)


def test_it_learns_more_than_popularity(split):
    spec = TrainingSpec(
        epochs=12, batch_size=32, learning_rate=4e-3, kl_schedule="constant", kl_weighting="by_size", beta=0.005
    )
    trained = train(SPEC, spec, split, seed=0)
    popularity = np.tile(np.asarray(split.train.matrix.sum(0), dtype=float), (split.test.n_users, 1))
    floor = ndcg_at_k(popularity, split.test.fold_in, split.test.held_out, 100).mean()
    assert validation_ndcg(trained.model, split.test) > 1.5 * floor
