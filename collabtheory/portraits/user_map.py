"""Users in the plane: principal axes of their codes, with each posterior's ellipse, and t-SNE of their distances."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from collabtheory.errors import InvalidInput
from collabtheory.models.posterior import DiagonalGaussian

_ROUNDING = 1e-6
"""Of the largest coordinate: users no farther apart are at one place. Codes and t-SNE are often in float32."""


@dataclass(frozen=True, eq=False)
class UserMap:
    """Two pictures of the same users.

    Parameters
    ----------
    principal
        Posterior means on the two axes along which they vary most, ``(users, 2)``, latent units.
    covariance
        Each posterior's covariance on these axes, ``(users, 2, 2)``: its ellipse.
    explained
        Share of the means' variance that each axis holds, ``(2,)``.
    neighbourly
        t-SNE of the ``W_2`` distances, ``(users, 2)``, in no unit: who is near whom, not how far apart. One point where
        all posteriors are one but for rounding.
    """

    principal: np.ndarray
    covariance: np.ndarray
    explained: np.ndarray
    neighbourly: np.ndarray


def map_users(posterior: DiagonalGaussian, *, rng: np.random.Generator, perplexity: float = 30.0) -> UserMap:
    """Map the posteriors of some users to the plane in two ways.

    Parameters
    ----------
    posterior
        Of at least 4 users, in at least 2 dimensions.
    rng
        Source of what t-SNE draws.
    perplexity
        Of t-SNE, about the number of neighbours that count; less with fewer than 90 users.

    Returns
    -------
    UserMap
        The sign of each axis is that of its largest loading, so that equal codes give equal maps.

    Raises
    ------
    InvalidInput
        With fewer users or dimensions.

    Notes
    -----
    ``W_2`` between diagonal Gaussians is the Euclidean distance of ``(mu, sigma)``, which is what t-SNE (van der
    Maaten and Hinton, 2008; scikit-learn's) is given.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> users = DiagonalGaussian(rng.standard_normal((12, 3)) * [3.0, 1.0, 0.1], np.ones((12, 3)))
    >>> found = map_users(users, rng=rng)
    >>> found.principal.shape, bool(found.explained[0] > found.explained[1])
    ((12, 2), True)
    """
    mu, sigma = posterior.numpy()
    if mu.shape[0] < 4 or mu.shape[1] < 2:
        raise InvalidInput(f"a map needs at least 4 users and 2 dimensions; there are {mu.shape[0]} and {mu.shape[1]}")
    centred = np.zeros_like(mu) if _at_one_place(mu) else mu - mu.mean(0)
    _, lengths, axes = np.linalg.svd(centred, full_matrices=False)
    axes = axes[:2] * np.sign(axes[np.arange(2), np.abs(axes[:2]).argmax(1)])[:, None]
    total = max(float((lengths**2).sum()), np.finfo(np.float64).tiny)
    covariance = np.einsum("aj,uj,bj->uab", axes, sigma**2, axes)
    return UserMap(centred @ axes.T, covariance, lengths[:2] ** 2 / total, _t_sne(mu, sigma, rng, perplexity))


def _at_one_place(points: np.ndarray) -> bool:
    return bool(np.ptp(points, axis=0).max() <= _ROUNDING * np.abs(points).max())


def _t_sne(mu: np.ndarray, sigma: np.ndarray, rng: np.random.Generator, perplexity: float) -> np.ndarray:
    from sklearn.manifold import TSNE

    points = np.hstack([mu, sigma])
    if _at_one_place(points):
        # Its start divides by their spread: what follows is made of rounding, or of NaN that ends the process.
        return np.zeros((len(points), 2))
    fitted = TSNE(
        perplexity=min(perplexity, (len(mu) - 1) / 3),
        init="pca",
        random_state=int(rng.integers(2**31)),
        n_jobs=1,
    )
    return np.asarray(fitted.fit_transform(points), dtype=np.float64)
