import numpy as np
import pytest
from scipy import sparse

from collabtheory.portraits import item_weights as module
from collabtheory.portraits.item_weights import item_weights


def test_weights_of_a_hand_solved_catalogue_are_counted_by_sign():
    # Items 0 and 1 occur together, item 2 only without item 1.
    x = sparse.csr_array(np.array([[1, 1, 0], [1, 1, 0], [1, 0, 1]], dtype=np.float64))
    p = np.linalg.inv((x.T @ x).toarray() + np.eye(3))
    b = -p / np.diag(p)
    off = b[~np.eye(3, dtype=bool)]
    found = item_weights(x, l2=1.0)
    assert (sum(found["positive"]), sum(found["negative"])) == ((off > 0).sum(), (off < 0).sum())
    assert found["share_negative"] == pytest.approx((off < 0).mean())
    assert found["mass_negative"] == pytest.approx(-off[off < 0].sum() / np.abs(off).sum())
    assert found["edges"][-1] == pytest.approx(np.abs(off).max())


def test_a_large_catalogue_is_cut_to_its_most_popular_items_and_says_so(monkeypatch):
    monkeypatch.setattr(module, "MOST_ITEMS", 2)
    x = sparse.csr_array(np.array([[1, 0, 1], [1, 0, 1], [1, 1, 0]], dtype=np.float64))
    found = item_weights(x, l2=1.0)
    assert (found["n_items"], found["n_items_all"]) == (2, 3)
    assert sum(found["positive"]) == 2


def test_items_that_never_meet_have_no_weights_at_all():
    found = item_weights(sparse.csr_array(np.eye(3)), l2=1.0)
    assert found["share_negative"] == found["mass_negative"] == 0.0
    assert found["below"] == 6
