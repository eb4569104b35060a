"""Enclosures of W_1 against closed forms, mpmath, sums over a fine grid, and optimal transport."""

import math

import mpmath
import numpy as np
import ot
import pytest
from flint import arb
from scipy import stats

import collabtheory as ct
from collabtheory.errors import InvalidInput
from collabtheory.latent.enclosed_wasserstein import enclosed_comonotone_cost, enclosed_w1_on_a_line
from collabtheory.rigor import working_precision


def contains(enclosure, value, error=0.0):
    """Whether the enclosure is narrow and meets the value to the error that the value has."""
    assert enclosure.rad() < 1e-9 * max(1.0, float(enclosure.mid()))
    return abs(float(enclosure.mid()) - value) <= error + 1e-9 * max(1.0, value)


@pytest.mark.parametrize("d", [1, 2, 3, 5])
@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_equal_spreads_give_the_chi_mean_at_every_scale(d, scale):
    exact = scale * math.sqrt(2) * math.gamma((d + 1) / 2) / math.gamma(d / 2)
    with working_precision(128):
        assert enclosed_comonotone_cost([0.0] * d, [scale] * d).overlaps(arb(exact) * arb("1 +/- 1e-15"))


def test_rice_mean_in_the_plane():
    # E||m + Z|| in two dimensions, by the Laguerre function in 40 digits.
    mpmath.mp.dps = 40
    m = mpmath.mpf("1.5")
    exact = mpmath.sqrt(mpmath.pi / 2) * mpmath.hyp1f1(-0.5, 1, -(m**2) / 2)
    with working_precision(128):
        found = enclosed_comonotone_cost([0.0, 1.5], [1.0, -1.0])
        assert found.overlaps(arb(mpmath.nstr(exact, 35)))
        assert found.rad() < 1e-17


@pytest.mark.parametrize("case", [((0.3, -2.0), (1.0, 0.25)), ((0.0, 1.0), (2.0, 0.1))])
def test_plane_against_a_sum_over_a_fine_grid(case):
    dm, ds = case

    # Equally spaced points: exponentially accurate but for the kink of the norm at one point.
    t = np.linspace(-9, 9, 1801)
    a, b = np.meshgrid(t, t)
    weights = stats.norm.pdf(a) * stats.norm.pdf(b) * (t[1] - t[0]) ** 2
    value = np.sum(np.hypot(dm[0] + ds[0] * a, dm[1] + ds[1] * b) * weights)
    with working_precision(128):
        assert contains(enclosed_comonotone_cost(dm, ds), value, 1e-5)


@pytest.mark.parametrize(
    ("mu", "sigma"),
    [((0.0, 3.0), (1.0, 1.0)), ((0.5, -1.0), (1.0, 0.25)), ((0.0, 40.0), (1.0, 1.01)), ((2.0, 2.0), (0.5, 3.0))],
)
def test_line_against_quantiles_and_the_folded_normal_mean(mu, sigma):
    m, s = mu[0] - mu[1], sigma[0] - sigma[1]
    folded = stats.foldnorm.mean(abs(m) / abs(s), scale=abs(s)) if s else abs(m)
    with working_precision(128):
        found = enclosed_w1_on_a_line(mu, sigma)
        assert contains(found, folded)
        assert found.overlaps(enclosed_comonotone_cost([m], [s]))
    levels = (np.arange(200_000) + 0.5) / 200_000
    quantiles = [stats.norm.ppf(levels, a, b) for a, b in zip(mu, sigma, strict=True)]
    assert contains(found, np.abs(quantiles[0] - quantiles[1]).mean(), 1e-3)


def test_bounds_hold_the_enclosed_cost_and_transport_between_samples_is_not_below():
    rng = np.random.default_rng(0)
    for d in (2, 3):
        dm, ds = np.round(rng.normal(size=(2, d)) * 8) / 8
        p = ct.DiagonalGaussian(dm[None] + 0.0, np.full((1, d), 4.0) + ds)
        q = ct.DiagonalGaussian(np.zeros((1, d)), np.full((1, d), 4.0))
        bounds = ct.latent.w1_bounds(p, q)
        with working_precision(128):
            exact = enclosed_comonotone_cost(dm, ds)
            assert arb(float(bounds.lower[0])) <= exact * (1 + arb("1e-14"))
            assert exact <= arb(float(bounds.upper[0])) <= exact * (1 + arb("2e-6"))
        x, y = (law.sample(500, rng, noise="independent")[0] for law in (p, q))
        assert ot.emd2([], [], ot.dist(x, y, metric="euclidean")) >= 0.9 * float(bounds.lower[0])


def test_nothing_between_equal_laws():
    assert enclosed_comonotone_cost([0.0, 0.0], [0.0, 0.0]) == 0
    assert float(enclosed_w1_on_a_line((1.0, 1.0), (2.0, 2.0)).abs_upper()) < 1e-12


def test_misuse_is_refused():
    with pytest.raises(InvalidInput, match="equally long"):
        enclosed_comonotone_cost([0.0], [1.0, 1.0])
    with pytest.raises(InvalidInput, match="dm must be finite"):
        enclosed_comonotone_cost([math.nan], [1.0])
    with pytest.raises(InvalidInput, match="sigma must be positive"):
        enclosed_w1_on_a_line((0.0, 1.0), (1.0, 0.0))
