import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from torch import nn

import collabtheory as ct
from collabtheory.transfer import TransferKernels

LIKELIHOODS = ("multinomial", "bernoulli", "gaussian", "poisson")
DEPTHS = ((3, 11), (3, 7, 11), (3, 6, 5, 11))


@pytest.mark.parametrize("scale", ["user", "interaction"])
@pytest.mark.parametrize("widths", DEPTHS)
@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_gram_equals_autograd(likelihood, widths, scale, make_world, make_oracle, close):
    world = make_world(widths=widths)
    gram = ct.transfer.gradient_gram(world.decoder, likelihood, world.x, world.codes, scale=scale)
    assert gram.dtype == np.float64
    close(gram, make_oracle(world, likelihood, scale).gram())


@pytest.mark.parametrize("activation", [nn.ReLU, nn.Sigmoid, nn.Softplus, nn.SiLU, nn.GELU, nn.ELU, nn.LeakyReLU])
def test_gram_equals_autograd_for_every_activation(activation, make_world, make_oracle, close):
    world = make_world(widths=(3, 6, 5, 11), activation=activation)
    assert ct.transfer.kernel_for(world.decoder) == "outer_product"
    gram = ct.transfer.gradient_gram(world.decoder, "multinomial", world.x, world.codes)
    close(gram, make_oracle(world, "multinomial").gram())


def test_gram_without_biases_equals_autograd(make_world, make_oracle, close):
    world = make_world(bias=False)
    gram = ct.transfer.gradient_gram(world.decoder, "multinomial", world.x, world.codes)
    close(gram, make_oracle(world, "multinomial").gram())


def test_gram_of_counts_equals_autograd(make_world, make_oracle, close):
    world = make_world()
    world.x *= np.arange(1, 12)
    gram = ct.transfer.gradient_gram(world.decoder, "poisson", world.x, world.codes)
    close(gram, make_oracle(world, "poisson").gram())


@settings(max_examples=25, deadline=None)
@given(
    n_users=st.integers(1, 5),
    n_samples=st.integers(1, 4),
    latent=st.integers(1, 4),
    hidden=st.lists(st.integers(1, 5), max_size=2),
    n_items=st.integers(1, 9),
    likelihood=st.sampled_from(LIKELIHOODS),
    seed=st.integers(0, 2**16),
)
def test_gram_equals_autograd_for_any_shape(n_users, n_samples, latent, hidden, n_items, likelihood, seed):
    generator = torch.Generator().manual_seed(seed)
    widths = (latent, *hidden, n_items)
    layers = [part for a, b in itertools.pairwise(widths) for part in (nn.Linear(a, b, dtype=torch.float64), nn.Tanh())]
    decoder = nn.Sequential(*layers[:-1])
    x = (torch.rand(n_users, n_items, generator=generator) < 0.5).double()
    codes = torch.randn(n_users, n_samples, latent, generator=generator, dtype=torch.float64)
    gradients = []
    for u in range(n_users):
        logits = decoder(codes[u])
        partition = {
            "multinomial": x[u].sum() * torch.logsumexp(logits, 1),
            "bernoulli": torch.log1p(logits.exp()).sum(1),
            "gaussian": 0.5 * (logits**2).sum(1),
            "poisson": logits.exp().sum(1),
        }[likelihood]
        grads = torch.autograd.grad((partition - logits @ x[u]).mean(), list(decoder.parameters()))
        gradients.append(torch.cat([grad.reshape(-1) for grad in grads]))
    expected = torch.stack(gradients) @ torch.stack(gradients).T
    gram = ct.transfer.gradient_gram(decoder, likelihood, x, codes)
    torch.testing.assert_close(gram, expected, rtol=1e-10, atol=1e-10 * float(expected.abs().max()) + 1e-300)


def test_blocks_smaller_than_the_users_change_nothing(monkeypatch, make_world, make_oracle, close):
    world = make_world(n_users=9)
    monkeypatch.setattr("collabtheory.transfer.sensitivities.BLOCK_ROWS", 6)
    kept = TransferKernels(world.decoder, "multinomial", world.x, world.codes)
    again = TransferKernels(world.decoder, "multinomial", world.x, world.codes, memory_bytes=0)
    assert kept.sensitivities.kept_top is not None
    assert again.sensitivities.kept_top is None
    oracle = make_oracle(world, "multinomial").gram()
    for kernels in (kept, again):
        close(kernels.gradient_gram(), oracle)
        close(kernels.gradient_gram(pairing="same_sample"), kept.gradient_gram(pairing="same_sample"))
        close(kernels.content_mismatch(), kept.content_mismatch())
        close(kernels.alignment(), kept.alignment())
        close(kernels.directional_slopes(), kept.directional_slopes())
        close(kernels.step_loss_change(1e-3), kept.step_loss_change(1e-3))


def test_gram_is_positive_semidefinite_and_symmetric(make_world):
    world = make_world(n_users=20, n_samples=2)
    gram = ct.transfer.gradient_gram(world.decoder, "multinomial", world.x, world.codes)
    np.testing.assert_allclose(gram, gram.T, rtol=1e-12)
    values = np.linalg.eigvalsh(gram)
    assert values.min() > -1e-12 * values.max()
    assert values.max() > 0


def test_a_user_without_items_moves_nobody_under_the_multinomial(make_world):
    world = make_world()
    for scale in ("user", "interaction"):
        gram = ct.transfer.gradient_gram(world.decoder, "multinomial", world.x, world.codes, scale=scale)
        assert (gram[2] == 0).all()
        assert (gram[:, 2] == 0).all()


@pytest.mark.parametrize("path", ["outer_product", "torch_func"])
def test_unbiased_diagonal_is_the_mean_over_different_samples(path, make_world, make_oracle, close):
    world = make_world(n_samples=4)
    samples = make_oracle(world, "multinomial").sample_gradients()
    products = torch.einsum("usp,utp->ust", samples, samples).numpy()
    off = ~np.eye(4, dtype=bool)
    expected = products[:, off].mean(1)
    kernels = TransferKernels(world.decoder, "multinomial", world.x, world.codes, path=path)
    close(np.diag(kernels.gradient_gram(diagonal="unbiased")), expected)
    close(kernels.gradient_norms(diagonal="unbiased"), np.sqrt(np.maximum(expected, 0)))
    close(kernels.gradient_norms(), np.sqrt(products.mean((1, 2))))
    plug_in = np.diag(kernels.gradient_gram())
    assert (plug_in[[0, 1, 3, 4, 5]] > expected[[0, 1, 3, 4, 5]]).all()


@pytest.mark.parametrize("path", ["outer_product", "torch_func"])
def test_same_sample_pairing_and_its_standard_error(path, make_world, make_oracle, close):
    world = make_world(n_samples=4)
    samples = make_oracle(world, "bernoulli").sample_gradients().numpy()
    products = np.einsum("usp,vsp->uvs", samples, samples)
    kernels = TransferKernels(world.decoder, "bernoulli", world.x, world.codes, path=path)
    gram = kernels.gradient_gram(pairing="same_sample")
    off = ~np.eye(world.n_users, dtype=bool)
    close(gram[off], products.mean(2)[off])
    close(np.diag(gram), np.diag(kernels.gradient_gram()))
    close(kernels.gradient_gram_standard_error(), products.std(2, ddof=1) / 2)


def test_same_sample_pairing_agrees_with_all_pairs_within_its_standard_error(make_world):
    world = make_world(n_samples=400, n_users=5)
    kernels = TransferKernels(world.decoder, "multinomial", world.x, 0.3 * world.codes)
    error = kernels.gradient_gram_standard_error()
    difference = kernels.gradient_gram(pairing="same_sample") - kernels.gradient_gram()
    off = ~np.eye(5, dtype=bool) & (error > 0)
    assert np.abs(difference[off] / error[off]).max() < 5
    assert np.abs(difference[off] / error[off]).max() > 0.01


def test_cross_gram_equals_the_block_of_the_joint_gram(make_world, close):
    world = make_world(n_users=8)
    joint = ct.transfer.gradient_gram(world.decoder, "multinomial", world.x, world.codes)
    args = (world.decoder, "multinomial", world.x[:3], world.codes[:3], world.x[3:], world.codes[3:])
    close(ct.transfer.gradient_cross_gram(*args), joint[:3, 3:])


def test_cross_gram_refuses_another_decoder(make_world):
    one, two = make_world(seed=1), make_world(seed=2)
    first = TransferKernels(one.decoder, "multinomial", one.x, one.codes)
    with pytest.raises(ct.transfer.kernels.InvalidInput, match="same decoder"):
        first.gradient_cross_gram(TransferKernels(two.decoder, "multinomial", two.x, two.codes))


@pytest.mark.parametrize("path", ["outer_product", "torch_func"])
def test_gradient_gap_equals_autograd(path, make_world, make_oracle, close):
    world = make_world()
    g = make_oracle(world, "multinomial").gradients()
    expected = torch.linalg.vector_norm(g[:, None] - g[None], dim=2).numpy()
    close(TransferKernels(world.decoder, "multinomial", world.x, world.codes, path=path).gradient_gap(), expected)


def test_gradient_gap_of_near_twins_keeps_its_digits(make_world, make_oracle):
    world = make_world(widths=(3, 6, 5, 11))
    world.codes[1] = world.codes[0] + 1e-9 * np.random.default_rng(1).standard_normal(world.codes[0].shape)
    world.codes[4], world.x[4] = world.codes[3], world.x[3]
    gap = ct.transfer.gradient_gap(world.decoder, "multinomial", world.x, world.codes)
    assert gap[3, 4] == 0
    # The derivative of the gradient along the direction from one to the other, by autograd.
    oracle = make_oracle(world, "multinomial")
    z = oracle.codes[1].clone()
    direction = (oracle.codes[0] - oracle.codes[1]) * 1e9

    def along(t):
        return oracle.gradient(0, z + t * direction, graph=True)

    derivative = torch.autograd.functional.jacobian(along, torch.zeros((), dtype=torch.float64))
    np.testing.assert_allclose(gap[0, 1], 1e-9 * float(derivative.norm()), rtol=1e-6)


def test_contents_are_read_alike_from_every_container(make_world):
    world = make_world()
    world.x *= 2
    unsorted = sparse.csr_array(world.x)
    unsorted.indices, unsorted.data = unsorted.indices.copy(), unsorted.data.copy()
    for row in range(world.n_users):
        here = slice(unsorted.indptr[row], unsorted.indptr[row + 1])
        unsorted.indices[here] = unsorted.indices[here][::-1].copy()
    rows, columns = np.nonzero(world.x)
    duplicated = sparse.coo_array(
        (np.ones(2 * len(rows)), (np.tile(rows, 2), np.tile(columns, 2))), shape=world.x.shape
    )
    expected = ct.transfer.gradient_gram(world.decoder, "multinomial", world.x, world.codes)
    for x in (
        unsorted,
        duplicated,
        sparse.csr_matrix(world.x),
        sparse.csc_array(world.x),
        world.x.astype(np.int32),
        world.x.tolist(),
    ):
        np.testing.assert_array_equal(ct.transfer.gradient_gram(world.decoder, "multinomial", x, world.codes), expected)
    for x in (torch.from_numpy(world.x), torch.from_numpy(world.x).to_sparse(), torch.from_numpy(world.x).float()):
        result = ct.transfer.gradient_gram(world.decoder, "multinomial", x, world.codes)
        assert isinstance(result, torch.Tensor)
        assert result.dtype == torch.float64
        np.testing.assert_array_equal(result.numpy(), expected)
    assert duplicated.nnz == 2 * len(rows)


def test_float32_is_close_to_float64(make_world):
    world = make_world(n_users=12)
    exact = ct.transfer.gradient_gram(world.decoder, "multinomial", world.x, world.codes)
    kernels = TransferKernels(world.decoder, "multinomial", world.x, world.codes, dtype=torch.float32)
    single = kernels.gradient_gram()
    assert single.dtype == np.float32
    assert np.abs(single - exact).max() < 1e-5 * exact.diagonal().max()
    for name in ("content_mismatch", "alignment", "directional_slopes"):
        double = getattr(TransferKernels(world.decoder, "multinomial", world.x, world.codes), name)()
        assert np.abs(getattr(kernels, name)() - double).max() < 1e-4 * np.abs(double).max()


def test_decoder_of_lower_precision_is_not_changed(make_world):
    world = make_world()
    decoder = world.decoder.float().train()
    before = [parameter.clone() for parameter in decoder.parameters()]
    gram = ct.transfer.gradient_gram(decoder, "multinomial", world.x, world.codes)
    assert gram.dtype == np.float64
    assert decoder.training
    for parameter, value in zip(decoder.parameters(), before, strict=True):
        assert parameter.dtype == torch.float32
        assert parameter.grad is None
        assert torch.equal(parameter, value)
