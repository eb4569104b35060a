import logging

import numpy as np
import pytest
import torch
from torch import nn

from collabtheory.errors import InvalidInput, NumericalFailure, PremiseNotMet
from collabtheory.transfer import TransferKernels, surrogate_flops
from collabtheory.transfer.item_draws import draw_items


def large_world(make_world, n_items=300, n_users=7, n_samples=2):
    """Users with about 12 of many items, popularity falling off, codes far enough apart to differ."""
    world = make_world(widths=(4, 8, n_items), n_users=n_users, n_samples=n_samples)
    rng = np.random.default_rng(3)
    popularity = np.arange(1, n_items + 1) ** -0.8
    world.x[:] = 0
    for row in world.x:
        row[rng.choice(n_items, 12, replace=False, p=popularity / popularity.sum())] = 1
    with torch.no_grad():
        world.decoder[-1].bias += torch.log(torch.as_tensor(popularity, dtype=world.decoder[-1].bias.dtype))
    return world


def kernels_of(world, **options):
    return TransferKernels(world.decoder, "multinomial", world.x, world.codes, **options)


@pytest.mark.parametrize("widths", [(3, 7, 11), (3, 6, 5, 11)])
def test_all_items_give_the_loss_change_of_a_real_step(widths, make_world, make_oracle, close):
    world = make_world(widths=widths)
    estimate = kernels_of(world).step_loss_change_surrogate([1e-2, 1e-3], rng=np.random.default_rng(0), n_items=11)
    for rate, change in zip([1e-2, 1e-3], estimate.change, strict=True):
        close(change, make_oracle(world, "multinomial").loss_change(rate))
    assert np.abs(estimate.standard_error).max() < 1e-14 * np.abs(estimate.change).max()


@pytest.mark.parametrize("rate", [0.05, 1e-3])
def test_estimates_are_unbiased_and_their_standard_error_is_honest_on_every_pair(rate, make_world):
    world = large_world(make_world, n_users=5, n_samples=1 if rate > 0.01 else 2)
    kernels = kernels_of(world)
    exact = kernels.step_loss_change(rate)
    found = [
        kernels.step_loss_change_surrogate(rate, rng=np.random.default_rng(seed), n_items=40) for seed in range(150)
    ]
    errors = np.array([estimate.change for estimate in found]) - exact
    reported = np.sqrt(np.mean([estimate.standard_error**2 for estimate in found], axis=0))
    actual = np.sqrt((errors**2).mean(0))
    # The standard deviation of 150 draws with a long tail is known to about a tenth.
    assert (actual / reported).max() < 1.35
    assert (actual / reported).min() > 0.7
    assert np.abs(errors.mean(0) / (actual / np.sqrt(150))).max() < 4.5


def test_error_is_of_second_order_in_the_step(make_world):
    kernels = kernels_of(large_world(make_world))
    rates = np.array([1e-2, 1e-3, 1e-4])
    estimate = kernels.step_loss_change_surrogate(rates, rng=np.random.default_rng(0), n_items=40)
    error = np.abs(estimate.change - kernels.step_loss_change(rates)).reshape(3, -1).max(1)
    slopes = np.diff(np.log(error)) / np.diff(np.log(rates))
    assert np.abs(slopes - 2).max() < 0.2


def test_source_items_are_summed_and_not_drawn(make_world):
    # One source item that no head holds, so heavy that drawing it would show.
    world = large_world(make_world, n_samples=1)
    world.x[1] = 0
    world.x[1, 299] = 20
    kernels = kernels_of(world)
    estimate = kernels.step_loss_change_surrogate(2e-3, rng=np.random.default_rng(0), n_items=40, sources=[1])
    exact = kernels.step_loss_change(2e-3, sources=[1])
    assert np.abs(estimate.change - exact).max() < 1e-3 * np.abs(exact).max()


def test_single_precision_reports_its_rounding(make_world):
    world = large_world(make_world)
    exact = kernels_of(world).step_loss_change(1e-6)
    single = kernels_of(world, dtype=torch.float32)
    estimate = single.step_loss_change_surrogate(1e-6, rng=np.random.default_rng(0), n_items=300)
    assert estimate.change.dtype == np.float32
    error = np.abs(estimate.change - exact)
    assert (error <= 3 * estimate.standard_error).all()
    assert estimate.standard_error.max() < 1e-5 * np.abs(exact).max()


def test_users_and_sources_are_chosen_and_blocks_change_nothing_but_the_draws(monkeypatch, make_world):
    world = large_world(make_world)
    kernels = kernels_of(world)
    exact = kernels.step_loss_change(1e-2, users=[4, 0, 4], sources=[5, 3])
    monkeypatch.setattr("collabtheory.transfer.loss_change_surrogate.STEP_ROWS", 4)
    estimate = kernels.step_loss_change_surrogate(
        1e-2, rng=np.random.default_rng(1), n_items=100, users=[4, 0, 4], sources=[5, 3]
    )
    assert estimate.change.shape == (3, 2)
    assert np.abs((estimate.change - exact) / estimate.standard_error).max() < 5


def test_same_seed_gives_the_same_bytes(make_world):
    kernels = kernels_of(large_world(make_world))
    one, two, three = (
        kernels.step_loss_change_surrogate(1e-2, rng=np.random.default_rng(seed), n_items=40).change
        for seed in (5, 5, 6)
    )
    assert (one == two).all()
    assert (one != three).any()


def test_no_step_changes_nothing_and_no_user_gives_an_empty_result(make_world):
    kernels = kernels_of(large_world(make_world))
    none = kernels.step_loss_change_surrogate(0.0, rng=np.random.default_rng(0), n_items=40)
    assert (none.change == 0).all()
    assert (none.standard_error == 0).all()
    empty = kernels.step_loss_change_surrogate([0.1, 0.2], rng=np.random.default_rng(0), n_items=40, users=[])
    assert empty.change.shape == (2, 0, 7)


def test_premises_are_named(make_world):
    world = make_world()
    rng = np.random.default_rng(0)
    with pytest.raises(PremiseNotMet, match="softmax of the multinomial; the likelihood is 'poisson'"):
        TransferKernels(world.decoder, "poisson", world.x, world.codes).step_loss_change_surrogate(0.1, rng=rng)
    flat = make_world(widths=(3, 11))
    with pytest.raises(PremiseNotMet, match="hidden layer"):
        kernels_of(flat).step_loss_change_surrogate(0.1, rng=rng)
    with pytest.raises(InvalidInput, match="n_items must be at least 4"):
        kernels_of(world).step_loss_change_surrogate(0.1, rng=rng, n_items=3)
    with pytest.raises(NumericalFailure, match="smaller learning rate"):
        kernels_of(world).step_loss_change_surrogate(1e6, rng=rng, n_items=8)


def test_draws_take_the_heaviest_items_and_never_one_of_them_again():
    score = torch.arange(50, dtype=torch.float64)
    items = draw_items(score, 20, np.random.default_rng(0))
    assert sorted(items.head.tolist()) == list(range(40, 50))
    assert len(items.tail) == 10
    assert not set(items.tail.tolist()) & set(items.head.tolist())
    # In proportion to 0 .. 39.
    torch.testing.assert_close(items.tail_probability, items.tail.double() / 780)


def test_surrogate_costs_a_small_part_of_the_exact_kernel():
    wide = surrogate_flops((200, 600, 20000), 1024, 1024, 1, 256)
    assert wide < surrogate_flops((200, 600, 20000), 1024, 1024, 1, 512) < 2 * wide


def test_a_computation_of_minutes_is_announced(caplog):
    decoder = nn.Sequential(nn.Linear(1, 100), nn.Tanh(), nn.Linear(100, 5))
    x, codes = np.ones((1, 5)), np.zeros((1, 1, 1))
    kernels = TransferKernels(decoder, "multinomial", x, codes)
    with caplog.at_level(logging.WARNING, logger="collabtheory"):
        kernels.step_loss_change(0.1)
        assert not caplog.records
        kernels.step_loss_change([], users=[])
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("collabtheory.transfer.work.ANNOUNCED_FROM", 1e3)
            kernels.step_loss_change([0.1, 0.2])
    assert "loss change of all pairs: about 2.8e+03 floating-point operations" in caplog.text
