"""What a shared decoder pays, against minimisation by scipy, entropies by scipy, dblquad, mpmath and brute force."""

import itertools

import mpmath
import numpy as np
import pytest
from scipy import integrate, optimize, special, stats

from collabtheory.errors import InvalidInput
from collabtheory.latent import (
    compromise_gap,
    compromise_gap_bounds,
    compromise_gap_by_quadrature,
    jensen_gap,
    log_affinity,
    pointwise_gap,
)
from collabtheory.latent.compromise_gap import conjugate, mass_entropy, surprise
from collabtheory.latent.posterior_overlap import geometric_mean, log_ratio, log_ratio_size
from collabtheory.models.posterior import DiagonalGaussian
from collabtheory.rigor import Decision, compare, enclosed, rationals, working_precision

FAMILIES = ("bernoulli", "gaussian", "multinomial", "poisson")
X_U, X_V = np.array([1.0, 1, 0, 0, 1, 0]), np.array([1.0, 0, 1, 1, 1, 0])
SIZES = 3.0, 4.0, 2.0


def losses(family, eta, x):
    """Negative log-likelihoods written out anew, up to terms without eta."""
    return {
        "bernoulli": lambda: -np.sum(x * -np.logaddexp(0, -eta) + (1 - x) * -np.logaddexp(0, eta)),
        "gaussian": lambda: 0.5 * np.sum((eta - x) ** 2) - 0.5 * np.sum(x**2),
        "multinomial": lambda: -np.sum(x * (eta - special.logsumexp(eta))),
        "poisson": lambda: np.sum(np.exp(eta) - eta * x),
    }[family]()


def least(family, weighted):
    found = optimize.minimize(
        lambda eta: sum(w * losses(family, eta, x) for w, x in weighted),
        np.zeros(len(X_U)),
        method="BFGS",
        options={"gtol": 1e-9},
    )
    return found.fun


def gaussian_pair(dm, s, t):
    return DiagonalGaussian(np.zeros((1, len(s))), np.array([s])), DiagonalGaussian(np.array([dm]), np.array([t]))


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("w", [0.1, 0.5, 0.9])
def test_the_gap_is_what_a_free_decoder_loses(family, w):
    joint = least(family, [(w, X_U), (1 - w, X_V)])
    own = least(family, [(w, X_U)]) + least(family, [(1 - w, X_V)])
    assert pointwise_gap(family, w, 1 - w, *SIZES) == pytest.approx(joint - own, rel=1e-4)
    assert -conjugate(family, X_U) == pytest.approx(least(family, [(1.0, X_U)]), abs=1e-4)


def test_closed_forms_are_entropies_and_divergences_of_scipy():
    a, b = 0.3, 1.1
    w = a / (a + b)
    assert pointwise_gap("bernoulli", a, b, *SIZES) == pytest.approx((a + b) * 3 * stats.entropy([w, 1 - w]))
    assert pointwise_gap("gaussian", a, b, *SIZES) == pytest.approx(0.5 * 3 * a * b / (a + b))
    n = a * 3 + b * 4
    pi, p_u, p_v = a * 3 / n, X_U / 3, X_V / 4
    mixed = pi * p_u + (1 - pi) * p_v
    divergence = pi * stats.entropy(p_u, mixed) + (1 - pi) * stats.entropy(p_v, mixed)
    assert pointwise_gap("multinomial", a, b, *SIZES) == pytest.approx(n * divergence)
    assert pointwise_gap("poisson", a, b, *SIZES) == pytest.approx(
        -(a + b) * (w * np.log(w) + 2 * (1 - w) * np.log(1 - w))
    )


@pytest.mark.parametrize("family", FAMILIES)
def test_the_closed_form_is_the_jensen_gap_of_all_small_sets(family):
    for x_u, x_v in itertools.product(itertools.product((0.0, 1.0), repeat=4), repeat=2):
        x, y = np.array(x_u), np.array(x_v)
        closed = pointwise_gap(family, 0.3, 0.9, x.sum(), y.sum(), (x * y).sum())
        assert closed == pytest.approx(jensen_gap(family, 0.3, 0.9, x, y), abs=1e-14)
        empty = family == "multinomial" and min(x.sum(), y.sum()) == 0
        assert (closed > 0) == (x_u != x_v and not empty)


@pytest.mark.parametrize("family", FAMILIES)
def test_tiny_and_lopsided_weights_keep_their_digits(family):
    mpmath.mp.dps = 60
    for a, b in ((1e-12, 1.0), (1.0, 1e-18), (3e-200, 7e-190), (1e-308, 0.3)):
        x, y = mpmath.mpf(a), mpmath.mpf(b)

        def entropy(s, t):
            return s * mpmath.log(1 + t / s) + t * mpmath.log(1 + s / t)

        wanted = {
            "bernoulli": 3 * entropy(x, y),
            "gaussian": mpmath.mpf(3) / 2 * x * y / (x + y),
            "poisson": x * mpmath.log(1 + y / x) + 2 * y * mpmath.log(1 + x / y),
            "multinomial": entropy(3 * x, 4 * y) - 2 * entropy(x, y),
        }[family]
        assert pointwise_gap(family, a, b, *SIZES) == pytest.approx(float(wanted), rel=1e-13)


def test_weights_of_zero_cost_nothing_and_are_no_nan():
    for family in FAMILIES:
        assert pointwise_gap(family, 0.0, 2.0, *SIZES) == 0.0
        assert pointwise_gap(family, 0.0, 0.0, *SIZES) == 0.0
    assert np.array_equal(surprise([0.0, 1.0], [1.0, 0.0]), [0.0, 0.0])
    assert mass_entropy(5e-324, 1.0) > 0


def test_proportional_counts_have_no_multinomial_gap_and_a_poisson_gap():
    x = np.array([1.0, 2.0, 0.0])
    assert jensen_gap("multinomial", 0.4, 0.6, x, 3 * x) == pytest.approx(0.0, abs=1e-14)
    assert jensen_gap("poisson", 0.4, 0.6, x, 3 * x) > 0.1


def test_users_of_one_size_pay_half_the_bernoulli_gap_as_multinomial():
    half = pointwise_gap("bernoulli", 0.2, 0.7, 5, 5, 2) / 2
    assert pointwise_gap("multinomial", 0.2, 0.7, 5, 5, 2) == pytest.approx(half, rel=1e-14)


@pytest.mark.parametrize("family", FAMILIES)
def test_enclosures_contain_the_float_and_narrow_with_precision(family):
    with working_precision(200):
        gap = pointwise_gap(family, *enclosed([0.3, 0.9]), 3, 4, 2)
    assert float(gap) == pytest.approx(float(pointwise_gap(family, 0.3, 0.9, *SIZES)), rel=1e-14)
    assert gap.rad() < 1e-50
    assert compare(0, "<", gap) is Decision.TRUE


def test_the_gaussian_gap_is_exact_in_rationals():
    a, b = rationals([0.25, 0.75])
    x, y = rationals([1, 0, 2]), rationals([0, 0, 5])
    assert str(jensen_gap("gaussian", a, b, x, y)) == "15/16"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("poisso", 1.0, 1.0, 1, 1, 1), "unknown likelihood 'poisso'"),
        (("bernoulli", -1.0, 1.0, 1, 1, 1), "q_u must be nonnegative"),
        (("bernoulli", np.nan, 1.0, 1, 1, 1), "q_u must be nonnegative"),
        (("bernoulli", 1.0, 1.0, 1, 1, 2), "shared must not exceed"),
    ],
)
def test_impossible_arguments_are_named(arguments, message):
    with pytest.raises(InvalidInput, match=message):
        pointwise_gap(*arguments)


def test_affinity_geometric_mean_and_log_ratio_match_scipy_densities():
    p, q = gaussian_pair([1.0], [0.7], [1.9])
    f, g = stats.norm(0.0, 0.7), stats.norm(1.0, 1.9)
    area = integrate.quad(lambda z: np.sqrt(f.pdf(z) * g.pdf(z)), -20, 20)[0]
    assert np.exp(log_affinity(p, q))[0] == pytest.approx(area, rel=1e-9)
    middle = geometric_mean(p, q)
    z = np.array([-1.0, 0.3, 2.5])
    assert stats.norm(middle.mu[0, 0], middle.sigma[0, 0]).pdf(z) == pytest.approx(np.sqrt(f.pdf(z) * g.pdf(z)) / area)
    assert log_ratio(p, q, z[None, :, None])[0] == pytest.approx(f.logpdf(z) - g.logpdf(z))
    second = integrate.quad(lambda t: np.sqrt(f.pdf(t) * g.pdf(t)) / area * (f.logpdf(t) - g.logpdf(t)) ** 2, -20, 20)[
        0
    ]
    assert log_ratio_size(p, q)[0] == pytest.approx(np.sqrt(second), rel=1e-8)


def test_affinity_and_log_ratio_size_add_up_over_dimensions():
    rng = np.random.default_rng(1)
    p = DiagonalGaussian(rng.normal(size=(1, 3)), rng.uniform(0.5, 2, (1, 3)))
    q = DiagonalGaussian(rng.normal(size=(1, 3)), rng.uniform(0.5, 2, (1, 3)))
    one = [
        log_affinity(DiagonalGaussian(p.mu[:, [j]], p.sigma[:, [j]]), DiagonalGaussian(q.mu[:, [j]], q.sigma[:, [j]]))
        for j in range(3)
    ]
    assert log_affinity(p, q) == pytest.approx(np.sum(one, axis=0))
    codes = geometric_mean(p, q).sample(200_000, rng)
    assert np.sqrt((log_ratio(p, q, codes) ** 2).mean()) == pytest.approx(log_ratio_size(p, q)[0], rel=0.02)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("dm", "s", "t"), [([1.0], [0.7], [1.9]), ([6.0], [1.0], [1.0]), ([0.0], [0.5], [0.5])])
def test_quadrature_in_one_dimension_is_scipys(family, dm, s, t):
    p, q = gaussian_pair(dm, s, t)
    f, g = stats.norm(0.0, s[0]), stats.norm(dm[0], t[0])
    wanted = integrate.quad(
        lambda z: pointwise_gap(family, f.pdf(z), g.pdf(z), *SIZES),
        -15,
        20,
        points=(0.0, dm[0]),
        limit=200,
        epsabs=1e-13,
    )[0]
    found = compromise_gap_by_quadrature(family, p, q, [3], [4], [2])[0]
    assert found == pytest.approx(wanted, rel=1e-8)


def test_quadrature_in_two_dimensions_is_dblquad():
    p, q = gaussian_pair([1.0, -0.5], [1.0, 0.6], [0.8, 1.2])
    f = [stats.norm(0.0, 1.0).pdf, stats.norm(0.0, 0.6).pdf]
    g = [stats.norm(1.0, 0.8).pdf, stats.norm(-0.5, 1.2).pdf]

    def integrand(y, x):
        a, b = f[0](x) * f[1](y), g[0](x) * g[1](y)
        return 0.5 * 3 * a * b / (a + b)

    wanted = integrate.dblquad(integrand, -6, 7, -6, 6, epsabs=1e-5, epsrel=1e-5)[0]
    assert compromise_gap_by_quadrature("gaussian", p, q, [3], [4], [2])[0] == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize("proposal", ["affinity", "mixture"])
@pytest.mark.parametrize("family", FAMILIES)
def test_importance_sampling_covers_quadrature_as_often_as_it_says(family, proposal):
    p, q = gaussian_pair([1.5], [0.8], [1.2])
    repeats = 400
    many = (
        DiagonalGaussian(np.repeat(p.mu, repeats, 0), np.repeat(p.sigma, repeats, 0)),
        DiagonalGaussian(np.repeat(q.mu, repeats, 0), np.repeat(q.sigma, repeats, 0)),
    )
    sizes = [np.full(repeats, n) for n in SIZES]
    exact = compromise_gap_by_quadrature(family, p, q, [3], [4], [2])[0]
    rng = np.random.default_rng(5)
    found = compromise_gap(family, *many, *sizes, n_samples=200, rng=rng, proposal=proposal)
    errors = (found.value - exact) / found.standard_error
    assert np.mean(np.abs(errors) < 1.96) == pytest.approx(0.95, abs=0.04)
    assert abs(found.value.mean() - exact) < 5 * found.value.std() / np.sqrt(repeats)


def test_draws_do_not_depend_on_how_pairs_are_blocked(monkeypatch):
    from collabtheory.latent import overlap_integrals

    rng = np.random.default_rng(0)
    p = DiagonalGaussian(rng.normal(size=(7, 4)), rng.uniform(0.5, 2, (7, 4)))
    q = DiagonalGaussian(rng.normal(size=(7, 4)), rng.uniform(0.5, 2, (7, 4)))
    sizes = [np.full(7, n) for n in SIZES]
    whole = compromise_gap("poisson", p, q, *sizes, n_samples=16, rng=np.random.default_rng(3))
    monkeypatch.setattr(overlap_integrals, "BLOCK_ENTRIES", 100)
    blocked = compromise_gap("poisson", p, q, *sizes, n_samples=16, rng=np.random.default_rng(3))
    assert np.array_equal(whole.value, blocked.value)


@pytest.mark.parametrize("proposal", ["affinity", "mixture"])
def test_disjoint_posteriors_and_equal_contents_give_zero_and_no_nan(proposal):
    p = DiagonalGaussian(np.zeros((2, 8)), np.full((2, 8), 1e-3))
    q = DiagonalGaussian(np.full((2, 8), 50.0), np.full((2, 8), 1e-3))
    for family in FAMILIES:
        options = {"n_samples": 8, "rng": np.random.default_rng(0), "proposal": proposal}
        far = compromise_gap(family, p, q, [3, 3], [4, 4], [2, 2], **options)
        assert np.array_equal(far.value, [0.0, 0.0])
        assert np.array_equal(far.standard_error, [0.0, 0.0])
        same = compromise_gap(family, p, p, [3, 3], [3, 3], [3, 3], **options)
        assert np.array_equal(same.value, [0.0, 0.0])


@pytest.mark.parametrize("family", FAMILIES)
def test_equal_posteriors_give_the_largest_gap_without_error(family):
    rng = np.random.default_rng(2)
    p = DiagonalGaussian(rng.normal(size=(1, 20)), rng.uniform(0.5, 2, (1, 20)))
    found = compromise_gap(family, p, p, [3], [4], [2], n_samples=4, rng=rng)
    assert found.value[0] == pytest.approx(float(pointwise_gap(family, 1.0, 1.0, *SIZES)), rel=1e-12)
    assert found.standard_error[0] < 1e-14


@pytest.mark.parametrize("family", FAMILIES)
def test_the_gap_falls_as_means_move_apart_also_with_different_widths(family):
    values = [
        compromise_gap_by_quadrature(family, *gaussian_pair([d], [0.6], [1.3]), [3], [4], [2])[0]
        for d in (0.0, 0.5, 1.0, 2.0, 4.0)
    ]
    assert np.all(np.diff(values) < 0)


@pytest.mark.parametrize("family", FAMILIES)
def test_bounds_bracket_quadrature_for_many_sizes_and_overlaps(family):
    rng = np.random.default_rng(7)
    n = 120
    p = DiagonalGaussian(rng.normal(size=(n, 1)) * 3, rng.uniform(0.2, 2, (n, 1)))
    q = DiagonalGaussian(rng.normal(size=(n, 1)) * 3, rng.uniform(0.2, 2, (n, 1)))
    n_p, n_q = rng.integers(1, 40, n), rng.integers(1, 40, n)
    shared = np.floor(rng.random(n) * (np.minimum(n_p, n_q) + 1))
    exact = compromise_gap_by_quadrature(family, p, q, n_p, n_q, shared)
    bounds = compromise_gap_bounds(family, p, q, n_p, n_q, shared)
    assert np.all(bounds.lower <= exact * (1 + 1e-9) + 1e-300)
    assert np.all(exact <= bounds.upper * (1 + 1e-9) + 1e-300)


@pytest.mark.parametrize("family", ["bernoulli", "gaussian"])
def test_bounds_meet_where_posteriors_are_equal(family):
    p = DiagonalGaussian(np.zeros((1, 3)), np.ones((1, 3)))
    bounds = compromise_gap_bounds(family, p, p, [3], [4], [2])
    assert bounds.lower == pytest.approx(bounds.upper)
    assert bounds.upper[0] == pytest.approx(float(pointwise_gap(family, 1.0, 1.0, *SIZES)))


def test_misuse_is_refused_at_the_door():
    p = DiagonalGaussian(np.zeros((1, 3)), np.ones((1, 3)))
    rng = np.random.default_rng(0)
    with pytest.raises(InvalidInput, match="at least 2"):
        compromise_gap("bernoulli", p, p, [3], [4], [2], n_samples=1, rng=rng)
    with pytest.raises(InvalidInput, match="unknown proposal"):
        compromise_gap("bernoulli", p, p, [3], [4], [2], n_samples=8, rng=rng, proposal="uniform")
    with pytest.raises(InvalidInput, match=r"n_q must have shape \(1,\)"):
        compromise_gap("bernoulli", p, p, [3], [4, 4], [2], n_samples=8, rng=rng)
    with pytest.raises(InvalidInput, match="1 or 2 dimensions"):
        compromise_gap_by_quadrature("bernoulli", p, p, [3], [4], [2])
    with pytest.raises(InvalidInput, match="row by row"):
        log_affinity(p, DiagonalGaussian(np.zeros((2, 3)), np.ones((2, 3))))
