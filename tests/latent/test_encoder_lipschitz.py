"""Lemma 2.4 against exhaustive enumeration of small item sets, and against sampled ones."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from torch import nn

import collabtheory as ct
from collabtheory.errors import InvalidInput, PremiseNotMet


def make_encoder(n_items=7, hidden=(5,), d=2, *, seed=0, gain=1.0, activation=nn.Tanh):
    torch.manual_seed(seed)
    widths, modules = (n_items, *hidden), []
    for a, b in itertools.pairwise(widths):
        modules += [nn.Linear(a, b).double(), activation()]
    parts = nn.Sequential(*modules), nn.Linear(widths[-1], d).double(), nn.Linear(widths[-1], d).double()
    for part in parts:
        for parameter in part.parameters():
            parameter.data *= gain
    return parts


def posterior(parts, x, normalise, scale=1.0):
    """The encoder by its modules alone."""
    trunk, mean, log_variance = parts
    x = torch.as_tensor(x, dtype=torch.float64)
    if normalise:
        x = x / x.norm(dim=1, keepdim=True).clamp(min=1e-300)
    hidden = trunk(x * scale)
    return ct.DiagonalGaussian(mean(hidden).detach(), torch.exp(0.5 * log_variance(hidden)).detach())


def all_contents(n_items, n_min, n_max):
    rows = np.array(list(itertools.product([0.0, 1.0], repeat=n_items)))
    return rows[(rows.sum(1) >= n_min) & (rows.sum(1) <= n_max)]


@pytest.mark.parametrize("normalise", [True, False])
@pytest.mark.parametrize("sizes", [(0, 7), (1, 7), (2, 4), (5, 7)])
@pytest.mark.parametrize("shape", [((), nn.Tanh), ((5,), nn.Tanh), ((5, 4), nn.SiLU), ((6,), nn.ReLU)])
def test_certified_constant_holds_for_every_pair_of_item_sets(normalise, sizes, shape):
    for seed, gain in ((0, 1.0), (1, 3.0)):
        parts = make_encoder(hidden=shape[0], activation=shape[1], seed=seed, gain=gain)
        contents = all_contents(7, *sizes)
        bracket = ct.latent.encoder_lipschitz(
            *parts, normalise=normalise, n_min=sizes[0], n_max=sizes[1], input_scale=1.5, contents=contents
        )
        embedded = posterior(parts, contents, normalise, 1.5)
        latent = ct.latent.pairwise_w2(embedded).numpy()
        inputs = np.abs(contents[:, None] - contents).sum(2)
        worst = ct.latent.largest_ratio(latent, inputs)
        assert worst <= bracket.upper
        assert 0 < bracket.lower <= worst * (1 + 1e-12)
        if sizes == (0, 7):
            # Every set is a start, so that the worst flip is the worst pair.
            assert bracket.lower == pytest.approx(worst, rel=1e-12)


def test_bound_is_not_vacuous_at_the_size_of_a_real_encoder():
    torch.manual_seed(0)
    parts = nn.Sequential(nn.Linear(1000, 200), nn.Tanh()), nn.Linear(200, 32), nn.Linear(200, 32)
    for linear in (parts[0][0], *parts[1:]):
        nn.init.xavier_uniform_(linear.weight)
    x = sparse.csr_array((np.random.default_rng(0).random((5, 1000)) < 0.03).astype(float))
    bracket = ct.latent.encoder_lipschitz(*parts, normalise=True, n_min=15, contents=x)
    assert bracket.upper < 10 * bracket.lower
    assert "at least 15" in bracket.region


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), n_items=st.integers(1, 30))
def test_kappa_bounds_normalised_sets_and_is_attained(seed, n_items):
    rng = np.random.default_rng(seed)
    x, y = (rng.random((2, n_items)) < rng.random()).astype(float)

    def unit(row):
        return row / max(np.linalg.norm(row), 1e-300)

    n = min(x.sum(), y.sum())
    assert np.linalg.norm(unit(x) - unit(y)) <= ct.latent.kappa(n) * np.abs(x - y).sum() + 1e-15
    a = np.zeros(n_items + 1)
    a[:n_items] = 1
    b = np.ones(n_items + 1)
    assert np.linalg.norm(unit(a) - unit(b)) == pytest.approx(float(ct.latent.kappa(n_items)), rel=1e-13)


def test_kappa_formula_and_domain():
    sizes = np.array([[1, 2], [50, 10**9]])
    np.testing.assert_allclose(
        ct.latent.kappa(sizes)[:1], np.sqrt(2 - 2 * np.sqrt(sizes[:1] / (sizes[:1] + 1))), rtol=1e-14
    )
    assert ct.latent.kappa(10**9) == pytest.approx(1e-4 / math.sqrt(10), rel=1e-6)  # 1 / sqrt(n + 1), no cancellation
    assert ct.latent.kappa(0) == 1
    assert (np.diff(ct.latent.kappa(np.arange(1, 100))) < 0).all()
    for bad in (-1, 0.5, np.nan):
        with pytest.raises(InvalidInput, match="integers >= 0"):
            ct.latent.kappa(bad)


def test_jacobian_norms_are_those_of_autograd_and_within_the_bound():
    parts = make_encoder(hidden=(5, 4))
    inputs = np.random.default_rng(0).random((4, 7))

    def embed(row):
        hidden = parts[0](row)
        return torch.cat([parts[1](hidden), torch.exp(0.5 * parts[2](hidden))])

    dense = [torch.func.jacrev(embed)(torch.as_tensor(row)).norm(dim=0).max().item() for row in inputs]
    norms = ct.latent.encoder_jacobian_norms(*parts, inputs)
    np.testing.assert_allclose(norms, dense, rtol=1e-12)
    assert norms.max() <= ct.latent.encoder_lipschitz(*parts, normalise=False).upper


def test_bad_arguments_are_refused():
    parts = make_encoder()
    encode = ct.latent.encoder_lipschitz
    for name, value in {"n_min": -1, "n_max": 0, "input_scale": 0.0}.items():
        with pytest.raises(InvalidInput, match=name):
            encode(*parts, normalise=True, **{name: value})
    with pytest.raises(InvalidInput, match="do not fit"):
        encode(parts[0], parts[1], nn.Linear(5, 3), normalise=True)
    with pytest.raises(PremiseNotMet, match="BatchNorm"):
        encode(nn.Sequential(nn.Linear(7, 5), nn.BatchNorm1d(5)), *parts[1:], normalise=True)
    with pytest.raises(InvalidInput, match="differ in shape"):
        ct.latent.largest_ratio([1.0], [1.0, 2.0])
    assert ct.latent.largest_ratio([], []) == 0
