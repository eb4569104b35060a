r"""Neighbourhood drift: how many of a user's nearest latent neighbours survive another draw of masks.

Measured on a model, and predicted from the exact law of masked input distances alone.
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


def predicted_overlap(
    contents: sparse.csr_array,
    k: int,
    keep_probability: float,
    *,
    users: np.ndarray | None = None,
    n_masks: int = 4,
    rng: np.random.Generator,
) -> np.ndarray:
    r"""Predict the overlap of a user's neighbourhoods in two mask draws from the law of input distances alone.

    Given u's own mask, which keeps ``k_u`` items, ``a`` of them shared with v, the distances to the others are
    independent, :math:`k_u - a + \mathrm{Bin}(a, 1 - \rho) + \mathrm{Bin}(n_v - a, \rho)`: the law of Theorem 2.6 at a
    fixed mask of u. With the threshold at which the probabilities ``p_v`` of being at most that far sum to ``k`` (a
    part of the last step, for ties), and u's masks ``b``, ``b'`` independent,
    :math:`\mathbb{E}|A \cap B| = \sum_v \mathbb{E} p_v(b) p_v(b') = I`; the prediction is ``I / (2 k - I)``.

    Parameters
    ----------
    contents
        Binary contents, ``(users, items)``.
    k
        Neighbours per user.
    keep_probability
        ``rho`` in (0, 1].
    users
        Row numbers of the users ``u``; default all.
    n_masks
        Masks of u, at least 2, over whose pairs ``I`` is averaged. All masks of the others are averaged by the law.
    rng
        Source of u's masks.

    Returns
    -------
    numpy.ndarray
        ``(users,)``, in [0, 1].

    Raises
    ------
    InvalidInput
        If ``k`` is not between 1 and the number of other users, or another number is out of range.

    Notes
    -----
    An approximation that assumes: latent order follows the order of l1 input distances; one threshold stands for the
    random k-th distance; ties are broken at random; the expectation of the ratio is the ratio of expectations.

    Examples
    --------
    >>> x = sparse.csr_array(np.array([[1.0, 1.0, 0.0], [1.0, 1.0, 0.0], [0.0, 0.0, 1.0]]))
    >>> predicted_overlap(x, 1, 1.0, users=np.array([0]), rng=np.random.default_rng(0)).round(6).tolist()
    [1.0]
    """
    n = contents.shape[0]
    if not 1 <= k <= n - 1:
        raise InvalidInput(f"k must be between 1 and {n - 1}, the other users; it is {k}")
    if not 0 < keep_probability <= 1 or n_masks < 2:
        raise InvalidInput(f"keep_probability must be in (0, 1] and n_masks >= 2; {keep_probability} and {n_masks}")
    rows = np.arange(n) if users is None else np.asarray(users)
    sets = sparse.csr_array(contents, dtype=np.float64)
    sizes = np.diff(sets.indptr).astype(np.int64)
    member = _Membership(keep_probability, 2 * int(sizes.max(initial=0)) + 1)
    found = []
    for row in rows:
        kept = rng.random((n_masks, int(sizes[row]))) < keep_probability
        own = sets[:, sets.indices[sets.indptr[row] : sets.indptr[row + 1]]]
        overlaps = np.rint(own @ kept.T.astype(np.float64)).astype(np.int64)
        others = np.arange(n) != row
        inside = [member(sizes[others], a[others], int(b.sum()), k) for a, b in zip(overlaps.T, kept, strict=True)]
        common = (np.sum(inside, 0) ** 2 - np.sum(np.square(inside), 0)).sum() / (n_masks * (n_masks - 1))
        found.append(common / (2 * k - common))
    return np.array(found)


def mean_over_users(values: np.ndarray) -> Estimate:
    """Return the mean with a 95 % interval from leaving out groups of users."""
    users = np.arange(len(values))
    return grouped_jackknife(lambda chosen: float(np.mean(values[chosen])), users, users)


class _Membership:
    """Probabilities of being among the k nearest, by characteristic functions at ``length`` frequencies."""

    def __init__(self, keep_probability: float, length: int) -> None:
        rho, self.length = keep_probability, length
        self.turn = np.exp(2j * np.pi * np.arange(length) / length)
        counts = np.arange(length)[:, None]
        # An item that u kept costs 1 until v keeps it too; one that u did not keep costs 1 if v keeps it.
        self.kept = ((rho + (1 - rho) * self.turn) / self.turn) ** counts
        self.others = (1 - rho + rho * self.turn) ** counts

    def __call__(self, sizes: np.ndarray, overlaps: np.ndarray, n_kept: int, k: int) -> np.ndarray:
        transforms = self.kept[overlaps] * self.others[sizes - overlaps] * self.turn**n_kept
        expected = np.cumsum(np.fft.fft(transforms.sum(0)).real / self.length)
        last = int(np.argmax(expected >= k - 1e-9))
        before = expected[last - 1] if last else 0.0
        weights = np.where(np.arange(self.length) < last, 1.0, 0.0)
        weights[last] = (k - before) / (expected[last] - before)
        return np.asarray(np.clip((transforms @ np.fft.fft(weights)).real / self.length, 0.0, 1.0))
