"""How far masking moves a user's posterior mean: the measured side of Proposition 3.2."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy import sparse

from collabtheory.errors import InvalidInput, PremiseNotMet
from collabtheory.models.masking import encoder_input
from collabtheory.models.recommender import EncoderLayers, Recommender


@dataclass(frozen=True)
class MaskStability:
    """What masking does to each user's posterior mean, ``(users,)`` each, in squared latent units and latent units.

    ``variance`` is the total (summed over dimensions) variance over masks, without bias; ``distance`` the mean distance
    to the user's centroid. ``between_users`` is the total variance of the users' mean positions: what a variance over
    masks has to be held against, since shrinking the whole latent space shrinks both.
    """

    variance: np.ndarray
    distance: np.ndarray
    between_users: float

    @property
    def relative_variance(self) -> np.ndarray:
        """Variance over masks as a share of that between users, ``(users,)``; unchanged by a change of scale."""
        return self.variance / self.between_users


def masked_means(
    recommender: Recommender, contents: sparse.csr_array, n_masks: int, *, rng: np.random.Generator
) -> np.ndarray:
    """Return posterior means of masked inputs, in the model's own masking convention.

    Parameters
    ----------
    recommender
        A model whose encoder layers are known.
    contents
        Binary, ``(users, items)``.
    n_masks
        Independent masks per user.
    rng
        Source of the masks. Models with the same keep probability see the same masks for the same state of ``rng``.

    Returns
    -------
    numpy.ndarray
        ``(n_masks, users, d)``, float64.

    Raises
    ------
    InvalidInput
        If ``n_masks`` is below 1.
    PremiseNotMet
        If the encoder's layers are not known, so that nobody can mask its input.

    Examples
    --------
    >>> from collabtheory.models import ModelSpec, MultVAE, from_mult_vae
    >>> model = MultVAE(ModelSpec(hidden=(4,), latent=2), 3, np.random.default_rng(0))
    >>> x = sparse.csr_array(np.eye(3))
    >>> masked_means(from_mult_vae(model), x, 5, rng=np.random.default_rng(1)).shape
    (5, 3, 2)
    """
    if n_masks < 1:
        raise InvalidInput(f"n_masks must be at least 1; it is {n_masks}")
    if recommender.layers is None:
        raise PremiseNotMet("the encoder's layers are not known, so its input cannot be masked")
    return np.stack([_means(recommender.layers, contents, rng) for _ in range(n_masks)])


def mask_stability(means: np.ndarray, centroids: np.ndarray) -> MaskStability:
    """Return variance over masks and distance to the centroids of masked posterior means.

    Parameters
    ----------
    means
        ``(n_masks, users, d)``, at least two masks, see :func:`masked_means`.
    centroids
        ``(users, d)``.

    Raises
    ------
    InvalidInput
        If there are fewer than two masks or the shapes do not fit.

    Examples
    --------
    >>> found = mask_stability(np.array([[[0.0, 1.0]], [[2.0, 1.0]]]), np.array([[1.0, 1.0]]))
    >>> found.variance.tolist(), found.distance.tolist()
    ([2.0], [1.0])
    """
    if means.ndim != 3 or len(means) < 2:
        raise InvalidInput(f"means must be (masks, users, d) with at least two masks; their shape is {means.shape}")
    if centroids.shape != means.shape[1:]:
        raise InvalidInput(f"centroids must be (users, d) = {means.shape[1:]}; their shape is {centroids.shape}")
    return MaskStability(
        variance=means.var(axis=0, ddof=1).sum(-1),
        distance=np.linalg.norm(means - centroids, axis=-1).mean(0),
        between_users=float(means.mean(0).var(axis=0).sum()),
    )


@torch.no_grad()
def _means(layers: EncoderLayers, contents: sparse.csr_array, rng: np.random.Generator) -> np.ndarray:
    inputs = encoder_input(
        contents,
        layers.masking,  # type: ignore[arg-type]
        keep_probability=layers.keep_probability,
        rng=rng,
        dtype=layers.mean_head.weight.dtype,
    )
    means: np.ndarray = layers.mean_head(layers.trunk(inputs)).double().numpy()
    return means
