"""The quadratic model of PIA: its minimiser against numerical minimisation, a linear solver and its own gradient."""

import numpy as np
import pytest
from scipy import optimize

from collabtheory.errors import InvalidInput
from collabtheory.latent.quadratic_alignment import aligned_minimiser, contraction_factor


def random_curvature(rng, d, condition=10.0):
    basis, _ = np.linalg.qr(rng.standard_normal((d, d)))
    return basis * np.geomspace(1.0, condition, d) @ basis.T


def symmetric(matrix):
    return (matrix + matrix.T) / 2


@pytest.mark.parametrize("d", [1, 2, 5])
def test_the_minimiser_is_where_a_numerical_minimiser_ends(d):
    rng = np.random.default_rng(d)
    curvature, optimum, centroid = symmetric(random_curvature(rng, d)), *rng.standard_normal((2, d))
    weight = 0.7

    def loss(mu):
        return 0.5 * (mu - optimum) @ curvature @ (mu - optimum) + weight * np.sum((mu - centroid) ** 2)

    found = optimize.minimize(loss, np.zeros(d), tol=1e-12).x
    np.testing.assert_allclose(aligned_minimiser(curvature, optimum, centroid, weight), found, atol=1e-5)


def test_the_minimiser_solves_the_linear_system_for_every_mask():
    rng = np.random.default_rng(3)
    curvature, optima, centroid = (
        symmetric(random_curvature(rng, 6)),
        rng.standard_normal((9, 6)),
        rng.standard_normal(6),
    )
    expected = centroid + np.linalg.solve(curvature + 4.0 * np.eye(6), curvature @ (optima - centroid).T).T
    np.testing.assert_allclose(aligned_minimiser(curvature, optima, centroid, 2.0), expected, rtol=1e-12)


@pytest.mark.parametrize("condition", [1.0, 1e6, 1e12])
@pytest.mark.parametrize("weight", [1e-8, 1e-3, 1.0, 1e6])
def test_distance_and_variance_shrink_by_tau_whatever_the_condition_number(condition, weight):
    rng = np.random.default_rng(4)
    curvature = symmetric(random_curvature(rng, 8, condition))
    optima, centroid = rng.standard_normal((20, 8)), rng.standard_normal(8)
    pulled = aligned_minimiser(curvature, optima, centroid, weight)
    tau = contraction_factor(np.linalg.eigvalsh(curvature)[-1], weight)
    lengths = np.linalg.norm(pulled - centroid, axis=1) / np.linalg.norm(optima - centroid, axis=1)
    assert np.all(lengths <= tau * (1 + 1e-9))
    assert pulled.var(0).sum() <= tau**2 * optima.var(0).sum() * (1 + 1e-9)


def test_tau_runs_from_nothing_left_to_nothing_pulled():
    assert contraction_factor([0.0, 1.0, 1e300], 0.5).tolist() == pytest.approx([0.0, 0.5, 1.0])
    assert contraction_factor([0.0, 3.0], 0.0).tolist() == [1.0, 1.0]


@pytest.mark.parametrize(
    ("curvature", "weight", "message"),
    [
        (np.ones((2, 3)), 1.0, "square"),
        (np.array([[1.0, 2.0], [0.0, 1.0]]), 1.0, "symmetric"),
        (np.diag([1.0, -1.0]), 1.0, "semidefinite"),
        (np.array([[np.nan]]), 1.0, "finite"),
        (np.eye(2), 0.0, "alignment_weight"),
    ],
)
def test_what_is_no_quadratic_model_is_refused(curvature, weight, message):
    with pytest.raises(InvalidInput, match=message):
        aligned_minimiser(curvature, np.zeros(len(curvature)), np.zeros(len(curvature)), weight)


@pytest.mark.parametrize(("curvature", "weight"), [([1.0, -1.0], 1.0), ([np.nan], 1.0), ([1.0], -0.1)])
def test_negative_curvature_or_weight_has_no_factor(curvature, weight):
    with pytest.raises(InvalidInput, match="must not be negative or NaN"):
        contraction_factor(curvature, weight)
