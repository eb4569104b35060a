"""The KL term's two parts, collapse and contraction, against scipy quadrature, torch, closed forms and plain loops."""

import itertools
import math

import numpy as np
import pytest
import torch
from flint import arb
from scipy import integrate, stats

import collabtheory as ct
from collabtheory.errors import InvalidInput
from collabtheory.latent.enclosed_kl import enclosed_decomposition
from collabtheory.rigor import working_precision

MIXTURE = (np.array([1.0, 2.0, 1.0]), np.array([0.0, 3.0, -1.5]), np.array([1.0, 0.5, 0.25]))


def by_quadrature(weights, mu, sigma):
    """Information and divergence of the aggregate of a mixture on the line, in floating point."""
    weights = weights / weights.sum()

    def information(z):
        densities = stats.norm.pdf(z, mu, sigma)
        mixture = weights @ densities
        return sum(w * f * math.log(f / mixture) for w, f in zip(weights, densities, strict=True) if f > 0)

    def aggregate(z):
        mixture = weights @ stats.norm.pdf(z, mu, sigma)
        return mixture * math.log(mixture / stats.norm.pdf(z)) if mixture > 0 else 0.0

    ends = {"limit": 400, "points": sorted(mu)}
    return integrate.quad(information, -12, 12, **ends)[0], integrate.quad(aggregate, -12, 12, **ends)[0]


def test_kl_per_unit_is_that_of_torch_and_keeps_its_digits_near_the_prior():
    rng = np.random.default_rng(0)
    q = ct.DiagonalGaussian(rng.normal(size=(5, 3)), rng.uniform(0.05, 4.0, (5, 3)))
    normal = torch.distributions.Normal
    reference = torch.distributions.kl_divergence(
        normal(torch.as_tensor(q.mu), torch.as_tensor(q.sigma)), normal(0.0, 1.0)
    )
    np.testing.assert_allclose(ct.latent.kl_per_unit(q), reference.numpy(), rtol=1e-12)
    for excess in (1e-12, -1e-7, 1e-3, 0.0999, 0.1001, -0.1):
        with working_precision(200):
            s = 1 + arb(excess)
            exact = float(((s * s - 1) / 2 - s.log()).mid())
        kl = ct.latent.kl_per_unit(ct.DiagonalGaussian([[0.0]], [[1 + excess]]))[0, 0]
        # What 1 + excess rounds to is another number than excess.
        assert kl == pytest.approx(exact, rel=1e-13 + 1e-15 / abs(excess))


def test_enclosed_decomposition_holds_the_floating_point_integrals():
    information, aggregate = by_quadrature(*MIXTURE)
    with working_precision(96):
        rate, enclosed_information, enclosed_aggregate = enclosed_decomposition(*MIXTURE)
        assert float(enclosed_information.mid()) == pytest.approx(information, abs=1e-8)
        assert float(enclosed_aggregate.mid()) == pytest.approx(aggregate, abs=1e-8)
        assert max(enclosed_information.rad(), enclosed_aggregate.rad()) < 1e-12
        assert (enclosed_information + enclosed_aggregate).overlaps(rate)
        # The weights must matter: with others the integrals are different ones.
        assert not enclosed_decomposition([1, 1, 1], *MIXTURE[1:])[1].overlaps(enclosed_information)


def test_estimates_are_within_their_errors_of_the_integrals():
    # Equal users with multiplicity stand for weights.
    rows = np.repeat([0, 1, 2], [200, 400, 200])
    q = ct.DiagonalGaussian(MIXTURE[1][rows, None], MIXTURE[2][rows, None])
    split = ct.latent.decompose_kl(q, rng=np.random.default_rng(0), samples=4)
    information, aggregate = by_quadrature(*MIXTURE)
    for estimate, exact in ((split.information, information), (split.aggregate, aggregate)):
        assert abs(estimate.value - exact) < 4 * estimate.standard_error
        assert estimate.standard_error < 0.05
    assert abs(split.gap) < 4 * split.standard_error
    assert split.rate == pytest.approx(information + aggregate, rel=1e-7)


def test_standard_error_is_the_spread_of_repeated_estimates():
    rng = np.random.default_rng(1)
    q = ct.DiagonalGaussian(rng.normal(size=(40, 2)), rng.uniform(0.3, 1.5, (40, 2)))
    splits = [ct.latent.decompose_kl(q, rng=np.random.default_rng(seed), samples=3) for seed in range(300)]
    for name in ("information", "aggregate"):
        values = np.array([getattr(split, name).value for split in splits])
        errors = np.array([getattr(split, name).standard_error for split in splits])
        assert np.sqrt((errors**2).mean()) == pytest.approx(values.std(), rel=0.15)
    gaps = np.array([split.gap for split in splits])
    assert abs(gaps.mean()) < 4 * gaps.std() / math.sqrt(len(gaps))
    # On different draws the gap varies; on the same ones it would be the closed form's error alone.
    spreads = [np.std([getattr(split, name).value for split in splits]) for name in ("information", "aggregate")]
    assert gaps.std() == pytest.approx(math.hypot(*spreads), rel=0.2)


def test_far_users_have_all_the_information_and_one_user_has_none():
    far = ct.DiagonalGaussian(100.0 * np.arange(7.0)[:, None], np.full((7, 1), 0.5))
    assert ct.latent.decompose_kl(far, rng=np.random.default_rng(0)).information.value == pytest.approx(math.log(7))
    same = ct.DiagonalGaussian(np.full((7, 2), 1.0), np.full((7, 2), 0.5))
    split = ct.latent.decompose_kl(same, rng=np.random.default_rng(0))
    assert abs(split.information.value) < 1e-12
    assert abs(split.gap) < 5 * split.standard_error


def test_mixture_is_the_plain_sum_of_densities_far_from_the_origin():
    rng = np.random.default_rng(2)
    mu, sigma = 1e4 + rng.normal(size=(6, 3)), rng.uniform(0.2, 2.0, (6, 3))
    moved = ct.latent.decompose_kl(ct.DiagonalGaussian(mu, sigma), rng=np.random.default_rng(5)).information.value
    home = ct.latent.decompose_kl(ct.DiagonalGaussian(mu - 1e4, sigma), rng=np.random.default_rng(5)).information.value
    assert moved == pytest.approx(home, rel=1e-9)


def test_active_units_are_those_whose_means_vary():
    rng = np.random.default_rng(0)
    mu = np.zeros((500, 4))
    mu[:, 0] = rng.normal(size=500)
    mu[:, 1] = 0.05 * rng.normal(size=500)
    mu[:, 2] = 3.0
    q = ct.DiagonalGaussian(mu, np.ones((500, 4)))
    found = ct.latent.collapse(q)
    assert found.active.tolist() == [True, False, False, False]
    assert (found.n_active, found.share_active, found.is_collapsed) == (1, 0.25, False)
    # Off the prior for everybody: a KL term without information.
    assert found.kl[2] == pytest.approx(4.5)
    assert ct.latent.collapse(ct.DiagonalGaussian(mu[:, 1:], np.ones((500, 3)))).is_collapsed
    assert ct.latent.collapse(q, threshold=1e-4).n_active == 2


def test_contraction_compares_pair_by_pair_across_dimensions():
    rng = np.random.default_rng(0)
    before = ct.DiagonalGaussian(rng.normal(size=(6, 3)), rng.uniform(0.5, 1.0, (6, 3)))
    after = ct.DiagonalGaussian(rng.normal(size=(6, 2)), rng.uniform(0.5, 1.0, (6, 2)))
    found = ct.latent.contraction(before, after)
    expected = [
        [ct.latent.w2(q[[i]], q[[j]])[0] for i, j in itertools.combinations(range(6), 2)] for q in (before, after)
    ]
    np.testing.assert_allclose([found.before, found.after], expected, rtol=1e-12)
    ratio = np.divide(*expected[::-1])
    assert found.mean_ratio == pytest.approx(sum(expected[1]) / sum(expected[0]))
    assert found.variation == pytest.approx(ratio.std() / ratio.mean())
    shrunk = ct.DiagonalGaussian(np.concatenate([before.mu / 4, before.sigma / 4], 1) + 9, np.ones((6, 6)))
    assert ct.latent.contraction(before, shrunk).mean_ratio == pytest.approx(0.25)
    assert ct.latent.contraction(before, shrunk).variation < 1e-12


def test_coinciding_users_have_no_contraction():
    same = ct.DiagonalGaussian(np.zeros((3, 1)), np.ones((3, 1)))
    found = ct.latent.contraction(same, same)
    assert len(found.ratio) == 0
    assert math.isnan(found.mean_ratio)
    assert math.isnan(found.variation)


def test_misuse_is_refused():
    one = ct.DiagonalGaussian([[0.0]], [[1.0]])
    with pytest.raises(InvalidInput, match="no user"):
        ct.latent.decompose_kl(ct.DiagonalGaussian(np.zeros((0, 1)), np.ones((0, 1))), rng=np.random.default_rng(0))
    with pytest.raises(InvalidInput, match="samples must be"):
        ct.latent.decompose_kl(one, rng=np.random.default_rng(0), samples=1)
    with pytest.raises(InvalidInput, match="at least 2 users"):
        ct.latent.collapse(one)
    with pytest.raises(InvalidInput, match="threshold"):
        ct.latent.collapse(ct.DiagonalGaussian([[0.0], [1.0]], [[1.0], [1.0]]), threshold=-1.0)
    with pytest.raises(InvalidInput, match="same two or more users"):
        ct.latent.contraction(one, one)
    with pytest.raises(InvalidInput, match="equally long"):
        enclosed_decomposition([1.0], [0.0, 1.0], [1.0])
    with pytest.raises(InvalidInput, match="must be positive"):
        enclosed_decomposition([1.0], [0.0], [0.0])
