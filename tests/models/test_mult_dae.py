"""Mult-DAE: the published network, a code without randomness, and something learned."""

import numpy as np
import pytest
import torch
from scipy import sparse

from collabtheory.data import PlantedWorld, generate, strong_generalisation
from collabtheory.errors import InvalidInput
from collabtheory.models import ModelSpec, MultDAE, TrainingSpec
from collabtheory.models.batch_loss import Draws, batch_losses
from collabtheory.models.recommender import from_autoencoder
from collabtheory.models.trainer import train, validation_ndcg
from collabtheory.ranking import ndcg_at_k
from collabtheory.runs.seeds import derive

SPEC = ModelSpec(architecture="mult_dae", hidden=(), latent=12)
X = sparse.csr_array((np.random.default_rng(0).random((6, 40)) < 0.2).astype(np.float32))


@pytest.fixture(scope="module")
def split():
    return strong_generalisation(generate(PlantedWorld(n_users=240), 3), rng=derive(0, "split"))


def test_the_published_network_is_one_tanh_code_between_two_linear_layers():
    model = MultDAE(ModelSpec(architecture="mult_dae", hidden=(), latent=200), 40, derive(1))
    assert [tuple(p.shape) for p in model.parameters()] == [(200, 40), (200,), (40, 200), (40,)]
    parameters = [p.detach().numpy().astype(float) for p in model.parameters()]
    x = X.toarray() / np.linalg.norm(X.toarray(), axis=1, keepdims=True)
    code = np.tanh(x @ parameters[0].T + parameters[1])
    np.testing.assert_allclose(model.scores(X), code @ parameters[2].T + parameters[3], atol=1e-5)


def test_hidden_layers_are_mirrored_around_the_code():
    model = MultDAE(SPEC.model_copy(update={"hidden": (30, 20)}), 40, derive(0))
    shapes = [tuple(p.shape) for p in model.parameters() if p.ndim == 2]
    assert shapes == [(30, 40), (20, 30), (12, 20), (20, 12), (30, 20), (40, 30)]


def test_weights_are_drawn_within_xaviers_bound_and_biases_near_zero():
    model = MultDAE(ModelSpec(architecture="mult_dae", hidden=(), latent=200), 300, derive(1))
    bound = np.sqrt(6 / (300 + 200))
    for weight in (model.encoder[0].weight, model.decoder[0].weight):
        assert 0.98 * bound < float(weight.detach().abs().max()) <= bound
        assert float(weight.detach().std()) == pytest.approx(bound / np.sqrt(3), rel=0.02)
    assert 0 < float(model.decoder[0].bias.detach().abs().max()) <= 0.002


def test_it_has_no_posterior():
    model = MultDAE(SPEC, 40, derive(0))
    with pytest.raises(InvalidInput, match="mult_dae has no posterior"):
        model.posterior(X)
    recommender = from_autoencoder(model)
    with pytest.raises(InvalidInput, match="mult_dae has no posterior"):
        recommender.posterior(X)


def test_codes_are_not_sampled(split):
    spec = SPEC.model_copy(update={"keep_probability": 1.0})
    model = MultDAE(spec, split.train.n_items, derive(0))
    users = np.arange(20)
    first, second = (
        batch_losses(model, TrainingSpec(), split.train.matrix, users, Draws.of_epoch(s, 1)) for s in (0, 1)
    )
    assert torch.equal(first.reconstruction, second.reconstruction)
    assert torch.equal(first.divergence, torch.zeros(20))
    x = torch.from_numpy(split.train.matrix[users].toarray())
    expected = -(torch.log_softmax(torch.from_numpy(model.scores(split.train.matrix[users])), -1) * x).sum(-1)
    torch.testing.assert_close(first.reconstruction.detach(), expected, rtol=1e-4, atol=1e-4)


def test_masking_is_the_only_randomness_of_a_batch(split):
    model = MultDAE(SPEC, split.train.n_items, derive(0))
    masked = [
        batch_losses(model, TrainingSpec(), split.train.matrix, np.arange(20), Draws.of_epoch(seed, 1)).reconstruction
        for seed in (0, 1)
    ]
    assert not torch.equal(*masked)


def test_the_kl_weight_does_not_change_its_training(split):
    runs = [
        train(SPEC, TrainingSpec(epochs=3, batch_size=64, kl_schedule="constant", beta=beta), split, seed=0)
        for beta in (0.0, 5.0)
    ]
    left, right = (run.model.state_dict() for run in runs)
    assert all(torch.equal(left[name], right[name]) for name in left)
    assert all(epoch.kl == 0.0 for run in runs for epoch in run.history)


def test_alignment_draws_codes_to_the_anchors_of_their_items(split):
    training = TrainingSpec(epochs=6, batch_size=32, annealing=0.0)
    pulled, free = (
        train(SPEC.model_copy(update={"alignment_weight": weight}), training, split, seed=0).history
        for weight in (2.0, 1e-9)
    )
    assert pulled[-1].alignment < 0.5 * free[-1].alignment
    loss = pulled[0].reconstruction + 2.0 * pulled[0].alignment
    assert pulled[0].train_loss == pytest.approx(loss, rel=1e-5)


def test_it_learns_more_than_popularity(split):
    trained = train(SPEC, TrainingSpec(epochs=40, batch_size=32, annealing=0.0), split, seed=0)
    popularity = np.tile(np.asarray(split.train.matrix.sum(0), dtype=float), (split.test.n_users, 1))
    floor = ndcg_at_k(popularity, split.test.fold_in, split.test.held_out, 100).mean()
    assert validation_ndcg(trained.model, split.test) > 1.5 * floor
