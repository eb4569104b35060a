import numpy as np
import ot
import pytest
import torch

import collabtheory as ct
from collabtheory.errors import InvalidInput
from collabtheory.transfer import TransferKernels, aligned_radius, sharing_radius, transport_cost, tube_radius


def test_transport_cost_and_tube_are_the_mean_and_the_largest_distance():
    rng = np.random.default_rng(0)
    codes, other = rng.standard_normal((40, 5, 3)), rng.standard_normal((30, 5, 3))
    distances = np.linalg.norm(codes[:, None] - other[None], axis=3)
    np.testing.assert_allclose(transport_cost(codes, other), distances.mean(2), rtol=1e-13)
    np.testing.assert_allclose(tube_radius(codes, other), distances.max(2), rtol=1e-13)
    result = transport_cost(torch.from_numpy(codes).float())
    assert isinstance(result, torch.Tensor)
    assert result.dtype == torch.float64


def test_transport_cost_is_an_upper_bound_of_w1_of_the_sampled_posteriors():
    rng = np.random.default_rng(1)
    codes = rng.standard_normal((6, 8, 2)) + 3 * rng.standard_normal((6, 1, 2))
    cost = transport_cost(codes)
    for u in range(6):
        for v in range(u):
            w1 = ot.emd2([], [], ot.dist(codes[u], codes[v], metric="euclidean"))
            assert w1 <= cost[u, v] + 1e-12
            assert w1 > 0.1 * cost[u, v]


def test_near_twins_do_not_lose_their_distance():
    codes = np.random.default_rng(2).standard_normal((50, 2, 4)) + 100
    codes[1] = codes[0] + 1e-9
    assert transport_cost(codes)[0, 1] == pytest.approx(2e-9, rel=1e-4)
    assert transport_cost(codes)[3, 3] == 0


def test_codes_that_do_not_match_are_refused():
    with pytest.raises(InvalidInput, match="agree in samples"):
        transport_cost(np.zeros((2, 3, 4)), np.zeros((2, 2, 4)))
    with pytest.raises(InvalidInput, match="finite"):
        tube_radius(np.full((2, 3, 4), np.nan))


def test_sharing_radius_formula_and_its_edges():
    radius = sharing_radius(
        [3.0, 1.0, 2.0, 2.0, 1.0, 2.0], [1.0, 2.0, 2.0, 1.0, 2.0, 0.0], [4.0, 4.0, 0.0, 0.0, 0.0, np.inf]
    )
    np.testing.assert_array_equal(radius, [0.5, 0.0, 0.0, np.inf, 0.0, 0.0])
    column = sharing_radius(torch.tensor([[2.0], [1.0]]), torch.zeros(2, 2), 2.0)
    assert isinstance(column, torch.Tensor)
    torch.testing.assert_close(column, torch.tensor([[1.0, 1.0], [0.5, 0.5]], dtype=torch.float64))
    assert sharing_radius([], [], 1.0).shape == (0,)


def test_aligned_radius_formula_and_its_edges():
    np.testing.assert_array_equal(aligned_radius([3.0, -3.0, 0.0, 1.0], [2.0, 2.0, 0.0, 0.0]), [1.5, 0.0, 0.0, np.inf])


def test_radii_refuse_what_is_not_a_norm_or_a_constant():
    for function, args in (
        (sharing_radius, (-1.0, 0.0, 1.0)),
        (sharing_radius, (1.0, np.nan, 1.0)),
        (sharing_radius, (1.0, 0.0, -1.0)),
        (aligned_radius, (1.0, -1.0)),
        (aligned_radius, ("a", 1.0)),
        (sharing_radius, (np.ones(2), np.ones(3), 1.0)),
    ):
        with pytest.raises(InvalidInput):
            function(*args)


def test_pairs_inside_the_radius_help_on_a_linear_decoder(make_world):
    # For a bare Linear decoder and the Gaussian loss at W = 0, z -> G(x, z) = -x z' is ||x||-Lipschitz exactly.
    rng = np.random.default_rng(5)
    world = make_world(widths=(3, 11), n_users=60, n_samples=2, bias=False)
    with torch.no_grad():
        world.decoder[0].weight.zero_()
    world.x[:] = rng.random((1, 11)) < 0.5
    world.x[30:, 0] = 1 - world.x[30:, 0]
    world.codes = 2.0 + rng.standard_normal((60, 1, 3)) + 0.5 * rng.standard_normal((1, 2, 3))
    kernels = TransferKernels(world.decoder, "gaussian", world.x, world.codes)
    lipschitz = np.linalg.norm(world.x, axis=1)[:, None]
    radius = sharing_radius(kernels.gradient_norms()[:, None], kernels.content_mismatch(), lipschitz)
    inside = transport_cost(world.codes) < radius
    assert inside.sum() > 300
    gram = kernels.gradient_gram()
    assert (gram[inside] > 0).all()
    aligned = aligned_radius(kernels.alignment(), kernels.directional_slopes())
    inside_aligned = transport_cost(world.codes) < aligned
    # Here the scalar is linear in z, so the slope IS its Lipschitz constant.
    assert (gram[inside_aligned] > 0).all()
    assert inside_aligned.sum() > inside.sum()
    assert (~inside).any()
    change = kernels.step_loss_change(1e-6)
    assert (change[inside] < 0).all()


def test_everything_is_reachable_from_the_top():
    for name in ct.transfer.__all__:
        assert hasattr(ct.transfer, name)
