"""Posteriors of masked inputs, for models whose layers are known and for those that only say how they mask."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeAlias

import numpy as np
from scipy import sparse

from collabtheory.errors import InvalidInput, PremiseNotMet
from collabtheory.latent.drift import NeighbourhoodDrift, masked_posterior, neighbour_overlap
from collabtheory.latent.neighbours import nearest
from collabtheory.models.posterior import DiagonalGaussian
from collabtheory.models.recommender import Recommender

EncodeMasked: TypeAlias = Callable[[sparse.csr_array, np.random.Generator], tuple[np.ndarray, np.ndarray]]
"""Maps contents and a source of masks to ``(mu, sigma)`` of inputs masked once each, as in the model's training."""


def masked_posteriors(
    recommender: Recommender,
    contents: sparse.csr_array,
    n_draws: int,
    *,
    rng: np.random.Generator,
    keep_probability: float | None = None,
    encode_masked: EncodeMasked | None = None,
) -> tuple[DiagonalGaussian, ...]:
    """Return the posteriors of inputs masked as in the model's training, one for each draw of masks.

    Parameters
    ----------
    recommender
        The model; its layers say how its input is masked.
    contents
        Binary contents, ``(users, items)``.
    n_draws
        Draws of masks, at least 1; in each every user has a mask of its own.
    rng
        Source of the masks.
    keep_probability
        In (0, 1], in place of the model's own.
    encode_masked
        How to mask a model without known layers; it has a keep probability of its own.

    Raises
    ------
    PremiseNotMet
        If neither the layers nor ``encode_masked`` are known.
    InvalidInput
        If ``n_draws`` or ``keep_probability`` is out of range, or both of the last two arguments are given.

    Examples
    --------
    >>> from collabtheory.models import ModelSpec, MultVAE, from_mult_vae
    >>> model = from_mult_vae(MultVAE(ModelSpec(hidden=(4,), latent=2), 3, np.random.default_rng(0)))
    >>> draws = masked_posteriors(model, sparse.csr_array(np.eye(3)), 2, rng=np.random.default_rng(1))
    >>> [draw.n_users for draw in draws]
    [3, 3]
    """
    if n_draws < 1:
        raise InvalidInput(f"n_draws must be at least 1; it is {n_draws}")
    if encode_masked is not None:
        if keep_probability is not None:
            raise InvalidInput("encode_masked masks with a probability of its own; leave keep_probability out")
        return tuple(DiagonalGaussian(*encode_masked(contents, rng)) for _ in range(n_draws))
    if recommender.layers is None:
        raise PremiseNotMet("the encoder's layers are not known; say how it masks its input with encode_masked")
    if keep_probability is not None:
        check_keep_probability(keep_probability)
        recommender = replace(recommender, layers=replace(recommender.layers, keep_probability=keep_probability))
    return tuple(masked_posterior(recommender, contents, rng) for _ in range(n_draws))


def thinned_posteriors(
    recommender: Recommender,
    contents: sparse.csr_array,
    n_draws: int,
    *,
    keep_probability: float,
    rng: np.random.Generator,
) -> tuple[DiagonalGaussian, ...]:
    """Return the posteriors of contents that lost each item with probability ``1 - keep_probability``.

    The remaining items are encoded as a shorter history would be at test time. This asks nothing of the model, so that
    any two models can be compared under it.

    Parameters
    ----------
    recommender, contents, n_draws, rng
        As in :func:`masked_posteriors`.
    keep_probability
        In (0, 1].

    Examples
    --------
    >>> from collabtheory.models import ModelSpec, MultVAE, from_mult_vae
    >>> model = from_mult_vae(MultVAE(ModelSpec(hidden=(4,), latent=2), 3, np.random.default_rng(0)))
    >>> x = sparse.csr_array(np.eye(3))
    >>> (same,) = thinned_posteriors(model, x, 1, keep_probability=1.0, rng=np.random.default_rng(1))
    >>> bool(np.array_equal(same.mu, model.posterior(x).mu))
    True
    """
    check_keep_probability(keep_probability)
    return tuple(recommender.posterior(thinned(contents, keep_probability, rng)) for _ in range(n_draws))


def thinned(contents: sparse.csr_array, keep_probability: float, rng: np.random.Generator) -> sparse.csr_array:
    """Return the contents with each entry kept with ``keep_probability``; a row may lose all of its items."""
    return kept_entries(contents, rng.random(contents.nnz) < keep_probability)


def kept_entries(contents: sparse.csr_array, kept: np.ndarray) -> sparse.csr_array:
    """Return the contents with some of their entries, ``kept`` ``(nnz,)`` bool."""
    before = np.concatenate([[0], np.cumsum(kept)])
    return sparse.csr_array(
        (contents.data[kept], contents.indices[kept], before[contents.indptr]), shape=contents.shape
    )


def drift_between(clean: DiagonalGaussian, draws: tuple[DiagonalGaussian, ...], k: int) -> NeighbourhoodDrift:
    """Return the neighbourhood drift of given posteriors: :func:`~collabtheory.latent.drift.neighbourhood_drift`.

    Parameters
    ----------
    clean
        Posteriors of the clean inputs, of ``n_users``.
    draws
        Posteriors of the same users in at least two draws of masks.
    k
        Neighbours per user, between 1 and ``n_users - 1``.

    Examples
    --------
    >>> q = DiagonalGaussian([[0.0], [1.0], [3.0]], [[1.0], [1.0], [1.0]])
    >>> drift_between(q, (q, q), 1).between_draws.tolist()
    [1.0, 1.0, 1.0]
    """
    if len(draws) < 2:
        raise InvalidInput(f"draws must be at least 2; there are {len(draws)}")
    reference = np.asarray(nearest(clean, k).indices)
    found = [np.asarray(nearest(draw, k).indices) for draw in draws]
    between = [neighbour_overlap(found[a], found[b]) for a in range(len(found)) for b in range(a)]
    expected = k * k / (clean.n_users - 1)
    return NeighbourhoodDrift(
        np.mean(between, 0),
        np.mean([neighbour_overlap(reference, indices) for indices in found], 0),
        expected / (2 * k - expected),
    )


def check_keep_probability(keep_probability: float) -> None:
    """Refuse a probability of keeping outside (0, 1]."""
    if not 0 < keep_probability <= 1:
        raise InvalidInput(f"keep_probability must lie in (0, 1]; it is {keep_probability}")
