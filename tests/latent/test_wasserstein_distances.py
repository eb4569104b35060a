import math

import numpy as np
import ot
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats

import collabtheory as ct
from collabtheory.errors import InvalidInput
from collabtheory.latent import comonotone_cost as quadrature
from collabtheory.latent.comonotone_cost import comonotone_cost


def random_posteriors(rng, n_users, d, scale=1.0):
    return ct.DiagonalGaussian(rng.normal(size=(n_users, d)) * scale, rng.uniform(0.1, 2.0, (n_users, d)) * scale)


def expected_length(dm, ds):
    """E||dm + ds Z|| by adaptive quadrature of the Laplace transform in its plain form, no scaling, no trapezoid."""

    def integrand(root):
        t = root * root
        spread = 1 + 2 * t * ds**2
        return 2 * -np.expm1(np.sum(-0.5 * np.log(spread) - t * dm**2 / spread)) / (root * root)

    split = 1 / math.sqrt(np.sum(dm**2 + ds**2))
    pieces = [integrate.quad(integrand, *ends, limit=400, epsabs=0)[0] for ends in ((0, split), (split, np.inf))]
    return sum(pieces) / (2 * math.sqrt(math.pi))


@pytest.mark.parametrize("d", [2, 3, 5, 8, 64])
@pytest.mark.parametrize("mean_scale", [0.0, 0.1, 1.0, 10.0])
def test_comonotone_cost_is_the_quadrature_of_its_integral(d, mean_scale):
    rng = np.random.default_rng(d)
    for _ in range(4):
        dm, ds = rng.normal(size=d) * mean_scale, rng.normal(size=d)
        value = float(comonotone_cost(torch.tensor(dm)[None], torch.tensor(ds)[None])[0])
        assert value == pytest.approx(expected_length(dm, ds), rel=2e-8)


@pytest.mark.parametrize("d", [1, 2, 3, 4, 7, 8, 30])
def test_comonotone_cost_is_never_below_the_chi_mean(d):
    # dm = 0 and equal ds: E||Z|| = sqrt(2) Gamma((d+1)/2) / Gamma(d/2), to all digits.
    exact = math.sqrt(2) * math.exp(math.lgamma((d + 1) / 2) - math.lgamma(d / 2))
    value = float(comonotone_cost(torch.zeros(1, d).double(), torch.ones(1, d).double())[0])
    assert exact <= value <= exact * (1 + 3e-9)


@pytest.mark.parametrize("d", [2, 20, 200])
def test_early_nodes_by_their_series_are_those_by_logarithms(monkeypatch, d):
    rng = np.random.default_rng(d)
    dm, ds = (torch.tensor(rng.normal(size=(50, d)) * rng.uniform(0.01, 1, (50, 1))) for _ in range(2))
    series = comonotone_cost(dm, ds)
    monkeypatch.setattr(quadrature, "LARGEST_SERIES", -1.0)
    np.testing.assert_allclose(series, comonotone_cost(dm, ds), rtol=1e-12)


def test_a_series_cut_after_an_odd_power_can_only_raise_the_cost(monkeypatch):
    rng = np.random.default_rng(2)
    dm, ds = (torch.tensor(rng.normal(size=(50, 4))) for _ in range(2))
    exact = np.array([expected_length(*pair) for pair in zip(dm.numpy(), ds.numpy(), strict=True)])
    monkeypatch.setattr(quadrature, "LARGEST_SERIES", 0.9)
    above = {}
    for power in (2, 3):
        monkeypatch.setattr(quadrature, "LAST_POWER", power)
        above[power] = comonotone_cost(dm, ds).numpy() / exact - 1
    assert above[3].min() > 0 > above[2].min()
    assert above[3].max() > 1e-3


def test_comonotone_cost_matches_monte_carlo():
    rng = np.random.default_rng(1)
    dm, ds = rng.normal(size=6), rng.normal(size=6)
    lengths = np.linalg.norm(dm + ds * rng.standard_normal((200_000, 6)), axis=1)
    value = float(comonotone_cost(torch.tensor(dm)[None], torch.tensor(ds)[None])[0])
    assert abs(value - lengths.mean()) < 5 * lengths.std() / math.sqrt(len(lengths))


@pytest.mark.parametrize("d", [1, 2, 3])
def test_w1_bracket_contains_optimal_transport_on_samples(d):
    rng = np.random.default_rng(d)
    p, q = random_posteriors(rng, 3, d), random_posteriors(rng, 3, d)
    bounds = ct.latent.w1_bounds(p, q)
    for user in range(3):
        # The sampled cost of two samples of the SAME law is the sampling error that each side can add.
        n = 1000
        xs = p.mu[user] + p.sigma[user] * rng.standard_normal((n, d))
        ys = q.mu[user] + q.sigma[user] * rng.standard_normal((n, d))
        twins = q.mu[user] + q.sigma[user] * rng.standard_normal((n, d))
        margin = ot.emd2([], [], ot.dist(ys, twins, metric="euclidean")) + 0.05
        sampled = ot.emd2([], [], ot.dist(xs, ys, metric="euclidean"))
        assert bounds.lower[user] - margin <= sampled <= bounds.upper[user] + margin


def test_one_dimension_is_exact_against_quantile_functions():
    rng = np.random.default_rng(0)
    p, q = random_posteriors(rng, 5, 1), random_posteriors(rng, 5, 1)
    bounds = ct.latent.w1_bounds(p, q)
    np.testing.assert_array_equal(bounds.lower, bounds.upper)
    levels = (np.arange(400_000) + 0.5) / 400_000
    for user in range(5):
        quantiles = [stats.norm.ppf(levels, r.mu[user, 0], r.sigma[user, 0]) for r in (p, q)]
        assert bounds.lower[user] == pytest.approx(np.abs(quantiles[0] - quantiles[1]).mean(), rel=1e-4)
    np.testing.assert_allclose(ct.latent.w1_l1(p, q), bounds.lower, rtol=1e-14)


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), d=st.integers(1, 12), exponent=st.sampled_from([-150, -20, 0, 20, 150]))
def test_distances_are_ordered_at_every_scale(seed, d, exponent):
    rng = np.random.default_rng(seed)
    scale = 10.0**exponent
    p, q = random_posteriors(rng, 4, d, scale), random_posteriors(rng, 4, d, scale)
    exact, bounds, summed = ct.latent.w2(p, q), ct.latent.w1_bounds(p, q), ct.latent.w1_l1(p, q)
    assert (bounds.lower <= bounds.upper).all()
    assert (bounds.upper <= exact * (1 + 1e-14)).all()
    assert (bounds.lower >= exact * math.sqrt(2 / math.pi) * (1 - 1e-13)).all()
    assert (summed / math.sqrt(d) <= bounds.lower * (1 + 1e-13)).all()
    assert (np.linalg.norm((p.mu - q.mu) / scale, axis=1) * scale <= bounds.lower * (1 + 1e-13)).all()
    assert (exact > 0).all()


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), d=st.integers(1, 6))
def test_w2_is_a_metric(seed, d):
    rng = np.random.default_rng(seed)
    p, q, r = (random_posteriors(rng, 5, d) for _ in range(3))
    np.testing.assert_array_equal(ct.latent.w2(p, q), ct.latent.w2(q, p))
    np.testing.assert_array_equal(ct.latent.w1_bounds(p, q).upper, ct.latent.w1_bounds(q, p).upper)
    assert (ct.latent.w2(p, r) <= (ct.latent.w2(p, q) + ct.latent.w2(q, r)) * (1 + 1e-14)).all()


def test_degenerate_pairs():
    same = ct.DiagonalGaussian([[1.0, 2.0]], [[0.5, 0.5]])
    bounds = ct.latent.w1_bounds(same, same)
    assert bounds.lower[0] == bounds.upper[0] == ct.latent.w2(same, same)[0] == ct.latent.w1_l1(same, same)[0] == 0
    moved = ct.DiagonalGaussian([[4.0, 6.0]], [[0.5, 0.5]])
    shifted = ct.latent.w1_bounds(same, moved)
    assert shifted.lower[0] == pytest.approx(5.0, rel=1e-15)
    assert shifted.upper[0] == ct.latent.w2(same, moved)[0]
    wider = ct.DiagonalGaussian([[1.0, 2.0]], [[1.5, 0.5]])
    # Only one standard deviation differs: W_1 = E|Z|, both ends know it up to the heavy tail's slack.
    assert ct.latent.w1_bounds(same, wider).lower[0] == pytest.approx(math.sqrt(2 / math.pi), rel=1e-14)
    assert ct.latent.w1_bounds(same, wider).upper[0] == pytest.approx(math.sqrt(2 / math.pi), rel=1e-5)
    none = ct.DiagonalGaussian(np.zeros((0, 2)), np.ones((0, 2)))
    assert ct.latent.w1_bounds(none, none).lower.shape == ct.latent.w2(none, none).shape == (0,)
    assert ct.latent.pairwise_w2(none).shape == (0, 0)


def test_results_follow_the_kind_of_the_input():
    rng = np.random.default_rng(0)
    p, q = random_posteriors(rng, 3, 2), random_posteriors(rng, 3, 2)
    p_torch = ct.DiagonalGaussian(torch.tensor(p.mu, dtype=torch.float32), torch.tensor(p.sigma, dtype=torch.float32))
    for result in (ct.latent.w2(p_torch, q), ct.latent.w1_bounds(p_torch, q).upper, ct.latent.w2_to_prior(p_torch)):
        assert isinstance(result, torch.Tensor)
        assert result.dtype == torch.float64
    assert isinstance(ct.latent.w2(p, q), np.ndarray)
    np.testing.assert_allclose(ct.latent.w2(p_torch, q).numpy(), ct.latent.w2(p, q), rtol=1e-6)
    prior = ct.DiagonalGaussian(np.zeros((3, 2)), np.ones((3, 2)))
    np.testing.assert_allclose(ct.latent.w2_to_prior(p), ct.latent.w2(p, prior), rtol=1e-15)


def test_pairwise_w2_keeps_the_digits_of_near_twins_far_from_the_origin():
    rng = np.random.default_rng(0)
    mu = np.full((4, 3), 100.0)
    gaps = np.array([0.0, 2.0**-30, 2.0**-28, 1.0])
    mu[:, 0] += gaps
    p = ct.DiagonalGaussian(mu, np.ones((4, 3)))
    np.testing.assert_allclose(ct.latent.pairwise_w2(p), np.abs(gaps[:, None] - gaps), rtol=1e-15)
    a, b = random_posteriors(rng, 6, 4), random_posteriors(rng, 5, 4)
    brute = [[ct.latent.w2(a[[i]], b[[j]])[0] for j in range(5)] for i in range(6)]
    np.testing.assert_allclose(ct.latent.pairwise_w2(a, b), brute, rtol=1e-14)
    symmetric = ct.latent.pairwise_w2(a)
    np.testing.assert_array_equal(symmetric, symmetric.T)
    assert (np.diag(symmetric) == 0).all()


def test_mismatched_posteriors_are_refused():
    p, q = (
        ct.DiagonalGaussian(np.zeros((3, 2)), np.ones((3, 2))),
        ct.DiagonalGaussian(np.zeros((4, 2)), np.ones((4, 2))),
    )
    for distance in (ct.latent.w2, ct.latent.w1_bounds, ct.latent.w1_l1):
        with pytest.raises(InvalidInput, match=r"\(3, 2\) and \(4, 2\)"):
            distance(p, q)
    with pytest.raises(InvalidInput, match="2 dimensions and q has 3"):
        ct.latent.pairwise_w2(p, ct.DiagonalGaussian(np.zeros((4, 3)), np.ones((4, 3))))
    with pytest.raises(InvalidInput, match="must be a DiagonalGaussian"):
        ct.latent.w2(np.zeros((3, 2)), q)
