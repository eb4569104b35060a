"""EASE against one ridge regression per column, its memory against the operating system, and what it refuses."""

import subprocess
import sys
import textwrap
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from scipy import sparse

from collabtheory.errors import DataError, InvalidInput, NumericalFailure
from collabtheory.models import ModelSpec, MultVAE, save_model
from collabtheory.models.ease import EaseSpec, fit_ease, invert_in_place, predicted_bytes
from collabtheory.models.item_gram import co_occurrence_blocks, dense_co_occurrence, free_memory
from collabtheory.models.linear import LinearItemModel
from collabtheory.models.linear_checkpoints import load_linear, save_linear


def contents(seed=0, users=40, items=12, density=0.3):
    x = np.random.default_rng(seed).random((users, items)) < density
    return sparse.csr_array(x.astype(np.float32))


def ridge_column(x, j, l2):
    """The best predictor of column j from the others, by least squares on data stacked with sqrt(l2) I."""
    others = np.delete(np.arange(x.shape[1]), j)
    design = np.vstack([x[:, others], np.sqrt(l2) * np.eye(len(others))])
    target = np.concatenate([x[:, j], np.zeros(len(others))])
    column = np.zeros(x.shape[1])
    column[others] = np.linalg.lstsq(design, target, rcond=None)[0]
    return column


@pytest.mark.parametrize(("items", "l2"), [(12, 0.5), (12, 50.0), (1, 3.0), (300, 5.0)])
def test_every_column_is_the_ridge_regression_on_the_other_items(items, l2):
    x = contents(items=items)
    weights = fit_ease(x, EaseSpec(l2=l2)).weights
    for j in range(0, items, 25 if items > 12 else 1):
        np.testing.assert_allclose(weights[:, j], ridge_column(x.toarray().astype(float), j, l2), atol=1e-10)
    assert (np.diag(weights) == 0).all()


def test_clipping_only_removes_the_negative_weights():
    x = contents()
    free, clipped = fit_ease(x, EaseSpec(l2=2.0)), fit_ease(x, EaseSpec(l2=2.0, clip_negative=True))
    np.testing.assert_array_equal(clipped.weights, np.where(free.weights > 0, free.weights, 0))
    assert free.negative_share() == (free.weights < 0).sum() / (12 * 11) > 0
    assert clipped.negative_share() == clipped.negative_sum() == 0
    assert free.positive_sum() == pytest.approx(clipped.weights.sum())
    assert free.positive_sum() + free.negative_sum() == pytest.approx(free.weights.sum())


def test_items_of_nobody_get_no_weight_and_the_input_is_left_alone():
    x = contents()
    x = sparse.csr_array(x.multiply((np.arange(12) != 5)[None, :].astype(np.float32)))
    x.eliminate_zeros()
    before = x.copy()
    weights = fit_ease(x, EaseSpec(l2=2.0)).weights
    assert not weights[5].any()
    assert not weights[:, 5].any()
    assert not np.signbit(weights[5]).any()
    np.testing.assert_array_equal(x.toarray(), before.toarray())


def test_scores_add_the_weights_of_the_items_a_user_has():
    x, model = contents(), fit_ease(contents(), EaseSpec(l2=2.0))
    expected = [model.weights[np.flatnonzero(row)].sum(0) for row in x.toarray()]
    np.testing.assert_allclose(model.scores(x), expected, atol=1e-12)
    assert LinearItemModel(model.weights.astype(np.float32)).scores(x).dtype == np.float32
    assert model.scores(x[:0]).shape == (0, 12)


@pytest.mark.parametrize("max_entries", [1, 30, 10**6])
def test_co_occurrence_is_the_product_whatever_the_blocks(max_entries):
    x = contents(users=200)
    dense = x.toarray().astype(int)
    blocks = list(co_occurrence_blocks(x, max_entries))
    np.testing.assert_array_equal(np.vstack([counts.toarray() for _, counts in blocks]), dense.T @ dense)
    assert [rows.start for rows, _ in blocks[1:]] == [rows.stop for rows, _ in blocks[:-1]]
    assert all(counts.nnz <= max_entries or counts.shape[0] == 1 for _, counts in blocks)
    np.testing.assert_array_equal(dense_co_occurrence(x), dense.T @ dense)


def test_the_inverse_is_made_in_place_for_more_items_than_a_block():
    x = contents(users=900, items=600)
    matrix = dense_co_occurrence(x) + 3 * np.eye(600)
    inverse = matrix.copy()
    tracemalloc.start()
    invert_in_place(inverse)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    np.testing.assert_allclose(inverse @ matrix, np.eye(600), atol=1e-9)
    np.testing.assert_array_equal(inverse, inverse.T)
    assert peak < matrix.nbytes


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x: x * 5, "binary; it holds 5.0"),
        (lambda x: x * np.nan, "binary; it holds nan"),
        (lambda x: x.tocsc(), "csr_array"),
        (lambda x: x.toarray(), "csr_array"),
        (lambda x: x[:0], "must have a user"),
        (lambda x: sparse.csr_array((np.ones(3), [1, 0, 1], [0, 3]), shape=(1, 2)), "twice"),
    ],
)
def test_what_is_not_a_binary_matrix_is_refused(change, message):
    with pytest.raises(InvalidInput, match=message):
        fit_ease(change(contents()))


def test_unsorted_columns_are_not_duplicates():
    x = sparse.csr_array((np.ones(3), [1, 0, 1], [0, 2, 3]), shape=(2, 2))
    np.testing.assert_allclose(fit_ease(x, EaseSpec(l2=1.0)).weights, [[0, 1 / 2], [1 / 3, 0]])


def test_contents_of_other_items_are_refused():
    model = fit_ease(contents())
    with pytest.raises(InvalidInput, match="12 columns"):
        model.scores(contents(items=11))


def test_weights_that_are_no_model_are_refused():
    for weights, message in (
        (np.zeros((2, 3)), "items, items"),
        (np.zeros((2, 2), int), "float64"),
        (np.array([[0, np.inf], [0, 0]]), "finite"),
    ):
        with pytest.raises(InvalidInput, match=message):
            LinearItemModel(weights)


def test_memory_is_announced_and_refused_before_anything_is_allocated():
    x = sparse.csr_array((np.ones(1), [0], [0, 1]), shape=(1, 100_000))
    plans = []
    tracemalloc.start()
    with pytest.raises(InvalidInput, match=r"100,000 items need 75\.1 GiB at the peak; 1 GiB may be used"):
        fit_ease(x, memory_limit=2**30, on_memory=plans.append)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [(plan.n_items, plan.predicted, plan.limit) for plan in plans] == [
        (100_000, predicted_bytes(100_000, 1), 2**30)
    ]
    assert peak < 2**20


def test_the_limit_is_what_the_machine_has_free():
    plans = []
    fit_ease(contents(), on_memory=plans.append)
    assert plans[0].limit == pytest.approx(free_memory(), rel=0.2)
    assert 2**26 < free_memory() < 2**46


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak of a process is read from /proc")
def test_the_peak_is_close_to_the_prediction():
    """The resident peak of a fresh process, over what it had before the fit."""
    program = """
        import re
        from pathlib import Path
        import numpy as np
        from scipy import sparse
        from collabtheory.models.ease import EaseSpec, fit_ease, predicted_bytes
        rng = np.random.default_rng(0)
        def contents(users, items):
            places = np.unique(rng.integers(0, users * items, 40 * users))
            return sparse.csr_array((np.ones(len(places)), (places // items, places % items)), shape=(users, items))
        fit_ease(contents(50, 50))
        x = contents(1000, 2000)
        peak = lambda: 1024 * int(re.search("VmHWM:[^0-9]*([0-9]+) kB", Path("/proc/self/status").read_text())[1])
        before = peak()
        fit_ease(x, EaseSpec(l2=10.0))
        print((peak() - before) / predicted_bytes(2000, x.nnz), 8 * 2000**2 / predicted_bytes(2000, x.nnz))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, check=True, timeout=280
    )
    measured, result_alone = map(float, done.stdout.split())
    assert result_alone * 0.9 < measured < 1.05
    assert result_alone > 0.5


def test_a_singular_problem_says_so():
    twins = sparse.csr_array(np.ones((3, 2)))
    with pytest.raises(NumericalFailure, match="raise l2"):
        fit_ease(twins, EaseSpec(l2=1e-300))


def test_a_checkpoint_has_the_same_bits_and_others_are_refused(tmp_path):
    model = fit_ease(contents(), EaseSpec(l2=2.0))
    save_linear(tmp_path / "ease", model, {"spec": EaseSpec(l2=2.0).model_dump(mode="json")})
    loaded = load_linear(tmp_path / "ease")
    np.testing.assert_array_equal(loaded.model.weights, model.weights)
    assert loaded.about["spec"] == {"l2": 2.0, "clip_negative": False}
    save_model(tmp_path / "vae", MultVAE(ModelSpec(hidden=(3,), latent=2), 4, np.random.default_rng(0)), {})
    with pytest.raises(DataError, match="not one of a linear item model"):
        load_linear(tmp_path / "vae")
    with pytest.raises(DataError, match="No such file"):
        load_linear(tmp_path / "missing")
    broken = model.weights.copy()
    # Past the check of the constructor, as a damaged file would be.
    object.__setattr__(model, "weights", np.where(broken == broken.max(), np.nan, broken))
    save_linear(tmp_path / "broken", model, {})
    with pytest.raises(DataError, match="finite"):
        load_linear(tmp_path / "broken")
