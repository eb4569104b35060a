"""Item neighbours against all pairs by hand, in bounded memory."""

import tracemalloc

import numpy as np
import pytest
from scipy import sparse

from collabtheory.errors import InvalidInput
from collabtheory.models.item_knn import ItemKnnSpec, fit_item_knn


def by_hand(x, k, shrinkage):
    """Similarities item by item from sets of users; neighbours by a stable sort."""
    users = [set(np.flatnonzero(column)) for column in x.T]
    n = len(users)
    result = np.zeros((n, n))
    for j in range(n):
        of_j = {}
        for i in range(n):
            if i != j and users[i] & users[j]:
                of_j[i] = len(users[i] & users[j]) / (np.sqrt(len(users[i]) * len(users[j])) + shrinkage)
        for i in sorted(of_j, key=lambda i: (-of_j[i], i))[:k]:
            result[i, j] = of_j[i]
    return result


@pytest.mark.parametrize(("k", "shrinkage"), [(1, 0.0), (3, 10.0), (50, 2.5)])
@pytest.mark.parametrize("max_entries", [1, 40, 10**6])
def test_neighbours_are_the_most_similar_items(k, shrinkage, max_entries):
    x = np.random.default_rng(1).random((25, 14)) < 0.2
    x[:, 4] = False
    model = fit_item_knn(
        sparse.csr_array(x.astype(np.float32)), ItemKnnSpec(k=k, shrinkage=shrinkage), max_entries=max_entries
    )
    expected = by_hand(x, k, shrinkage)
    np.testing.assert_allclose(model.similarities.toarray(), expected, atol=1e-12)
    np.testing.assert_allclose(model.scores(sparse.csr_array(x.astype(np.float32))), x @ expected, atol=1e-12)


def test_ties_go_to_the_smaller_item_number():
    model = fit_item_knn(sparse.csr_array(np.ones((2, 5))), ItemKnnSpec(k=2))
    neighbours = [np.flatnonzero(column).tolist() for column in model.similarities.toarray().T]
    assert neighbours == [[1, 2], [0, 2], [0, 1], [0, 1], [0, 1]]


def test_memory_stays_far_below_all_pairs():
    """30,000 items, 900 million pairs: dense similarities would take 7 GiB."""
    n_items, per_user = 30_000, 30
    rng = np.random.default_rng(0)
    items = (rng.random((2_000, per_user)) ** 3 * n_items).astype(int)
    users = np.repeat(np.arange(len(items)), per_user)
    x = sparse.csr_array((np.ones(items.size), (users, items.ravel())), shape=(len(items), n_items))
    x.data[:] = 1
    tracemalloc.start()
    model = fit_item_knn(x, ItemKnnSpec(k=5), max_entries=100_000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100 * 100_000 + 20 * x.nnz + 80 * model.similarities.nnz
    assert np.diff(model.similarities.tocsc().indptr).max() == 5


def test_ratings_and_contents_of_other_items_are_refused():
    with pytest.raises(InvalidInput, match="binary"):
        fit_item_knn(sparse.csr_array([[4.0, 0.0]]))
    with pytest.raises(InvalidInput, match="2 columns"):
        fit_item_knn(sparse.csr_array([[1.0, 1.0]])).scores(sparse.csr_array((1, 3)))
