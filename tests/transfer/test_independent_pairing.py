import numpy as np
import pytest
import torch

from collabtheory.transfer import TransferKernels
from collabtheory.transfer.buffers import aligned_empty


def world_with_noise(make_world, noise, n_samples=200, n_users=6):
    """Codes of a linear-Gaussian world with noise of its own for each user, or the same for all."""
    world = make_world(widths=(3, 7, 11), n_users=n_users)
    rng = np.random.default_rng(7)
    means = rng.standard_normal((n_users, 1, 3))
    drawn = rng.standard_normal((n_users if noise == "independent" else 1, n_samples, 3))
    world.codes = means + 0.7 * drawn
    return world


def expected_gram(make_oracle, world):
    """Inner products of the means over five times as many fresh samples."""
    rng = np.random.default_rng(11)
    means = world.codes.mean(1, keepdims=True)
    world.codes = means + 0.7 * rng.standard_normal((len(means), 1000, 3))
    return TransferKernels(world.decoder, "multinomial", world.x, world.codes).gradient_gram()


def z_scores(make_world, make_oracle, noise):
    world = world_with_noise(make_world, noise)
    kernels = TransferKernels(world.decoder, "multinomial", world.x, world.codes)
    gram, error = kernels.gradient_gram(pairing="same_sample"), kernels.gradient_gram_standard_error()
    upper = np.triu(np.ones_like(gram, dtype=bool), 1) & (error > 0)
    return ((gram - expected_gram(make_oracle, world)) / error)[upper]


def test_independent_noise_is_unbiased_within_its_standard_error(make_world, make_oracle):
    z = z_scores(make_world, make_oracle, "independent")
    assert len(z) >= 10
    assert np.abs(z).max() < 4


def test_common_noise_is_biased_under_this_pairing(make_world, make_oracle):
    z = z_scores(make_world, make_oracle, "common")
    assert np.abs(z).max() > 6


def test_sixteen_products_are_almost_as_good_as_all_pairs(make_world):
    # Over many draws of 16 samples: root mean square error of one product a sample against all 256.
    world = make_world(widths=(3, 7, 11), n_users=6)
    rng = np.random.default_rng(2)
    means = rng.standard_normal((6, 1, 3))
    squares = {"all": [], "same_sample": []}
    truth = TransferKernels(
        world.decoder, "multinomial", world.x, means + 0.1 * rng.standard_normal((6, 1500, 3))
    ).gradient_gram()
    upper = np.triu_indices(6, 1)
    for _ in range(30):
        codes = means + 0.1 * rng.standard_normal((6, 16, 3))
        kernels = TransferKernels(world.decoder, "multinomial", world.x, codes)
        for pairing, found in squares.items():
            found.append((kernels.gradient_gram(pairing=pairing) - truth)[upper] ** 2)
    ratio = np.sqrt(np.mean(squares["same_sample"]) / np.mean(squares["all"]))
    assert 0.98 < ratio < 1.1


@pytest.mark.parametrize("memory_bytes", [0, 2**29])
def test_pairing_of_more_users_than_a_block_equals_single_sample_grams(memory_bytes, make_world, close, monkeypatch):
    monkeypatch.setattr("collabtheory.transfer.sensitivities.BLOCK_ROWS", 4)
    world = make_world(n_users=11, n_samples=3)
    kernels = TransferKernels(world.decoder, "multinomial", world.x, world.codes, memory_bytes=memory_bytes)
    single = [
        TransferKernels(world.decoder, "multinomial", world.x, world.codes[:, s : s + 1]).gradient_gram()
        for s in range(3)
    ]
    off = ~np.eye(11, dtype=bool)
    close(kernels.gradient_gram(pairing="same_sample")[off], np.mean(single, axis=0)[off])
    close(kernels.gradient_gram_standard_error(), np.std(single, axis=0, ddof=1) / np.sqrt(3))


@pytest.mark.parametrize("memory_bytes", [0, 900, 2000, 2**29])
def test_panels_of_any_memory_give_the_same_gram(memory_bytes, make_world, make_oracle, close, monkeypatch):
    monkeypatch.setattr("collabtheory.transfer.sensitivities.BLOCK_ROWS", 4)
    monkeypatch.setattr("collabtheory.transfer.gram.BLOCK_ROWS", 4)
    world = make_world(n_users=11, n_samples=2)
    kernels = TransferKernels(world.decoder, "multinomial", world.x, world.codes, memory_bytes=memory_bytes)
    close(kernels.gradient_gram(), make_oracle(world, "multinomial").gram())
    other = TransferKernels(world.decoder, "multinomial", world.x[:5], world.codes[:5, :1], memory_bytes=memory_bytes)
    whole = TransferKernels(world.decoder, "multinomial", world.x[:5], world.codes[:5, :1])
    free = TransferKernels(world.decoder, "multinomial", world.x, world.codes)
    close(kernels.gradient_cross_gram(other), free.gradient_cross_gram(whole))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("columns", [1, 7, 16, 1700])
def test_aligned_rows_start_on_cache_lines(columns, dtype):
    rows = aligned_empty(3, columns, dtype)
    assert rows.shape == (3, columns)
    assert all(rows[r].data_ptr() % 64 == rows.data_ptr() % 64 for r in range(3))
    assert rows.stride(0) * dtype.itemsize < columns * dtype.itemsize + 64
