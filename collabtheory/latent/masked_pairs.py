r"""Theorem 2.6 with Lemma 2.4: posteriors of two users under independent masks, in each masking convention.

Lemma 2.4 speaks of sets. Where the input is masked first, it applies to the masked sets, whose distance is ``D_h``.
Where it is normalised first, two users who keep the same items still differ in scale, so that no multiple of ``D_h``
bounds anything; there the distance of the weighted inputs takes its place, with a mean of its own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike
from scipy import sparse

from collabtheory.errors import InvalidInput
from collabtheory.latent.encoder_conventions import CONVENTIONS
from collabtheory.latent.encoder_lipschitz import encoder_lipschitz_by_size
from collabtheory.latent.encoder_parts import EncoderParts
from collabtheory.latent.masking_law import MaskingLaw
from collabtheory.latent.wasserstein import pairwise_w2
from collabtheory.models.masking import encoder_input
from collabtheory.models.posterior import DiagonalGaussian
from collabtheory.models.recommender import EncoderLayers
from collabtheory.models.specification import Masking


def normalised_distance(n_u: ArrayLike, n_v: ArrayLike, shared: ArrayLike) -> np.ndarray:
    r"""Return :math:`\|N(x_u) - N(x_v)\|_1`, ``N(x) = x/||x||_2``, of binary contents by their sizes and overlap.

    .. math:: (n_u - s)/\sqrt{n_u} + (n_v - s)/\sqrt{n_v} + s\,|1/\sqrt{n_u} - 1/\sqrt{n_v}|

    An empty set is its own normalisation.

    Examples
    --------
    >>> normalised_distance([4, 9], [4, 4], [2, 0])
    array([2., 5.])
    """
    n_u, n_v, s = (np.asarray(values, dtype=np.float64) for values in (n_u, n_v, shared))
    a, b = _inverse_root(n_u), _inverse_root(n_v)
    return np.asarray((n_u - s) * a + (n_v - s) * b + s * np.abs(a - b))


def mean_rescaled_distance(n_u: ArrayLike, n_v: ArrayLike, shared: ArrayLike, keep_probability: float) -> np.ndarray:
    r"""Return :math:`\mathbb{E}\|N(x_u) b_u/\rho - N(x_v) b_v/\rho\|_1` under independent masks.

    .. math:: \|N(x_u) - N(x_v)\|_1 + 2 (1 - \rho)\, s \min(1/\sqrt{n_u}, 1/\sqrt{n_v})

    The factor ``1/rho`` undoes the shrinking, so that in this convention no pair contracts on average.

    Raises
    ------
    InvalidInput
        If ``keep_probability`` is not in (0, 1].

    Examples
    --------
    >>> mean_rescaled_distance(4, 4, 2, 0.5)
    array(3.)
    """
    if not 0 < keep_probability <= 1:
        raise InvalidInput(f"keep_probability must be in (0, 1]; it is {keep_probability}")
    smaller = np.minimum(*(_inverse_root(np.asarray(n, dtype=np.float64)) for n in (n_u, n_v)))
    grown = 2 * (1 - keep_probability) * np.asarray(shared) * smaller
    return np.asarray(normalised_distance(n_u, n_v, shared) + grown)


@dataclass(frozen=True, eq=False)
class MaskedPairs:
    """One draw of masks: the unordered pairs ``(first, second)`` of ``n`` users, each array ``(n (n - 1) / 2,)``.

    Parameters
    ----------
    first, second
        Row numbers of the two users, ``first < second``.
    masked_distance
        ``D_h``, the distance of the masked sets.
    distance
        ``W_2`` of the posteriors of the masked inputs.
    bound
        Certified upper bound of ``distance`` for this draw: a constant times ``D_h``, or times the weighted distance.
    group_bound
        The same with the constant that is certified for the inputs of this draw only.
    mean_bound
        Certified upper bound of the mean of ``distance`` over all masks, by the law's mean; the same for every draw.
    """

    first: np.ndarray
    second: np.ndarray
    masked_distance: np.ndarray
    distance: np.ndarray
    bound: np.ndarray
    group_bound: np.ndarray
    mean_bound: np.ndarray


def encode_masked_pairs(
    layers: EncoderLayers,
    contents: sparse.csr_array,
    masking: Masking,
    *,
    keep_probability: float,
    n_draws: int,
    rng: np.random.Generator,
) -> list[MaskedPairs]:
    r"""Encode users, each under a mask of its own, and bound ``W_2`` of every pair per draw and on average.

    Masked first: ``W_2 <= L D_h`` per draw, with ``L`` for the smaller masked set, and ``E W_2 <= L_0 E D_h`` with
    ``E D_h = rho delta + 2 rho (1 - rho) s`` and ``L_0`` for sets of any size, also empty ones. Normalised first: the
    same with the weighted distance and its mean, see :func:`mean_rescaled_distance`.

    Parameters
    ----------
    layers
        The encoder's layers; any convention can be asked for.
    contents
        Binary contents, ``(users, items)``, of at least two users.
    masking
        The convention.
    keep_probability
        ``rho`` in (0, 1].
    n_draws
        Draws of masks.
    rng
        Source of the masks.

    Returns
    -------
    list of MaskedPairs
        One a draw.

    Raises
    ------
    PremiseNotMet
        If the encoder is not a chain of linear layers and activations.
    InvalidInput
        If the convention is unknown, there are fewer than two users, or a number is out of range.

    Examples
    --------
    >>> from torch import nn
    >>> heads = nn.Linear(4, 2), nn.Linear(4, 2)
    >>> layers = EncoderLayers(nn.Sequential(nn.Linear(3, 4), nn.Tanh()), *heads, "mask_only", 0.5)
    >>> x, rng = sparse.csr_array(np.array([[1.0, 0.0, 1.0], [0.0, 1.0, 1.0]])), np.random.default_rng(0)
    >>> (found,) = encode_masked_pairs(layers, x, "mask_only", keep_probability=0.5, n_draws=1, rng=rng)
    >>> bool(found.distance <= found.bound), found.first.tolist(), found.second.tolist()
    (True, [0], [1])
    """
    if masking not in CONVENTIONS:
        raise InvalidInput(f"masking must be one of {', '.join(CONVENTIONS)}; it is {masking!r}")
    if contents.shape[0] < 2 or n_draws < 1 or not 0 < keep_probability <= 1:
        raise InvalidInput("at least two users, one draw and a keep_probability in (0, 1] are needed")
    pairs = _Pairs(layers, sparse.csr_array(contents, dtype=np.float64), masking, keep_probability)
    return [pairs.draw(rng) for _ in range(n_draws)]


class _Pairs:
    """What does not change from draw to draw: the pairs, the constants by size, and the bound of the mean."""

    def __init__(self, layers: EncoderLayers, contents: sparse.csr_array, masking: Masking, keep: float) -> None:
        self.contents, self.masking, self.keep = contents, masking, keep
        self.parts = EncoderParts.read(layers.trunk, layers.mean_head, layers.log_variance_head)
        self.first, self.second = np.triu_indices(contents.shape[0], 1)
        self.sizes, self.shared = self._sizes_and_overlap(contents)
        self.layers, self.constants = layers, self._constants(layers, masking != "mask_only", None)
        n_u, n_v = self.sizes[self.first], self.sizes[self.second]
        if masking == "normalise_then_mask":
            mean = keep * mean_rescaled_distance(n_u, n_v, self.shared, keep)
        else:
            mean = MaskingLaw(keep).mean(n_u + n_v - 2 * self.shared, self.shared)
        # The constant for empty sets is that of one flip anywhere, the largest of all.
        self.mean_bound = self.constants[0] * mean

    def draw(self, rng: np.random.Generator) -> MaskedPairs:
        inputs = encoder_input(
            self.contents, self.masking, keep_probability=self.keep, rng=rng, dtype=torch.float64
        ).to_dense()
        embedded = self.parts.embed(self.parts.first.pre_activation(inputs))
        d = self.parts.mean.n_outputs
        distance = np.asarray(pairwise_w2(DiagonalGaussian(embedded[:, :d], embedded[:, d:])))[self.first, self.second]
        sizes, shared = self._sizes_and_overlap(sparse.csr_array((inputs != 0).numpy().astype(np.float64)))
        k_u, k_v = sizes[self.first], sizes[self.second]
        masked = k_u + k_v - 2 * shared
        # Normalised first, any two inputs are compared entry by entry, which is the case without normalisation.
        group = self._constants(self.layers, self.masking == "mask_then_normalise", inputs)
        if self.masking == "normalise_then_mask":
            a, b = (_inverse_root(self.sizes[rows]) for rows in (self.first, self.second))
            apart = (k_u - shared) * a + (k_v - shared) * b + shared * np.abs(a - b)
            bounds = self.constants[0] * apart, group[0] * apart
        else:
            smallest = np.minimum(k_u, k_v)
            bounds = self.constants[smallest] * masked, group[smallest] * masked
        return MaskedPairs(self.first, self.second, masked, distance, *bounds, self.mean_bound)

    def _constants(self, layers: EncoderLayers, normalise: bool, group: torch.Tensor | None) -> np.ndarray:
        """Return the certified constants of sets of 0, 1, ... items."""
        most = max(int(self.sizes.max()), 1)
        return encoder_lipschitz_by_size(
            layers.trunk,
            layers.mean_head,
            layers.log_variance_head,
            np.arange(most + 1),
            normalise=normalise,
            n_max=most,
            input_scale=1 / self.keep if self.masking == "normalise_then_mask" else 1.0,
            group=group,
        )

    def _sizes_and_overlap(self, sets: sparse.csr_array) -> tuple[np.ndarray, np.ndarray]:
        """Return the sizes of the sets, and the number of shared items of every pair, int64."""
        products = (sets @ sets.T).toarray()
        return np.diff(sets.indptr).astype(np.int64), products[self.first, self.second].astype(np.int64)


def _inverse_root(n: np.ndarray) -> np.ndarray:
    return np.asarray(1 / np.sqrt(np.maximum(n, 1.0)))
