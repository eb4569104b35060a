"""DiagonalGaussian refuses nonsense at the door and says where it is."""

import numpy as np
import pytest
import torch

import collabtheory as ct
from collabtheory.errors import InvalidInput


def test_stands_at_the_top_of_the_package():
    assert ct.DiagonalGaussian([[0.0]], [[1.0]]).n_users == 1


@pytest.mark.parametrize(
    ("mu", "sigma", "message"),
    [
        ([[0.0, np.nan]], [[1.0, 1.0]], r"mu must be finite; mu\[0, 1\] is nan"),
        ([[0.0, 1.0]], [[1.0, np.inf]], r"sigma must be finite; sigma\[0, 1\]"),
        ([[0.0], [1.0]], [[1.0], [0.0]], r"sigma is a standard deviation and must be positive; sigma\[1, 0\] is 0.0"),
        ([[0.0]], [[-1.0]], r"sigma\[0, 0\] is -1.0"),
        ([[0.0, 1.0]], [[1.0]], r"same shape; they have \(1, 2\) and \(1, 1\)"),
        ([0.0, 1.0], [1.0, 1.0], r"2-D"),
        (np.zeros((3, 0)), np.zeros((3, 0)), "no dimension"),
        ([["a"]], [[1.0]], "numbers"),
        ([[0.0], [0.0, 1.0]], [[1.0]], "rectangular"),
    ],
)
def test_nonsense_is_refused_with_its_place(mu, sigma, message):
    with pytest.raises(InvalidInput, match=message):
        ct.DiagonalGaussian(mu, sigma)


def test_torch_tensors_are_checked_and_kept():
    q = ct.DiagonalGaussian(torch.zeros(2, 3), torch.ones(2, 3))
    assert isinstance(q.mu, torch.Tensor)
    with pytest.raises(InvalidInput, match=r"sigma\[1, 2\]"):
        ct.DiagonalGaussian(torch.zeros(2, 3), torch.tensor([[1.0, 1, 1], [1, 1, 0]]))


def test_no_user_is_allowed():
    assert len(ct.DiagonalGaussian(np.zeros((0, 4)), np.ones((0, 4)))) == 0


def test_samples_have_the_posterior_moments_and_common_noise_is_common():
    q = ct.DiagonalGaussian([[1.0, -2.0], [5.0, 0.0]], [[0.5, 2.0], [1.0, 3.0]])
    codes = q.sample(200_000, np.random.default_rng(0), noise="independent")
    np.testing.assert_allclose(codes.mean(1), q.mu, atol=0.03)
    np.testing.assert_allclose(codes.std(1), q.sigma, rtol=0.02)
    common = q.sample(5, np.random.default_rng(0))
    noise = (common - q.mu[:, None, :]) / q.sigma[:, None, :]
    np.testing.assert_allclose(noise[0], noise[1], rtol=1e-12, atol=1e-12)
    with pytest.raises(InvalidInput, match="n_samples"):
        q.sample(0, np.random.default_rng(0))
    with pytest.raises(InvalidInput, match="noise"):
        q.sample(1, np.random.default_rng(0), noise="same")
