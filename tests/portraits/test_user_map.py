import numpy as np
import pytest
from sklearn.decomposition import PCA

from collabtheory.errors import InvalidInput
from collabtheory.models.posterior import DiagonalGaussian
from collabtheory.portraits.user_map import map_users


def users(rng, n=40, d=5):
    return DiagonalGaussian(rng.standard_normal((n, d)) * np.arange(d, 0, -1), rng.uniform(0.2, 2.0, (n, d)))


def test_principal_axes_are_those_of_scikit_learn_up_to_sign():
    posterior = users(np.random.default_rng(0))
    found = map_users(posterior, rng=np.random.default_rng(1))
    reference = PCA(2).fit(posterior.numpy()[0])
    expected = reference.transform(posterior.numpy()[0])
    assert np.allclose(np.abs(found.principal), np.abs(expected), atol=1e-10)
    assert np.allclose(found.explained, reference.explained_variance_ratio_)


def test_an_ellipse_is_the_covariance_of_codes_drawn_from_the_posterior():
    posterior = users(np.random.default_rng(2), n=6, d=3)
    found = map_users(posterior, rng=np.random.default_rng(3))
    mu, sigma = posterior.numpy()
    axes, *_ = np.linalg.lstsq(mu - mu.mean(0), found.principal, rcond=None)
    drawn = mu[0] + sigma[0] * np.random.default_rng(4).standard_normal((200_000, 3))
    assert np.allclose(np.cov((drawn @ axes).T), found.covariance[0], rtol=0.03, atol=0.01)


def test_flipping_all_codes_changes_no_axis_but_its_sign_is_fixed_by_its_largest_loading():
    posterior = users(np.random.default_rng(5))
    mu, sigma = posterior.numpy()
    found = map_users(posterior, rng=np.random.default_rng(6)).principal
    mirrored = map_users(DiagonalGaussian(-mu, sigma), rng=np.random.default_rng(6)).principal
    assert np.allclose(found, -mirrored)


def test_t_sne_keeps_two_far_groups_apart():
    rng = np.random.default_rng(7)
    mu = np.vstack([rng.standard_normal((30, 4)), rng.standard_normal((30, 4)) + 40])
    found = map_users(DiagonalGaussian(mu, np.ones((60, 4))), rng=rng).neighbourly
    distance = np.linalg.norm(found[:, None] - found[None], axis=-1)
    np.fill_diagonal(distance, np.inf)
    nearest = distance.argmin(1)
    assert ((nearest < 30) == (np.arange(60) < 30)).all()


@pytest.mark.parametrize("rounding", [0.0, 1e-15])
def test_users_at_one_place_are_one_point(rounding):
    mu = np.full((12, 5), 0.3) + rounding * np.random.default_rng(10).standard_normal((12, 5))
    found = map_users(DiagonalGaussian(mu, np.ones((12, 5))), rng=np.random.default_rng(11))
    assert np.array_equal(found.neighbourly, np.zeros((12, 2)))
    assert np.array_equal(found.principal, np.zeros((12, 2)))
    assert np.array_equal(found.explained, np.zeros(2))


def test_equal_sources_give_equal_maps():
    posterior = users(np.random.default_rng(8))
    once, again = (map_users(posterior, rng=np.random.default_rng(9)).neighbourly for _ in range(2))
    assert np.array_equal(once, again)


def test_one_dimension_has_no_map():
    with pytest.raises(InvalidInput, match="2 dimensions"):
        map_users(DiagonalGaussian(np.zeros((9, 1)), np.ones((9, 1))), rng=np.random.default_rng(0))
