"""Training options: each does what it says, and a run with any of them can be killed and resumed."""

import math
from itertools import cycle

import numpy as np
import pytest
import torch

from collabtheory.data import PlantedWorld, generate, strong_generalisation
from collabtheory.data.split import user_folds
from collabtheory.errors import InvalidInput
from collabtheory.models import ModelSpec, TrainingSpec, alignment_loss, batch_loss, trainer
from collabtheory.models.adam import Adam
from collabtheory.models.architectures import build
from collabtheory.models.batch_loss import Draws, batch_losses
from collabtheory.models.trainer import train
from collabtheory.runs.seeds import derive

MODEL = ModelSpec(hidden=(8,), latent=3)
PIA = MODEL.model_copy(update={"alignment_weight": 0.5})
DAE = ModelSpec(architecture="mult_dae", hidden=(), latent=5)
REC_VAE = ModelSpec(architecture="rec_vae", hidden=(8,), latent=3)
SHORT = TrainingSpec(epochs=2, batch_size=40, kl_schedule="constant")


@pytest.fixture(scope="module")
def data():
    return generate(PlantedWorld(n_users=120), 3)


@pytest.fixture(scope="module")
def split(data):
    return strong_generalisation(data, rng=derive(0, "split"))


def with_(spec, **changes):
    return type(spec).model_validate({**spec.model_dump(), **changes})


def same(left, right):
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


class Killed(Exception):
    pass


def killed_and_resumed(model, training, split, state):
    def kill(epoch):
        if epoch.epoch == 3:
            raise Killed

    with pytest.raises(Killed):
        train(model, training, split, seed=7, resume_from=state, on_epoch=kill)
    seen = []
    resumed = train(model, training, split, seed=7, resume_from=state, on_epoch=lambda epoch: seen.append(epoch.epoch))
    assert seen == [4, 5, 6]
    return resumed


RUNS = {
    "mult_vae": (MODEL, {}),
    "mult_dae": (DAE, {}),
    "mult_dae with PIA": (with_(DAE, alignment_weight=0.5), {}),
    "rec_vae": (REC_VAE, {"kl_weighting": "by_size", "beta": 0.005}),
    "rec_vae with PIA": (with_(REC_VAE, alignment_weight=0.5), {"kl_weighting": "by_size", "beta": 0.005}),
    "learned KL weights": (MODEL, {"kl_weighting": "learned"}),
    "adamw and cosine": (MODEL, {"optimiser": "adamw", "learning_rate_schedule": "cosine", "weight_decay": 0.1}),
    "cyclical": (MODEL, {"kl_schedule": "cyclical", "cycles": 2}),
    "bpr": (MODEL, {"objective": "bpr", "negatives": 4}),
    "sampled softmax": (MODEL, {"objective": "sampled_softmax", "negatives": 9}),
    "gaussian with confidence": (with_(MODEL, likelihood="gaussian", confidence=8.0), {}),
    "shuffled PIA": (PIA, {"alignment_items": "shuffled"}),
    "variances alone": (PIA, {"alignment_terms": "variance"}),
    "annealed PIA": (PIA, {"alignment_schedule": "linear", "kl_schedule": "linear"}),
}


@pytest.mark.parametrize("name", RUNS)
def test_a_run_killed_at_epoch_3_of_6_ends_with_the_same_bits(name, split, tmp_path):
    model, changes = RUNS[name]
    training = TrainingSpec(**{"epochs": 6, "batch_size": 40, "annealing": 0.3, "snapshots": (0, 2, 5), **changes})
    whole = train(model, training, split, seed=7)
    resumed = killed_and_resumed(model, training, split, tmp_path / "state.safetensors")
    assert resumed.history == whole.history
    assert resumed.best_epoch == whole.best_epoch
    assert same(resumed.model.state_dict(), whole.model.state_dict())
    assert resumed.snapshots.keys() == {0, 2, 5}
    assert all(same(resumed.snapshots[epoch], whole.snapshots[epoch]) for epoch in (0, 2, 5))


def test_a_run_killed_after_its_best_epoch_goes_on_from_the_last_one(split, tmp_path, monkeypatch):
    validation = cycle([0.1, 0.5, 0.2, 0.3, 0.4, 0.3])
    monkeypatch.setattr(trainer, "validation_ndcg", lambda model, users: next(validation))
    training = with_(SHORT, epochs=6, snapshots=(5,))
    whole = train(MODEL, training, split, seed=7)
    resumed = killed_and_resumed(MODEL, training, split, tmp_path / "state.safetensors")
    assert resumed.history == whole.history
    assert (resumed.best_epoch, whole.best_epoch) == (2, 2)
    assert same(resumed.model.state_dict(), whole.model.state_dict())
    assert same(resumed.snapshots[5], whole.snapshots[5])


@pytest.mark.parametrize(
    ("model", "changes"),
    [
        (MODEL, {"kl_weighting": "by_size"}),
        (MODEL, {"kl_weighting": "learned"}),
        (MODEL, {"kl_schedule": "cyclical"}),
        (MODEL, {"beta": 0.7}),
        (MODEL, {"optimiser": "adamw", "weight_decay": 0.1}),
        (MODEL, {"weight_decay": 0.1}),
        (MODEL, {"learning_rate_schedule": "cosine"}),
        (MODEL, {"objective": "sampled_softmax", "negatives": 9}),
        (MODEL, {"objective": "bpr", "negatives": 4}),
        (PIA, {"alignment_items": "shuffled"}),
        (PIA, {"alignment_terms": "mean"}),
        (PIA, {"alignment_terms": "variance"}),
        (PIA, {"alignment_schedule": "linear", "kl_schedule": "linear", "annealing": 1.0}),
    ],
    ids=lambda value: "-".join(map(str, value.values())) if isinstance(value, dict) else "",
)
def test_no_option_is_accepted_and_ignored(model, changes, split):
    plain = {"kl_schedule": "linear", "annealing": 1.0} if "alignment_schedule" in changes else {}
    without, having = (
        train(model, with_(SHORT, snapshots=(2,), **options), split, seed=0).snapshots[2]
        for options in (plain, changes)
    )
    assert not same(without, having)


def test_confidence_changes_gaussian_training_and_is_refused_elsewhere(split):
    gaussian = with_(MODEL, likelihood="gaussian")
    runs = [train(with_(gaussian, confidence=c), SHORT, split, seed=0).model.state_dict() for c in (1.0, 10.0)]
    assert not same(*runs)
    with pytest.raises(InvalidInput, match="squared errors"):
        train(with_(MODEL, confidence=10.0), SHORT, split, seed=0)


@pytest.mark.parametrize(
    ("model", "changes"),
    [(with_(MODEL, likelihood="gaussian"), {}), (MODEL, {"objective": "bpr"})],
    ids=["gaussian", "bpr"],
)
def test_kl_weights_are_not_learned_from_losses_that_are_not_multinomial(model, changes, split):
    with pytest.raises(InvalidInput, match="multinomial"):
        train(model, with_(SHORT, kl_weighting="learned", **changes), split, seed=0)


def test_training_without_validation_users_is_refused(data):
    (split, _) = user_folds(data, 2, n_validation=0, rng=derive(0))
    with pytest.raises(InvalidInput, match="no validation users"):
        train(MODEL, SHORT, split, seed=0)


def test_adamw_without_decay_is_adam(split):
    runs = [train(MODEL, with_(SHORT, optimiser=name), split, seed=0).model.state_dict() for name in ("adam", "adamw")]
    assert same(*runs)


def test_adamw_shrinks_weights_apart_from_the_gradient_step_and_adam_does_not(split):
    after = {}
    for optimiser, decay in (("adam", 0.0), ("adam", 0.2), ("adamw", 0.2)):
        changes = {
            "optimiser": optimiser,
            "weight_decay": decay,
            "epochs": 1,
            "batch_size": 10_000,
            "snapshots": (0, 1),
        }
        snapshots = train(MODEL, with_(SHORT, learning_rate=0.01, **changes), split, seed=0).snapshots
        after[optimiser, decay] = snapshots[1]
    for name, start in snapshots[0].items():
        expected = after["adam", 0.0][name] - 0.01 * 0.2 * start
        torch.testing.assert_close(after["adamw", 0.2][name], expected, rtol=0, atol=1e-6)
    assert not same(after["adam", 0.2], after["adamw", 0.2])


def test_softmax_against_all_items_trains_as_the_multinomial_likelihood(split):
    full, sampled = (
        train(MODEL, with_(SHORT, **changes), split, seed=0)
        for changes in ({}, {"objective": "sampled_softmax", "negatives": 10_000})
    )
    for ours, reference in zip(sampled.history, full.history, strict=True):
        assert ours.reconstruction == pytest.approx(reference.reconstruction, rel=1e-5)
    for name, weights in full.model.state_dict().items():
        torch.testing.assert_close(sampled.model.state_dict()[name], weights, rtol=0, atol=1e-4)


@pytest.mark.parametrize("schedule", ["constant", "cosine"])
def test_the_learning_rate_is_constant_or_falls_as_a_half_cosine(schedule, split, monkeypatch):
    rates = []
    step = Adam.step

    def spy(self):
        rates.append(self.learning_rate)
        step(self)

    monkeypatch.setattr(Adam, "step", spy)
    n = split.train.n_users
    spec = TrainingSpec(epochs=4, batch_size=math.ceil(n / 2), learning_rate=4e-3, learning_rate_schedule=schedule)
    train(MODEL, spec, split, seed=0)
    shares = np.arange(8) / 8
    expected = 4e-3 * np.cos(0.5 * np.pi * shares) ** 2 if schedule == "cosine" else np.full(8, 4e-3)
    np.testing.assert_allclose(rates, expected, rtol=1e-12)


def partners_in_training(matrix, batches, epoch, monkeypatch):
    """Whose items each user is aligned with, read from what the loss is given."""
    given = []

    def spy(mu, sigma, contents, anchors):
        given.append(contents.to_dense().numpy())
        return alignment_loss(mu, sigma, contents, anchors)

    monkeypatch.setattr(batch_loss, "alignment_loss", spy)
    model = build(PIA, matrix.shape[1], derive(0))
    spec = TrainingSpec(alignment_items="shuffled")
    for users in batches:
        batch_losses(model, spec, matrix, users, Draws.of_epoch(5, epoch))
    contents = np.concatenate(given)
    rows = matrix.toarray()
    found = [np.flatnonzero((rows == content).all(1)) for content in contents]
    assert all(len(match) == 1 for match in found)
    return np.concatenate(found)


def test_shuffled_alignment_gives_each_user_one_other_user_throughout(split, monkeypatch):
    distinct = np.unique(split.train.matrix.toarray(), axis=0, return_index=True)[1]
    matrix = split.train.matrix[np.sort(distinct)]
    n = matrix.shape[0]
    everybody = [np.arange(n)]
    partners = partners_in_training(matrix, everybody, 1, monkeypatch)
    assert (partners != np.arange(n)).all()
    np.testing.assert_array_equal(np.sort(partners), np.arange(n))
    np.testing.assert_array_equal(partners_in_training(matrix, everybody, 2, monkeypatch), partners)
    in_parts = partners_in_training(matrix, np.array_split(np.arange(n), 4), 3, monkeypatch)
    np.testing.assert_array_equal(in_parts, partners)


def aligned(terms, matrix, model):
    users = np.arange(matrix.shape[0])
    spec = TrainingSpec(alignment_terms=terms)
    return batch_losses(model, spec, matrix, users, Draws.of_epoch(5, 1)).alignment


@pytest.fixture
def anchored(split):
    """A model with anchors away from 0, and users of whom the last has no items."""
    matrix = split.train.matrix[:12].copy()
    matrix.data[matrix.indptr[11] :] = 0.0
    matrix.eliminate_zeros()
    model = build(PIA, matrix.shape[1], derive(0))
    with torch.no_grad():
        model.item_anchors.normal_(generator=torch.Generator().manual_seed(1))
    return matrix, model


def test_alignment_terms_are_the_distance_to_the_centroid_with_the_spread_and_the_variance(anchored):
    matrix, model = anchored
    full, mean, variance = (aligned(terms, matrix, model).detach() for terms in ("full", "mean", "variance"))
    torch.testing.assert_close(mean + variance, full)
    posterior = model.posterior(matrix, rng=Draws.of_epoch(5, 1).masks)
    anchors = model.item_anchors.detach().numpy().astype(float)
    for user in range(11):
        own = anchors[matrix[[user]].indices]
        centroid = own.mean(0)
        spread = ((own - centroid) ** 2).sum(1).mean()
        distance = ((posterior.mu[user] - centroid) ** 2).sum()
        trace = (posterior.sigma[user] ** 2).sum()
        assert float(variance[user]) == pytest.approx(trace, rel=1e-4)
        assert float(mean[user]) == pytest.approx(distance + spread, rel=1e-4)
        assert float(full[user]) - spread == pytest.approx(distance + trace, rel=1e-4)
    assert full[11] == mean[11] == variance[11] == 0.0


def test_each_alignment_term_moves_only_what_it_names(anchored):
    matrix, model = anchored
    moved = {}
    for terms in ("mean", "variance"):
        model.zero_grad()
        aligned(terms, matrix, model).sum().backward()
        moved[terms] = {
            name
            for name, parameter in model.named_parameters()
            if parameter.grad is not None and bool(parameter.grad.abs().max() > 0)
        }
    assert {"mean_head.weight", "item_anchors"} <= moved["mean"]
    assert "log_variance_head.weight" not in moved["mean"]
    assert "log_variance_head.weight" in moved["variance"]
    assert moved["variance"].isdisjoint({"mean_head.weight", "item_anchors"})


@pytest.mark.parametrize("schedule", ["constant", "linear"])
def test_the_alignment_weight_is_constant_or_climbs_as_the_kl_weight_does(schedule, split):
    training = TrainingSpec(epochs=6, batch_size=10_000, beta=0.4, annealing=0.5, alignment_schedule=schedule)
    history = train(with_(MODEL, alignment_weight=30.0), training, split, seed=0).history
    climb = np.array([0.0, 1 / 3, 2 / 3, 1.0, 1.0, 1.0])
    np.testing.assert_allclose([epoch.beta for epoch in history], 0.4 * climb, atol=1e-12)
    weights = [(e.train_loss - e.reconstruction - e.beta * e.kl) / e.alignment for e in history]
    np.testing.assert_allclose(weights, 30.0 * (climb if schedule == "linear" else np.ones(6)), atol=1e-2)


def test_without_a_kl_weight_alignment_does_not_vanish_with_it(split):
    training = TrainingSpec(epochs=1, batch_size=10_000, beta=0.0, alignment_schedule="linear")
    (epoch,) = train(with_(MODEL, alignment_weight=30.0), training, split, seed=0).history
    assert (epoch.train_loss - epoch.reconstruction) / epoch.alignment == pytest.approx(30.0, abs=1e-2)
