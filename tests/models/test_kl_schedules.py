"""The KL weight along training and from user to user, and which epochs count as trained at the full weight."""

import math

import numpy as np
import pytest
import torch

from collabtheory.data import PlantedWorld, generate, strong_generalisation
from collabtheory.models import ModelSpec, TrainingSpec, linear_beta, trainer
from collabtheory.models.kl import LARGEST_FACTOR, LEARNING_RATE, UserWeights, cyclical_beta, scheduled_beta
from collabtheory.models.trainer import at_full_weight, train
from collabtheory.runs.seeds import derive

MODEL = ModelSpec(hidden=(8,), latent=3)
SCHEDULES = {
    "constant": {"kl_schedule": "constant"},
    "linear": {"kl_schedule": "linear", "annealing": 0.5},
    "one climb": {"kl_schedule": "linear", "annealing": 1.0},
    "no climb": {"kl_schedule": "linear", "annealing": 0.0},
    "cyclical": {"kl_schedule": "cyclical", "cycles": 4},
    "one cycle": {"kl_schedule": "cyclical", "cycles": 1},
    "odd cycles": {"kl_schedule": "cyclical", "cycles": 7},
}


@pytest.fixture(scope="module")
def split():
    return strong_generalisation(generate(PlantedWorld(n_users=150), 3), rng=derive(0, "split"))


def betas(spec, steps):
    return np.array([scheduled_beta(spec, step, steps) for step in range(steps)])


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("steps", [40, 97, 1000])
def test_the_weight_is_never_above_its_cap_and_ends_at_it(name, steps):
    values = betas(TrainingSpec(beta=0.3, **SCHEDULES[name]), steps)
    assert values.min() >= 0.0
    assert values.max() <= 0.3
    assert values[-1] == pytest.approx(0.3, rel=1.5 / steps)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("constant", [0.8] * 8),
        ("no climb", [0.8] * 8),
        ("linear", [0.0, 0.2, 0.4, 0.6, 0.8, 0.8, 0.8, 0.8]),
        ("one climb", [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7]),
        ("one cycle", [0.0, 0.2, 0.4, 0.6, 0.8, 0.8, 0.8, 0.8]),
        ("cyclical", [0.0, 0.8] * 4),
    ],
)
def test_the_weight_has_the_values_written_out_by_hand(name, expected):
    np.testing.assert_allclose(betas(TrainingSpec(beta=0.8, **SCHEDULES[name]), 8), expected, atol=1e-15)


def test_each_cycle_climbs_over_its_first_half_and_then_stays():
    values = np.array([cyclical_beta(step, 80, 1.0, 4) for step in range(80)]).reshape(4, 20)
    expected = np.minimum(np.arange(20) / 10, 1.0)
    np.testing.assert_allclose(values, np.tile(expected, (4, 1)), atol=1e-15)


def test_one_cycle_is_a_linear_climb_over_half_of_training():
    for step in range(100):
        assert cyclical_beta(step, 100, 0.4, 1) == pytest.approx(linear_beta(step, 100, 0.4, 0.5))


@pytest.mark.parametrize(
    ("name", "full"),
    [
        ("constant", [1, 2, 3, 4, 5, 6, 7, 8]),
        ("no climb", [1, 2, 3, 4, 5, 6, 7, 8]),
        ("linear", [4, 5, 6, 7, 8]),
        ("one climb", [8]),
        ("one cycle", [4, 5, 6, 7, 8]),
        ("cyclical", [1, 2, 3, 4, 5, 6, 7, 8]),  # a cycle is two epochs: each ends where the climb or the cycle ends
    ],
)
def test_epochs_at_the_full_weight_are_those_that_end_at_the_cap(name, full):
    spec = TrainingSpec(epochs=8, **SCHEDULES[name])
    assert [epoch for epoch in range(1, 9) if at_full_weight(spec, epoch)] == full


def test_a_cycle_longer_than_two_epochs_has_epochs_below_the_cap():
    spec = TrainingSpec(epochs=20, kl_schedule="cyclical", cycles=2)
    assert [epoch for epoch in range(1, 21) if at_full_weight(spec, epoch)] == [*range(5, 11), *range(15, 21)]


def test_whether_an_epoch_is_at_the_cap_does_not_hang_on_rounding():
    for epochs in range(1, 300):
        spec = TrainingSpec(epochs=epochs, annealing=1 / epochs)
        assert at_full_weight(spec, 1), epochs
        assert at_full_weight(TrainingSpec(epochs=epochs, annealing=1.0), epochs), epochs


def test_without_a_kl_term_every_epoch_counts():
    spec = TrainingSpec(epochs=5, beta=0.0)
    assert all(at_full_weight(spec, epoch) for epoch in range(1, 6))


@pytest.mark.parametrize(
    ("architecture", "name"),
    [*(("mult_vae", name) for name in SCHEDULES), ("rec_vae", "linear"), ("rec_vae", "cyclical")],
)
def test_training_uses_the_schedule_and_keeps_an_epoch_at_the_cap(architecture, name, split):
    spec = TrainingSpec(epochs=8, batch_size=20, beta=0.3, **SCHEDULES[name])
    trained = train(MODEL.model_copy(update={"architecture": architecture}), spec, split, seed=0)
    n_batches = math.ceil(split.train.n_users / 20)
    for epoch in trained.history:
        last = scheduled_beta(spec, epoch.epoch * n_batches - 1, 8 * n_batches)
        assert epoch.beta == pytest.approx(last, abs=1e-12)
    assert at_full_weight(spec, trained.best_epoch)


def test_a_global_weight_is_one_for_everybody():
    weights = UserWeights("global", np.array([0, 3, 200]))
    weights.learn(torch.tensor([0, 1, 2]), torch.tensor([0.0, 5.0, 2000.0]))
    assert weights.of(torch.tensor([2, 0, 1])).tolist() == [1.0, 1.0, 1.0]


def test_a_weight_by_size_is_the_number_of_items():
    weights = UserWeights("by_size", np.array([4, 3, 200]))
    weights.learn(torch.tensor([0, 1]), torch.tensor([9.0, 90.0]))
    assert weights.of(torch.tensor([2, 0])).tolist() == [200.0, 4.0]


def losses_of(gaps, sizes):
    """Multinomial losses that are so many nats per item above the smallest possible one, ``n log n``."""
    values = [n * (gap + math.log(n)) for gap, n in zip(gaps, sizes, strict=True)]
    return torch.tensor(values, dtype=torch.float32)


def test_the_smallest_multinomial_loss_is_the_one_that_gaps_are_measured_from():
    for n in (1, 4, 30):
        logits = torch.full((40,), -1e4, dtype=torch.float64)
        logits[:n] = 0.0
        assert -float(torch.log_softmax(logits, 0)[:n].sum()) == pytest.approx(n * math.log(n))


def test_a_larger_gap_gives_a_smaller_learned_weight_by_the_stated_rule():
    sizes, gaps = np.array([5, 20, 80]), np.array([1.0, 2.0, 6.0])
    weights = UserWeights("learned", sizes)
    everybody = torch.arange(3)
    assert weights.of(everybody).tolist() == [1.0, 1.0, 1.0]
    weights.learn(everybody, losses_of(gaps, sizes))
    np.testing.assert_allclose(weights.of(everybody), np.exp(-LEARNING_RATE * (gaps / 3.0 - 1.0)), rtol=1e-5)
    assert weights.of(everybody).diff().max() < 0


def test_learned_weights_keep_their_geometric_mean_within_the_bounds():
    sizes = np.array([3, 9, 27, 81])
    weights = UserWeights("learned", sizes)
    for gaps in ([1.0, 2.0, 3.0, 1.5], [2.0, 1.0, 2.5, 1.0]):
        weights.learn(torch.arange(4), losses_of(gaps, sizes))
    assert float(weights.of(torch.arange(4)).log().mean()) == pytest.approx(0.0, abs=1e-6)


def test_equal_gaps_leave_learned_weights_alone_whatever_the_sizes():
    sizes = np.array([2, 10, 100])
    weights = UserWeights("learned", sizes)
    weights.learn(torch.arange(3), losses_of([1.7, 1.7, 1.7], sizes))
    np.testing.assert_allclose(weights.of(torch.arange(3)), 1.0, rtol=1e-4)


def test_learned_weights_stay_bounded_both_ways():
    sizes = np.array([10, 10])
    weights = UserWeights("learned", sizes)
    for _ in range(100):
        weights.learn(torch.tensor([0, 1]), losses_of([0.0, 9.0], sizes))
    np.testing.assert_allclose(weights.of(torch.tensor([0, 1])), [LARGEST_FACTOR, 1 / LARGEST_FACTOR], rtol=1e-5)


def test_only_the_users_seen_are_moved_and_no_gradient_is_kept():
    weights = UserWeights("learned", np.array([5, 5, 5]))
    losses = losses_of([1.0, 4.0], [5, 5]).requires_grad_()
    weights.learn(torch.tensor([2, 0]), losses)
    factors = weights.of(torch.arange(3))
    assert factors[1] == 1.0
    assert factors[2] > 1.0 > factors[0]
    assert not factors.requires_grad


@pytest.mark.parametrize("weighting", ["global", "by_size", "learned"])
def test_training_multiplies_each_users_kl_by_their_own_factor(weighting, split, monkeypatch):
    seen = []
    combined = trainer.combined

    def spy(losses, kl_weights, alignment_weight):
        seen.append((losses.reconstruction.detach().clone(), kl_weights.clone()))
        return combined(losses, kl_weights, alignment_weight)

    monkeypatch.setattr(trainer, "combined", spy)
    n = split.train.n_users
    spec = TrainingSpec(epochs=3, batch_size=n, beta=0.3, kl_schedule="constant", kl_weighting=weighting)
    train(MODEL, spec, split, seed=0)
    expected = UserWeights(weighting, split.train.sizes)
    for reconstruction, kl_weights in seen:
        torch.testing.assert_close(kl_weights, 0.3 * expected.of(torch.arange(n)))
        expected.learn(torch.arange(n), reconstruction)
    assert len(seen) == 3
    assert (weighting == "global") == bool((seen[-1][1] == seen[-1][1][0]).all())
