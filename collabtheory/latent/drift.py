r"""Neighbourhood drift: how many of a user's nearest latent neighbours survive another draw of masks.

Measured on a model; :mod:`~collabtheory.latent.drift_prediction` predicts it from the inputs alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy import sparse

from collabtheory.errors import InvalidInput, PremiseNotMet
from collabtheory.latent.neighbours import nearest
from collabtheory.models.masking import encoder_input
from collabtheory.models.posterior import DiagonalGaussian
from collabtheory.models.recommender import Recommender
from collabtheory.stats import Estimate, grouped_jackknife


@dataclass(frozen=True, eq=False)
class NeighbourhoodDrift:
    """Jaccard overlaps of neighbourhoods, ``(users,)`` each, in [0, 1]; drift is one minus them.

    Parameters
    ----------
    between_draws
        Mean over all pairs of mask draws of the overlap of the user's neighbourhoods in the two.
    with_clean
        Mean over draws of the overlap with the neighbourhood of the clean inputs.
    by_chance
        The overlap of two neighbourhoods drawn at random: ``E|A & B|`` over ``E|A | B|``.
    """

    between_draws: np.ndarray
    with_clean: np.ndarray
    by_chance: float

    @property
    def mean_between_draws(self) -> Estimate:
        """Mean over users with a 95 % interval (jackknife over groups of users, given the draws)."""
        return mean_over_users(self.between_draws)

    @property
    def mean_with_clean(self) -> Estimate:
        """Mean over users with a 95 % interval."""
        return mean_over_users(self.with_clean)


def neighbourhood_drift(
    recommender: Recommender,
    contents: sparse.csr_array,
    k: int,
    *,
    n_draws: int = 4,
    rng: np.random.Generator,
) -> NeighbourhoodDrift:
    r"""Measure the Jaccard overlap of users' ``k`` nearest latent neighbours (in ``W_2``) between mask draws.

    .. math:: J_u = \frac{|N_k^{(a)}(u) \cap N_k^{(b)}(u)|}{|N_k^{(a)}(u) \cup N_k^{(b)}(u)|}

    In each draw every user has a mask of its own, in the model's convention and with its keep probability.

    Parameters
    ----------
    recommender
        A model whose encoder layers are known.
    contents
        Binary contents, ``(users, items)``; neighbours are sought among them.
    k
        Neighbours per user.
    n_draws
        Draws of masks, at least 2.
    rng
        Source of the masks.

    Raises
    ------
    PremiseNotMet
        If the encoder's layers are not known.
    InvalidInput
        If there are fewer than two draws, or ``k`` is not between 1 and the number of other users.

    Notes
    -----
    Ties in distance go to the smaller row number in every draw, which counts as overlap.

    Examples
    --------
    >>> from collabtheory.models import ModelSpec, MultVAE, from_mult_vae
    >>> model = from_mult_vae(MultVAE(ModelSpec(hidden=(4,), latent=2), 3, np.random.default_rng(0)))
    >>> x = sparse.csr_array(np.eye(3)[[0, 1, 2, 0]])
    >>> drift = neighbourhood_drift(model, x, 3, rng=np.random.default_rng(1))
    >>> drift.between_draws.tolist(), drift.by_chance
    ([1.0, 1.0, 1.0, 1.0], 1.0)
    """
    if n_draws < 2:
        raise InvalidInput(f"n_draws must be at least 2; it is {n_draws}")
    clean = np.asarray(nearest(recommender.posterior(contents), k).indices)
    draws = [np.asarray(nearest(masked_posterior(recommender, contents, rng), k).indices) for _ in range(n_draws)]
    between = [neighbour_overlap(draws[a], draws[b]) for a in range(n_draws) for b in range(a)]
    with_clean = [neighbour_overlap(clean, draw) for draw in draws]
    expected = k * k / (contents.shape[0] - 1)
    return NeighbourhoodDrift(np.mean(between, 0), np.mean(with_clean, 0), expected / (2 * k - expected))


@torch.no_grad()
def masked_posterior(
    recommender: Recommender, contents: sparse.csr_array, rng: np.random.Generator
) -> DiagonalGaussian:
    """Return the posteriors of inputs that are masked once each, in the model's own convention, float64.

    Raises
    ------
    PremiseNotMet
        If the encoder's layers are not known, so that nobody can mask its input.
    """
    layers = recommender.layers
    if layers is None:
        raise PremiseNotMet("the encoder's layers are not known, so its input cannot be masked")
    inputs = encoder_input(
        contents,
        layers.masking,  # type: ignore[arg-type]
        keep_probability=layers.keep_probability,
        rng=rng,
        dtype=layers.mean_head.weight.dtype,
    )
    hidden = layers.trunk(inputs)
    sigma = torch.exp(0.5 * layers.log_variance_head(hidden).double())
    return DiagonalGaussian(layers.mean_head(hidden).double().numpy(), sigma.numpy())


def neighbour_overlap(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the Jaccard overlap of two neighbourhoods per user.

    Parameters
    ----------
    first, second
        Row numbers ``(users, k)``, no number twice in a row.

    Raises
    ------
    InvalidInput
        If the shapes differ or there is no neighbour.

    Examples
    --------
    >>> neighbour_overlap(np.array([[1, 2], [0, 2]]), np.array([[2, 3], [2, 0]])).round(3).tolist()
    [0.333, 1.0]
    """
    if first.shape != second.shape or first.ndim != 2 or first.shape[1] < 1:
        raise InvalidInput(f"both must be (users, k), k >= 1; their shapes are {first.shape} and {second.shape}")
    common = (first[:, :, None] == second[:, None, :]).sum((1, 2))
    return np.asarray(common / (2 * first.shape[1] - common))


def mean_over_users(values: np.ndarray) -> Estimate:
    """Return the mean with a 95 % interval from leaving out groups of users."""
    users = np.arange(len(values))
    return grouped_jackknife(lambda chosen: float(np.mean(values[chosen])), users, users)
