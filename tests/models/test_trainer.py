"""Training: exact resume, the loss that is meant, the best weights, and something learned."""

import numpy as np
import pytest
import torch

from collabtheory.data import PlantedWorld, generate, strong_generalisation
from collabtheory.errors import DataError, NumericalFailure
from collabtheory.models import ModelSpec, MultVAE, TrainingSpec
from collabtheory.models.batch_loss import Draws, batch_losses
from collabtheory.models.trainer import train, validation_ndcg
from collabtheory.ranking import ndcg_at_k
from collabtheory.runs.seeds import derive

MODEL = ModelSpec(hidden=(24,), latent=6)
TRAINING = TrainingSpec(epochs=6, batch_size=32, snapshots=(0, 2))


@pytest.fixture(scope="module")
def split():
    world = PlantedWorld(n_users=240)
    return strong_generalisation(generate(world, 3), rng=derive(0, "split"))


def same(left, right):
    return all(torch.equal(left[name], right[name]) for name in left) and left.keys() == right.keys()


class Killed(Exception):
    pass


@pytest.mark.parametrize("alignment_weight", [0.0, 0.5])
def test_a_run_that_was_interrupted_ends_with_the_same_weights(split, tmp_path, alignment_weight):
    spec = MODEL.model_copy(update={"alignment_weight": alignment_weight})
    whole = train(spec, TRAINING, split, seed=7)

    def kill(epoch):
        if epoch.epoch == 3:
            raise Killed

    state = tmp_path / "state.safetensors"
    with pytest.raises(Killed):
        train(spec, TRAINING, split, seed=7, resume_from=state, on_epoch=kill)
    seen = []
    resumed = train(spec, TRAINING, split, seed=7, resume_from=state, on_epoch=lambda e: seen.append(e.epoch))
    assert seen == [4, 5, 6]
    assert resumed.history == whole.history
    assert same(resumed.model.state_dict(), whole.model.state_dict())
    assert same(resumed.snapshots[2], whole.snapshots[2])


def test_seeds_change_the_result_and_nothing_else_does(split):
    first, again, other = (train(MODEL, TRAINING, split, seed=seed) for seed in (1, 1, 2))
    assert same(first.model.state_dict(), again.model.state_dict())
    assert not same(first.model.state_dict(), other.model.state_dict())


def test_a_training_state_of_another_specification_is_refused(split, tmp_path):
    state = tmp_path / "state.safetensors"
    train(MODEL, TRAINING, split, seed=7, resume_from=state)
    with pytest.raises(DataError, match="another specification"):
        train(MODEL, TRAINING, split, seed=8, resume_from=state)


def test_the_model_returned_is_the_best_by_validation_ndcg(split):
    trained = train(MODEL, replace_epochs(TRAINING, 12), split, seed=0)
    best = max(trained.history, key=lambda epoch: epoch.validation_ndcg)
    assert trained.best_epoch == best.epoch
    assert validation_ndcg(trained.model, split.validation) == pytest.approx(best.validation_ndcg, abs=1e-12)


def replace_epochs(spec, epochs):
    return spec.model_copy(update={"epochs": epochs})


def test_training_stops_early_when_validation_no_longer_improves(split):
    trained = train(MODEL, TrainingSpec(epochs=400, batch_size=32, patience=5, learning_rate=5e-3), split, seed=0)
    assert trained.stopped_early
    assert len(trained.history) == trained.best_epoch + 5


def test_it_learns_more_than_popularity(split):
    trained = train(MODEL, replace_epochs(TRAINING, 40), split, seed=0)
    popularity = np.tile(np.asarray(split.train.matrix.sum(0), dtype=float), (split.test.n_users, 1))
    floor = ndcg_at_k(popularity, split.test.fold_in, split.test.held_out, 100).mean()
    assert validation_ndcg(trained.model, split.test) > 1.5 * floor


@pytest.mark.parametrize("likelihood", ["multinomial", "bernoulli", "gaussian", "poisson"])
def test_the_batch_loss_equals_a_dense_formula(split, likelihood):
    """Without masking and with sigma near zero the loss has a closed form in the decoder's logits."""
    spec = MODEL.model_copy(update={"likelihood": likelihood, "keep_probability": 1.0})
    model = MultVAE(spec, split.train.n_items, derive(0, "w")).double()
    with torch.no_grad():
        model.log_variance_head.weight.zero_()
        model.log_variance_head.bias.fill_(-60.0)
    rows = split.train.matrix[:9]
    x = torch.from_numpy(rows.toarray()).double()
    mu, _ = model.encode(x / x.norm(dim=1, keepdim=True))
    eta = model.decoder(mu)
    expected = {
        "multinomial": -(torch.log_softmax(eta, -1) * x).sum(-1),
        "bernoulli": torch.nn.functional.binary_cross_entropy_with_logits(eta, x, reduction="none").sum(-1),
        "gaussian": 0.5 * ((eta - x) ** 2).sum(-1) - 0.5 * x.sum(-1),
        "poisson": torch.nn.functional.poisson_nll_loss(eta, x, reduction="none").sum(-1),
    }[likelihood]
    model = model.float()
    losses = batch_losses(model, TRAINING, split.train.matrix, np.arange(9), Draws.of_epoch(0, 1))
    torch.testing.assert_close(losses.reconstruction, expected.float(), rtol=1e-4, atol=1e-4)
    assert float(losses.divergence.detach().min()) > 0


def test_masking_changes_training_and_clean_training_has_none(split):
    clean = MODEL.model_copy(update={"keep_probability": 1.0})
    assert not same(
        train(MODEL, TRAINING, split, seed=0).model.state_dict(),
        train(clean, TRAINING, split, seed=0).model.state_dict(),
    )


def test_a_diverging_run_is_an_error_that_names_the_epoch(split):
    with pytest.raises(NumericalFailure, match="epoch"):
        train(
            MODEL.model_copy(update={"likelihood": "poisson"}), TrainingSpec(epochs=3, learning_rate=1e4), split, seed=0
        )
