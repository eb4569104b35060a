"""The network is the published one, and sparse input gives what dense input gives."""

import numpy as np
import pytest
import torch
from scipy import sparse

from collabtheory.errors import InvalidInput
from collabtheory.models import ModelSpec, MultVAE
from collabtheory.models.recommender import from_mult_vae
from collabtheory.runs.seeds import derive

X = sparse.csr_array((np.random.default_rng(0).random((6, 40)) < 0.2).astype(np.float32))


def test_layer_sizes_are_mirrored_around_the_code():
    model = MultVAE(ModelSpec(hidden=(30, 20), latent=4), 40, derive(0))
    shapes = [tuple(p.shape) for p in model.parameters() if p.ndim == 2]
    assert shapes == [(30, 40), (20, 30), (4, 20), (4, 20), (20, 4), (30, 20), (40, 30)]


def test_the_posterior_is_the_formula_written_out():
    model = MultVAE(ModelSpec(hidden=(9,), latent=3), 40, derive(1))
    first, mean, log_variance = model.trunk[0], model.mean_head, model.log_variance_head
    x = torch.from_numpy(X.toarray())
    h = torch.tanh(torch.nn.functional.normalize(x) @ first.weight.T + first.bias)
    q = model.posterior(X)
    np.testing.assert_allclose(q.mu, (h @ mean.weight.T + mean.bias).detach(), atol=1e-6)
    np.testing.assert_allclose(q.sigma, ((h @ log_variance.weight.T + log_variance.bias) / 2).exp().detach(), atol=1e-6)


def test_sparse_and_dense_input_have_the_same_gradients():
    from collabtheory.models import encoder_input

    model = MultVAE(ModelSpec(hidden=(9,), latent=3), 40, derive(1))
    inputs = encoder_input(X, "normalise_then_mask")
    gradients = []
    for given in (inputs, inputs.to_dense()):
        model.zero_grad()
        sum(part.square().sum() for part in model.encode(given)).backward()
        gradients.append(model.trunk[0].weight.grad.clone())
    torch.testing.assert_close(*gradients)


def test_scores_at_test_time_use_the_mean_and_no_noise():
    model = MultVAE(ModelSpec(hidden=(9,), latent=3), 40, derive(1)).eval()
    np.testing.assert_array_equal(model.scores(X), model.scores(X))
    np.testing.assert_allclose(
        model.scores(X), model.decoder(torch.from_numpy(model.posterior(X).mu).float()).detach(), atol=1e-5
    )


def test_masked_posteriors_differ_from_clean_ones_and_need_a_generator():
    model = MultVAE(ModelSpec(hidden=(9,), latent=3), 40, derive(1))
    assert not np.allclose(model.posterior(X).mu, model.posterior(X, rng=np.random.default_rng(0)).mu)


def test_no_hidden_layer_is_a_linear_model():
    model = MultVAE(ModelSpec(hidden=(), latent=3), 40, derive(1))
    assert model.posterior(X).mu.shape == (6, 3)
    assert len(model.decoder) == 1


def test_the_float64_view_leaves_the_model_alone():
    model = MultVAE(ModelSpec(hidden=(9,), latent=3), 40, derive(1))
    view = from_mult_vae(model)
    assert view.posterior(X).mu.dtype == np.float64
    assert model.decoder[0].weight.dtype == torch.float32
    assert model.decoder[0].weight.requires_grad


def test_contents_of_another_width_are_refused():
    with pytest.raises(InvalidInput, match="knows 40 items and the contents have 41 columns"):
        MultVAE(ModelSpec(hidden=(9,), latent=3), 40, derive(1)).posterior(sparse.csr_array((2, 41)))
