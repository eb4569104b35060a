import itertools

import numpy as np
import pandas as pd
import pytest

from collabtheory.latent.overlap_integrals import compromise_gap_by_quadrature
from collabtheory.models.posterior import DiagonalGaussian
from collabtheory.portraits.laws import FACTOR, LIKELIHOODS, compromise_table, masking_grid


@pytest.fixture(scope="module")
def grid():
    return masking_grid().set_index(["keep_probability", "delta", "s"])


def enumerated(rho, delta, shared):
    """Probabilities of each distance, by going through every pair of masks."""
    law = np.zeros(delta + shared + 1)
    for kept in itertools.product([0, 1], repeat=delta + 2 * shared):
        alone, both = kept[:delta], np.array(kept[delta:]).reshape(shared, 2)
        distance = sum(alone) + int((both[:, 0] != both[:, 1]).sum())
        ones = sum(kept)
        law[distance] += rho**ones * (1 - rho) ** (len(kept) - ones)
    return law


@pytest.mark.parametrize(("rho", "delta", "shared"), [(0.3, 2, 3), (0.5, 4, 2), (0.9, 1, 4), (0.7, 3, 0)])
def test_the_grid_agrees_with_every_pair_of_masks_gone_through(grid, rho, delta, shared):
    law, row = enumerated(rho, delta, shared), grid.loc[(rho, delta, shared)]
    distances = np.arange(len(law))
    assert row["contracts"] == pytest.approx(law[distances < delta].sum(), abs=1e-12)
    assert row["expands"] == pytest.approx(law[distances > delta].sum(), abs=1e-12)
    assert row["mean"] == pytest.approx((law * distances).sum())
    assert row["tail"] == pytest.approx(law[distances <= FACTOR * delta + 1e-9].sum(), abs=1e-12)


def test_bounds_lie_above_the_tail_where_they_speak_of_it(grid):
    speaks = grid["hoeffding"].notna()
    below = (FACTOR * grid.index.get_level_values("delta") <= grid["mean"]).to_numpy()
    assert 0.2 < speaks.mean() < 1.0
    assert (speaks == below).all()
    assert (grid["tail"] <= grid["chernoff"] * (1 + 1e-12))[speaks].all()
    assert (grid["chernoff"] <= grid["hoeffding"] * (1 + 1e-12))[speaks].all()


def test_compromise_of_pairs_is_the_integral_of_every_likelihood():
    rng = np.random.default_rng(0)
    n = 12
    p = DiagonalGaussian(rng.standard_normal((n, 1)), rng.uniform(0.5, 1.5, (n, 1)))
    q = DiagonalGaussian(rng.standard_normal((n, 1)), rng.uniform(0.5, 1.5, (n, 1)))
    sizes = pd.DataFrame({"n_u": 5, "n_v": rng.integers(4, 9, n), "shared_items": rng.integers(0, 4, n)})
    delta = sizes["n_u"] + sizes["n_v"] - 2 * sizes["shared_items"]
    pairs = sizes.assign(u=np.arange(n), v=np.arange(n) + 100, input_distance=delta)
    found = compromise_table(pairs, p, q, rng=rng, n_samples=2000)
    assert len(found) == n * len(LIKELIHOODS)
    for likelihood, rows in found.groupby("likelihood"):
        exact = compromise_gap_by_quadrature(likelihood, p, q, *(sizes[name].to_numpy(float) for name in sizes))
        assert (np.abs(rows["gap"] - exact) < 6 * rows["standard_error"] + 1e-6 * exact).all()
        assert (rows["lower"] <= exact * (1 + 1e-9)).all()
        assert (exact <= rows["upper"] * (1 + 1e-9)).all()
        assert (exact <= rows["full"] * (1 + 1e-9)).all()
