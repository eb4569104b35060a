r"""Who collaborates: how much of the help between users is local, and how much comes from far yet related users.

The mass of a set P of ordered pairs is its share of all help,

.. math:: M(P) = \frac{\sum_{(u,v) \in P} h_{uv}}{\sum_{u \ne v} h_{uv}}, \qquad
          h_{uv} = \max(\cos(g_u, g_v), 0) \quad\text{or}\quad \max(L_u(\theta) - L_u(\theta - lr\, g_v), 0) ,

and its lift is its mass divided by its share of the pairs: 1 if pairs in P help each other like any others.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy import sparse, stats

from collabtheory.data import Interactions
from collabtheory.errors import InvalidInput
from collabtheory.latent.masked_codes import EncodeMasked, masked_posteriors
from collabtheory.models.recommender import Recommender
from collabtheory.stats import Estimate
from collabtheory.transfer.kernels import TransferKernels
from collabtheory.transfer.pair_sets import PairSets, pair_sets

GROUPS = 20
"""Groups of users that the jackknife leaves out in turn."""
LOCAL, FAR, OTHER = range(3)


@dataclass(frozen=True)
class MassShare:
    """Share of the help between users that falls on a set of pairs.

    Parameters
    ----------
    mass
        The share, with a 95 % interval.
    pair_share
        The set's share of the pairs.
    lift
        ``mass / pair_share``, with a 95 % interval; NaN without pairs.
    """

    mass: Estimate
    pair_share: float
    lift: Estimate


@dataclass(frozen=True, eq=False)
class HelpByDistance:
    """The help between users, divided into local, global and other pairs.

    Parameters
    ----------
    local, global_, other
        Shares of the three sets.
    lift_difference
        Lift of the local pairs minus that of the global ones.
    per_user_local, per_user_global
        ``(n,)``: the sets' shares of the help that each user receives; NaN for a user whom nobody helps.
    """

    local: MassShare
    global_: MassShare
    other: MassShare
    lift_difference: Estimate
    per_user_local: np.ndarray
    per_user_global: np.ndarray

    @property
    def local_dominates(self) -> bool:
        """Whether a local pair carries more help than a global one."""
        return self.local.lift.value > self.global_.lift.value


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


def help_by_distance(values: np.ndarray, sets: PairSets) -> HelpByDistance:
    """Divide the positive part of values ``(n, n)`` among the sets; NaN entries and the diagonal are left out.

    Examples
    --------
    >>> local = np.array([[0, 1, 0], [1, 0, 0], [0, 1, 0]], dtype=bool)
    >>> far = np.array([[0, 0, 1], [0, 0, 0], [0, 0, 0]], dtype=bool)
    >>> found = help_by_distance(np.array([[9.0, 3, 1], [-2, 9, 0], [4, 0, 9]]), PairSets(1, local, far))
    >>> found.local.mass.value, found.global_.mass.value, found.other.mass.value
    (0.375, 0.125, 0.5)
    """
    known = ~np.isnan(values) & ~np.eye(len(values), dtype=bool)
    given = np.where(known, np.maximum(values, 0.0), 0.0)
    masks = np.stack([sets.local, sets.far_related, sets.other]) & known
    sums = leave_group_out(np.concatenate([masks * given, masks.astype(np.float64)]))
    n_pairs = int(known.sum())
    with np.errstate(invalid="ignore", divide="ignore"):
        mass, pairs = (part / part.sum(1, keepdims=True) for part in (sums[:, :3], sums[:, 3:]))
        lift = mass / pairs
        received = (masks * given).sum(2) / given.sum(1)
    local, far, other = (
        MassShare(jackknife_estimate(mass[:, s], n_pairs), float(pairs[0, s]), jackknife_estimate(lift[:, s], n_pairs))
        for s in (LOCAL, FAR, OTHER)
    )
    difference = jackknife_estimate(lift[:, LOCAL] - lift[:, FAR], n_pairs)
    return HelpByDistance(local, far, other, difference, received[LOCAL], received[FAR])


def leave_group_out(tables: np.ndarray, groups: int = GROUPS) -> np.ndarray:
    """Return the sums of tables of pairs ``(m, n, n)``: of all pairs, and without each group of users, (1 + g, m).

    From sums by group: one pass over the pairs serves all groups.

    Examples
    --------
    >>> leave_group_out(np.array([[[0.0, 1], [2, 0]]])).ravel().tolist()
    [3.0, 0.0, 0.0]
    """
    n_users = tables.shape[1]
    groups = min(groups, n_users)
    member = (np.arange(n_users)[:, None] % groups == np.arange(groups)[None, :]).astype(np.float64)
    by_group = member.T @ tables @ member
    total = by_group.sum((1, 2))
    touched = by_group.sum(2) + by_group.sum(1) - by_group.diagonal(axis1=1, axis2=2)
    return np.concatenate([total[None], (total[:, None] - touched).T])


def jackknife_estimate(values: np.ndarray, n: int) -> Estimate:
    """Return the first value with the interval of the delete-a-group jackknife over the others."""
    left_out = values[1:]
    groups = len(left_out)
    error = np.sqrt((groups - 1) / groups * np.sum((left_out - left_out.mean()) ** 2))
    reach = float(stats.t.ppf(0.975, groups - 1) * error)
    value = float(values[0])
    return Estimate(value, value - reach, value + reach, n)


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
