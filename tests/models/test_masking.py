"""The two orders of masking and normalising, against formulas written out densely."""

import numpy as np
import pytest
from scipy import sparse

from collabtheory.models import encoder_input

X = np.array([[1, 1, 0, 1, 1], [0, 0, 0, 0, 0], [0, 1, 0, 0, 0]], dtype=float)
ROWS = sparse.csr_array(X)


def _mask(seed, rho):
    """Draw the same mask as the package: one uniform number an interaction, row by row."""
    b = np.zeros_like(X)
    b[X > 0] = np.random.default_rng(seed).random(int(X.sum())) < rho
    return b


def _normalised(x):
    norm = np.linalg.norm(x, axis=1, keepdims=True)
    return np.divide(x, norm, out=np.zeros_like(x), where=norm > 0)


@pytest.mark.parametrize("seed", range(5))
def test_conventions_are_what_they_say(seed):
    rho = 0.5
    b = _mask(seed, rho)
    expected = {
        "normalise_then_mask": _normalised(X) * b / rho,
        "mask_then_normalise": _normalised(X * b),
        "mask_only": X * b,
    }
    for masking, value in expected.items():
        got = encoder_input(ROWS, masking, keep_probability=rho, rng=np.random.default_rng(seed)).to_dense().numpy()
        np.testing.assert_allclose(got, value, rtol=1e-6, err_msg=masking)


@pytest.mark.parametrize(("masking", "value"), [("normalise_then_mask", _normalised(X)), ("mask_only", X)])
def test_nothing_is_masked_or_scaled_at_test_time(masking, value):
    got = encoder_input(ROWS, masking, keep_probability=0.5).to_dense().numpy()
    np.testing.assert_allclose(got, value, rtol=1e-6)


def test_a_user_without_items_is_the_zero_vector():
    assert not encoder_input(ROWS, "mask_then_normalise").to_dense().numpy()[1].any()


def test_expected_share_of_items_is_kept():
    rows = sparse.csr_array(np.ones((200, 100)))
    kept = encoder_input(rows, "mask_only", keep_probability=0.3, rng=np.random.default_rng(0)).to_dense().numpy()
    assert kept.mean() == pytest.approx(0.3, abs=0.01)
