r"""Who collaborates: how much of the help between users is local, and how much comes from far yet related users.

Help from v to u is the positive part of :math:`\cos(g_u, g_v)`, or of the decrease
:math:`L_u(\theta) - L_u(\theta - lr\, g_v)` of u's loss by v's step.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy import sparse

from collabtheory.data import Interactions
from collabtheory.errors import InvalidInput
from collabtheory.latent.masked_codes import EncodeMasked, masked_posteriors
from collabtheory.models.recommender import Recommender
from collabtheory.transfer.help_by_distance import HelpByDistance, help_by_distance
from collabtheory.transfer.kernels import TransferKernels
from collabtheory.transfer.pair_sets import PairSets, pair_sets


@dataclass(frozen=True, eq=False)
class CollaborationMass:
    """Collaboration of some users under one model.

    Parameters
    ----------
    users
        ``(n,)`` row numbers, ascending.
    sources
        Row numbers of the users whose steps were measured.
    k
        Neighbours that count as near.
    by_cosine
        Help as the positive part of the cosine of two users' gradients.
    by_loss_change
        Help as the measured decrease of a user's loss; None if no step was measured.
    """

    users: np.ndarray
    sources: np.ndarray
    k: int
    by_cosine: HelpByDistance
    by_loss_change: HelpByDistance | None


def collaboration_mass(
    recommender: Recommender,
    data: Interactions,
    *,
    users: np.ndarray,
    n_samples: int = 4,
    k: int = 20,
    learning_rate: float = 1e-4,
    n_sources: int | None = None,
    masked: bool = False,
    encode_masked: EncodeMasked | None = None,
    sets: PairSets | None = None,
    dtype: torch.dtype = torch.float64,
    rng: np.random.Generator,
) -> CollaborationMass:
    """Measure how much of the help between users is local, and how much global.

    Parameters
    ----------
    recommender
        The model.
    data
        Interactions with the model's items as columns.
    users
        Row numbers of at least 3 users with items, none twice; all their pairs are measured.
    n_samples
        Codes per user, with noise of their own: common noise would align everyone's gradients.
    k
        Neighbours in input that count as local; see :func:`~collabtheory.transfer.pair_sets.pair_sets`.
    learning_rate
        Step size of the measured loss change, losses in nats per user.
    n_sources
        Measure the steps of so many of the users, drawn at random (0: of none); all if None.
    masked
        Take the codes of masked inputs, a mask for each code, as the model's training did; else of clean ones.
    encode_masked
        How to mask a model without known layers.
    sets
        Sets of pairs of these users (in ascending order) made before, or by other rules; ``k`` is then theirs.
    dtype
        Of the kernels; ``torch.float32`` is twice as fast.
    rng
        Source of codes, masks and sources. The sets of pairs do not depend on it.

    Returns
    -------
    CollaborationMass
        Intervals leave out groups of users (as :func:`collabtheory.stats.grouped_jackknife` on the pairs).

    Raises
    ------
    InvalidInput
        If a user is listed twice or has no items, or a count is out of range.
    PremiseNotMet
        If ``masked`` is asked of a model of which nobody knows how it masks.

    Notes
    -----
    THEORY.md 9. With few samples the noise of the codes adds to the positive part of weak cosines; compare models at
    the same ``n_samples``. The gradients are those of the decoder.

    Examples
    --------
    >>> from collabtheory.data.planted import PlantedWorld, generate
    >>> from collabtheory.models import ModelSpec, MultVAE, from_mult_vae
    >>> world = generate(PlantedWorld(n_users=40), 0)
    >>> model = from_mult_vae(MultVAE(ModelSpec(hidden=(4,), latent=2), 480, np.random.default_rng(0)))
    >>> found = collaboration_mass(model, world, users=np.arange(40), rng=np.random.default_rng(1))
    >>> shares = found.by_cosine.local.mass.value, found.by_cosine.global_.mass.value, found.by_cosine.other.mass.value
    >>> found.k, round(sum(shares), 9)
    (9, 1.0)
    """
    users = _check_users(data, users)
    sets = pair_sets(data, users, k=k) if sets is None else sets
    if len(sets.local) != len(users):
        raise InvalidInput(f"sets are of {len(sets.local)} users, and users lists {len(users)}")
    x = data.matrix[users]
    codes = _codes(recommender, x, n_samples, masked, encode_masked, rng)
    # After the codes, which then do not depend on how many steps are measured.
    sources = _choose_sources(len(users), n_sources, rng)
    kernels = TransferKernels(recommender.decoder, recommender.likelihood, x, codes, dtype=dtype)
    by_loss_change = None
    if len(sources):
        decrease = np.full((len(users), len(users)), np.nan)
        decrease[:, sources] = -np.asarray(kernels.step_loss_change(learning_rate, sources=sources))
        by_loss_change = help_by_distance(decrease, sets)
    by_cosine = help_by_distance(_cosines(kernels), sets)
    return CollaborationMass(users, users[sources], sets.k, by_cosine, by_loss_change)


def _choose_sources(n_users: int, n_sources: int | None, rng: np.random.Generator) -> np.ndarray:
    if n_sources is None:
        return np.arange(n_users)
    if n_sources < 0:
        raise InvalidInput(f"n_sources must not be negative; it is {n_sources}")
    return np.sort(rng.permutation(n_users)[:n_sources])


def _codes(
    recommender: Recommender,
    x: sparse.csr_array,
    n_samples: int,
    masked: bool,
    encode_masked: EncodeMasked | None,
    rng: np.random.Generator,
) -> np.ndarray:
    """Return codes ``(n, n_samples, d)`` with noise (and, if masked, a mask) of their own."""
    if not masked:
        return recommender.posterior(x).sample(n_samples, rng, noise="independent")
    draws = masked_posteriors(recommender, x, n_samples, rng=rng, encode_masked=encode_masked)
    return np.concatenate([draw.sample(1, rng, noise="independent") for draw in draws], axis=1)


def _cosines(kernels: TransferKernels) -> np.ndarray:
    gram = np.asarray(kernels.gradient_gram(), dtype=np.float64)
    norms = np.sqrt(np.maximum(gram.diagonal(), 0.0))
    product = norms[:, None] * norms[None, :]
    return np.asarray(np.divide(gram, product, out=np.zeros_like(gram), where=product > 0))


def _check_users(data: Interactions, users: np.ndarray) -> np.ndarray:
    rows = np.unique(np.asarray(users))
    if len(rows) != len(users):
        raise InvalidInput("users must not list a row twice")
    if len(rows) and (not np.issubdtype(rows.dtype, np.integer) or rows[0] < 0 or rows[-1] >= data.n_users):
        raise InvalidInput(f"users must be row numbers from 0 to {data.n_users - 1}")
    empty = rows[data.sizes[rows] == 0] if len(rows) else rows
    if len(empty):
        raise InvalidInput(f"users must have items; row {empty[0]} has none")
    return rows
