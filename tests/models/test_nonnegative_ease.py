"""The constrained fit against nonnegative least squares per column, against all supports, and its certificate."""

import itertools
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from scipy import optimize, sparse

from collabtheory.errors import InvalidInput, NumericalFailure
from collabtheory.models import nonnegative_ease
from collabtheory.models.ease import EaseSpec, fit_ease
from collabtheory.models.nonnegative_ease import NonnegativeEaseSpec, fit_nonnegative_ease, optimality, predicted_bytes


def contents(seed=0, users=60, items=15, groups=3):
    """Users of a few tastes, so that many unconstrained weights are negative."""
    rng = np.random.default_rng(seed)
    taste, kind = rng.integers(0, groups, users), rng.integers(0, groups, items)
    likes = rng.random((users, items)) < np.where(taste[:, None] == kind, 0.6, 0.1)
    return sparse.csr_array(likes.astype(np.float32))


def by_scipy(x, l2, targets):
    """Lawson and Hanson's method on the data stacked with sqrt(l2) I, one target after the other."""
    n = x.shape[1]
    columns = []
    for j in targets:
        others = np.delete(np.arange(n), j)
        design = np.vstack([x[:, others], np.sqrt(l2) * np.eye(n - 1)])
        column = np.zeros(n)
        column[others] = optimize.nnls(design, np.concatenate([x[:, j], np.zeros(n - 1)]))[0]
        columns.append(column)
    return np.array(columns).T


def loss(x, weights, l2):
    return np.sum((x - x @ weights) ** 2) + l2 * np.sum(weights**2)


@pytest.mark.parametrize("l2", [0.1, 2.0, 50.0])
@pytest.mark.parametrize("warm_up", [0, 1, 20])
def test_weights_are_those_of_nonnegative_least_squares(l2, warm_up):
    x = contents()
    fit = fit_nonnegative_ease(x, NonnegativeEaseSpec(l2=l2, warm_up=warm_up))
    expected = by_scipy(x.toarray().astype(float), l2, range(15))
    np.testing.assert_allclose(fit.model.weights, expected, atol=1e-8)
    assert (expected == 0).sum() > 15
    assert fit.model.negative_share() == 0


def test_several_blocks_of_items_are_solved_as_one_is():
    x = contents(items=300, users=200)
    weights = fit_nonnegative_ease(x, NonnegativeEaseSpec(l2=5.0)).model.weights
    targets = [0, 130, 255, 256, 299]
    np.testing.assert_allclose(weights[:, targets], by_scipy(x.toarray().astype(float), 5.0, targets), atol=1e-8)


def test_no_support_gives_a_lower_loss():
    """All sets of positive weights of each target, by brute force."""
    x, l2 = contents(items=5).toarray().astype(float), 1.0
    best = np.zeros((5, 5))
    for j in range(5):
        lowest = np.sum(x[:, j] ** 2)
        for size in range(1, 5):
            for support in map(list, itertools.combinations([i for i in range(5) if i != j], size)):
                part = np.linalg.solve(x[:, support].T @ x[:, support] + l2 * np.eye(size), x[:, support].T @ x[:, j])
                value = np.sum((x[:, j] - x[:, support] @ part) ** 2) + l2 * part @ part
                if (part >= 0).all() and value < lowest:
                    lowest, best[:, j] = value, 0
                    best[support, j] = part
    fit = fit_nonnegative_ease(contents(items=5), NonnegativeEaseSpec(l2=l2))
    np.testing.assert_allclose(fit.model.weights, best, atol=1e-10)
    assert fit.optimality.objective == pytest.approx(loss(x, best, l2))


def test_the_optimality_conditions_hold():
    x = contents(seed=3, items=40)
    weights = fit_nonnegative_ease(x, NonnegativeEaseSpec(l2=3.0)).model.weights
    dense = x.toarray().astype(float)
    gradient = dense.T @ (dense @ weights - dense) + 3.0 * weights
    np.fill_diagonal(gradient, 0)
    assert gradient.min() > -1e-8
    assert np.abs(gradient[weights > 0]).max() < 1e-8


def test_the_gap_bounds_the_loss_above_the_minimum_and_the_distance_to_it():
    x, l2 = contents(seed=1), 2.0
    dense = x.toarray().astype(float)
    best = by_scipy(dense, l2, range(15))
    rng = np.random.default_rng(0)
    for scale in (0.0, 1e-3, 0.1, 1.0):
        weights = np.maximum(best + scale * rng.standard_normal(best.shape), 0)
        np.fill_diagonal(weights, 0)
        reached = optimality(x, weights, l2)
        assert reached.objective == pytest.approx(loss(dense, weights, l2))
        assert reached.gap >= loss(dense, weights, l2) - loss(dense, best, l2) - 1e-9
        assert reached.weight_error >= np.linalg.norm(weights - best) - 1e-6
    assert optimality(x, best, l2).relative_gap < 1e-12


def test_clipping_after_the_fit_is_another_model_with_a_higher_loss():
    x, l2 = contents(seed=2), 2.0
    constrained = fit_nonnegative_ease(x, NonnegativeEaseSpec(l2=l2))
    clipped = fit_ease(x, EaseSpec(l2=l2, clip_negative=True)).weights
    assert optimality(x, clipped, l2).objective > constrained.optimality.objective + 1
    assert optimality(x, clipped, l2).relative_gap > 0.01


def test_the_guess_is_nearly_right():
    """It decides how long the fit takes, which no other test would notice."""
    x, spec = contents(users=400, items=120), NonnegativeEaseSpec(l2=20.0)
    ridge = (x.T @ x).toarray() + 20.0 * np.eye(120)
    guess = nonnegative_ease._guess(ridge.astype(float), spec)
    weights = fit_nonnegative_ease(x, spec).model.weights
    assert np.mean(guess != (weights.T > 0)) < 0.005


def test_single_exchanges_end_at_the_optimum_too(monkeypatch):
    monkeypatch.setattr(nonnegative_ease, "_PATIENCE", -1)
    x = contents(seed=4)
    weights = fit_nonnegative_ease(x, NonnegativeEaseSpec(l2=1.0, warm_up=0)).model.weights
    np.testing.assert_allclose(weights, by_scipy(x.toarray().astype(float), 1.0, range(15)), atol=1e-8)


def test_a_fit_that_does_not_end_names_its_gap():
    with pytest.raises(
        NumericalFailure, match=r"relative duality gap of \d\.\de[-+]\d\d in 0 exchanges, above 1.0e-09"
    ):
        fit_nonnegative_ease(contents(), NonnegativeEaseSpec(l2=1.0, warm_up=0, max_exchanges=0))
    with pytest.raises(NumericalFailure, match="raise l2"):
        fit_nonnegative_ease(sparse.csr_array(np.ones((3, 3))), NonnegativeEaseSpec(l2=1e-300))


def test_items_of_nobody_and_a_single_item_get_no_weight():
    dense = contents().toarray()
    dense[:, 5] = 0
    weights = fit_nonnegative_ease(sparse.csr_array(dense), NonnegativeEaseSpec(l2=1.0)).model.weights
    assert not weights[5].any()
    assert not weights[:, 5].any()
    single = fit_nonnegative_ease(sparse.csr_array(np.ones((4, 1))), NonnegativeEaseSpec(l2=1.0))
    assert single.model.weights.tolist() == [[0.0]]
    assert (single.optimality.objective, single.optimality.gap) == (4.0, 0.0)


def test_what_is_not_a_binary_matrix_or_too_large_is_refused():
    with pytest.raises(InvalidInput, match="binary"):
        fit_nonnegative_ease(contents() * 2)
    plans = []
    with pytest.raises(InvalidInput, match=r"10 items need .* may be used"):
        fit_nonnegative_ease(contents(items=10), memory_limit=1000, on_memory=plans.append)
    assert plans[0].limit == 1000
    for weights in (np.full((15, 15), -1.0), np.ones((15, 15)), np.zeros((2, 2)), np.full((15, 15), np.nan)):
        with pytest.raises(InvalidInput, match="zero diagonal"):
            optimality(contents(), weights, 1.0)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak of a process is read from /proc")
def test_the_peak_is_close_to_the_prediction():
    program = """
        import re
        from pathlib import Path
        import numpy as np
        from scipy import sparse
        from collabtheory.models.nonnegative_ease import *
        rng = np.random.default_rng(0)
        def contents(users, items):
            places = np.unique(rng.integers(0, users * items, 2 * users))
            return sparse.csr_array((np.ones(len(places)), (places // items, places % items)), shape=(users, items))
        fit_nonnegative_ease(contents(50, 50))
        x = contents(300, 1200)
        peak = lambda: 1024 * int(re.search("VmHWM:[^0-9]*([0-9]+) kB", Path("/proc/self/status").read_text())[1])
        before = peak()
        fit_nonnegative_ease(x, NonnegativeEaseSpec(l2=100.0, warm_up=1))
        print((peak() - before) / predicted_bytes(1200, x.nnz))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, check=True, timeout=280
    )
    # What the matrix products pack their operands into differs from processor to processor.
    assert 0.7 < float(done.stdout) < 1.2


def test_the_prediction_grows_with_the_square_of_the_items():
    assert predicted_bytes(40_000) == pytest.approx(4 * predicted_bytes(20_000), rel=0.01)
    assert predicted_bytes(20_000) == pytest.approx(28 * 20_000**2, rel=0.01)
