"""Sparsity of hand-built codes; information against Gaussian channels and quadrature."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import integrate, special, stats

from collabtheory.errors import InvalidInput
from collabtheory.latent.code_sparsity import code_sparsity, hoyer, participation_ratio
from collabtheory.latent.mutual_information import gaussian_information_bound, mutual_information
from collabtheory.models.posterior import DiagonalGaussian


@pytest.mark.parametrize("n_used", [1, 2, 5, 9, 16])
def test_equal_entries_on_some_units_have_the_closed_form_sparsity(n_used: int) -> None:
    values = np.zeros((1, 16))
    values[0, :n_used] = 3.0
    assert hoyer(values)[0] == pytest.approx((4 - math.sqrt(n_used)) / 3)
    assert participation_ratio(values)[0] == pytest.approx(n_used)


@pytest.mark.parametrize("scale", [1e-200, 1.0, 1e200])
def test_sparsity_does_not_depend_on_scale(scale: float) -> None:
    values = np.abs(np.random.default_rng(0).standard_normal((5, 8)))
    np.testing.assert_allclose(hoyer(scale * values), hoyer(values), rtol=1e-12)
    np.testing.assert_allclose(participation_ratio(scale * values), participation_ratio(values), rtol=1e-12)


def test_code_at_the_prior_spends_nothing_and_has_no_sparsity() -> None:
    found = code_sparsity(DiagonalGaussian([[0.0, 0.0], [2.0, 0.0]], [[1.0, 1.0], [1.0, 1.0]]))
    assert found.kl.tolist() == [0.0, 2.0]
    assert found.active_units.tolist() == [0.0, 1.0]
    assert np.isnan(found.hoyer_kl[0])
    assert found.hoyer_kl[1] == 1.0


def test_kl_spent_is_that_of_quadrature() -> None:
    mu, sigma = [1.3, -0.2], [0.6, 1.7]

    def integral(m: float, s: float) -> float:
        def integrand(z: float) -> float:
            return float(stats.norm.pdf(z, m, s) * (stats.norm.logpdf(z, m, s) - stats.norm.logpdf(z)))

        return float(integrate.quad(integrand, m - 12 * s, m + 12 * s)[0])

    total = sum(map(integral, mu, sigma))
    assert code_sparsity(DiagonalGaussian([mu], [sigma])).kl[0] == pytest.approx(total, rel=1e-8)


def test_one_dimension_has_no_sparsity() -> None:
    with pytest.raises(InvalidInput, match="one dimension"):
        code_sparsity(DiagonalGaussian([[1.0]], [[1.0]]))


def test_information_of_a_gaussian_channel_is_within_estimate_and_bound() -> None:
    # mu ~ N(0, s^2), sigma = 1: I = d/2 log(1 + s^2); small enough not to saturate.
    rng = np.random.default_rng(0)
    q = DiagonalGaussian(0.8 * rng.standard_normal((1000, 3)), np.ones((1000, 3)))
    truth = 1.5 * math.log(1 + 0.64)
    found = mutual_information(q, rng=rng, samples=4)
    assert not found.is_saturated
    assert found.information.value == pytest.approx(truth, abs=0.08)
    assert found.upper == pytest.approx(truth, abs=0.08)
    assert found.information.value < found.upper + 3 * found.information.standard_error
    assert (found.n_active, found.n_users) == (3, 1000)


def test_bound_stays_informative_where_the_estimate_saturates() -> None:
    rng = np.random.default_rng(0)
    weak, strong = (DiagonalGaussian(s * rng.standard_normal((200, 40)), np.ones((200, 40))) for s in (3.0, 6.0))
    found = [mutual_information(q, rng=rng) for q in (weak, strong)]
    assert all(one.is_saturated for one in found)
    assert found[0].information.value == pytest.approx(found[1].information.value, abs=0.01)
    assert found[0].upper + 10 < found[1].upper


def test_bound_is_never_below_the_information_of_two_users() -> None:
    rng = np.random.default_rng(1)
    grid = np.linspace(-20, 20, 20_001)
    for _ in range(30):
        mu, sigma = 2 * rng.standard_normal((2, 1)), rng.uniform(0.2, 2, (2, 1))
        logs = stats.norm.logpdf(grid, mu, sigma)
        gain = np.exp(logs) * (logs - special.logsumexp(logs, axis=0) + math.log(2))
        exact = float(integrate.trapezoid(gain, grid).mean())
        assert 0 <= exact <= gaussian_information_bound(DiagonalGaussian(mu, sigma)) + 1e-9


def test_same_posterior_for_everybody_tells_nothing() -> None:
    found = mutual_information(
        DiagonalGaussian(np.full((50, 4), 0.7), np.full((50, 4), 0.5)), rng=np.random.default_rng(0)
    )
    assert found.information.value == pytest.approx(0.0, abs=1e-9)
    assert found.upper == pytest.approx(0.0, abs=1e-9)
    assert found.n_active == 0
    assert found.rate > 0
