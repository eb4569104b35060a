"""When training ends: patience, the full KL weight, the best epoch, and whether a run was still rising."""

import numpy as np
import pytest
import torch

from collabtheory.data import PlantedWorld, generate, strong_generalisation
from collabtheory.models import ModelSpec, TrainingSpec, trainer
from collabtheory.models.architectures import build
from collabtheory.models.trainer import Epoch, Trained, train
from collabtheory.runs.seeds import derive

MODEL = ModelSpec(hidden=(8,), latent=3)


@pytest.fixture(scope="module")
def split():
    return strong_generalisation(generate(PlantedWorld(n_users=120), 3), rng=derive(0, "split"))


def same(left, right):
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


def trained_with(ndcg, stopped_early=False):
    history = tuple(Epoch(e, 1.0, 1.0, 0.0, 0.0, 0.2, value) for e, value in enumerate(ndcg, start=1))
    return Trained(build(MODEL, 3, derive(0)), int(np.argmax(ndcg)) + 1 if len(ndcg) else 0, {}, history, stopped_early)


@pytest.mark.parametrize(
    ("ndcg", "rising"),
    [
        ([0.10, 0.20, 0.30, 0.31, 0.32, 0.33, 0.34, 0.35, 0.36, 0.37], True),
        ([0.10, 0.20, 0.30, 0.35, 0.36, 0.36, 0.36, 0.36, 0.36, 0.36], False),
        ([0.10, 0.20, 0.30, 0.35, 0.36, 0.36, 0.36, 0.36, 0.361, 0.3615], False),  # less than the gain that counts
        ([0.10, 0.20, 0.30, 0.35, 0.36, 0.36, 0.36, 0.36, 0.363, 0.361], True),
        ([0.10, 0.40, 0.30, 0.31, 0.32, 0.33, 0.34, 0.35, 0.36, 0.37], False),  # climbs again, to below its best
        ([0.10, 0.20, 0.30, 0.31, 0.32, 0.33, 0.34, 0.50, 0.40, 0.40], False),
        ([0.1, 0.2, 0.3, 0.3, 0.3, 0.4], True),  # a fifth of six epochs is rounded up to two
        ([0.1, 0.9], True),
        ([0.1], False),
        ([], False),
    ],
)
def test_a_run_is_still_rising_if_its_last_fifth_brought_a_new_best(ndcg, rising):
    assert trained_with(ndcg).still_rising is rising


def test_a_run_that_stopped_by_itself_is_not_rising():
    rising = [0.1, 0.2, 0.3, 0.4, 0.5]
    assert trained_with(rising).still_rising
    assert not trained_with(rising, stopped_early=True).still_rising


def train_with_validation(ndcg, monkeypatch, split, **changes):
    """Train with these values for the validation nDCG of the epochs, one after another."""
    values = iter(ndcg)
    monkeypatch.setattr(trainer, "validation_ndcg", lambda model, users: next(values))
    spec = TrainingSpec(**{"epochs": len(ndcg), "batch_size": 10_000, "kl_schedule": "constant", **changes})
    return train(MODEL, spec, split, seed=0)


def test_training_stops_after_so_many_epochs_without_a_better_one(monkeypatch, split):
    trained = train_with_validation([0.1, 0.3, 0.2, 0.3, 0.25, 0.9], monkeypatch, split, patience=3)
    assert [epoch.epoch for epoch in trained.history] == [1, 2, 3, 4, 5]
    assert (trained.best_epoch, trained.stopped_early, trained.still_rising) == (2, True, False)


def test_a_better_epoch_starts_the_patience_anew(monkeypatch, split):
    trained = train_with_validation([0.1, 0.05, 0.2, 0.1, 0.3, 0.1, 0.1, 0.5], monkeypatch, split, patience=2)
    assert (len(trained.history), trained.best_epoch, trained.stopped_early) == (7, 5, True)


def test_a_run_of_all_its_epochs_has_not_stopped_early(monkeypatch, split):
    trained = train_with_validation([0.1, 0.3, 0.2, 0.2], monkeypatch, split, patience=2)
    assert (len(trained.history), trained.stopped_early) == (4, False)


def test_the_climb_of_the_kl_weight_neither_wins_nor_uses_up_patience(monkeypatch, split):
    climb_is_best = [0.9, 0.8, 0.8, 0.8, 0.1, 0.2, 0.15, 0.15, 0.6, 0.6]
    trained = train_with_validation(climb_is_best, monkeypatch, split, kl_schedule="linear", annealing=0.5, patience=2)
    assert (len(trained.history), trained.best_epoch) == (8, 6)


def test_with_cycles_only_epochs_at_the_full_weight_use_up_patience(monkeypatch, split):
    # Two cycles of ten epochs: at the full weight in 5..10 and 15..20. The climb of the second one is no stagnation.
    values = [0.9] * 4 + [0.1] * 4 + [0.2, 0.1] + [0.9] * 4 + [0.1, 0.1, 0.1, 0.9, 0.9, 0.9]
    trained = train_with_validation(values, monkeypatch, split, kl_schedule="cyclical", cycles=2, patience=4)
    assert (len(trained.history), trained.best_epoch, trained.stopped_early) == (17, 9, True)


def test_the_weights_returned_are_those_of_the_best_epoch(monkeypatch, split):
    values = [0.1, 0.2, 0.9, 0.2, 0.1]
    trained = train_with_validation(values, monkeypatch, split, snapshots=(2, 3, 4))
    assert same(trained.model.state_dict(), trained.snapshots[3])
    assert not same(trained.model.state_dict(), trained.snapshots[2])
