"""Both sides of Lemma 2.4 on all pairs of given users, under any of the masking conventions and one shared mask."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike
from scipy import sparse
from torch import Tensor

from collabtheory.errors import InvalidInput
from collabtheory.latent.encoder_lipschitz import encoder_lipschitz_by_size
from collabtheory.latent.encoder_parts import EncoderParts
from collabtheory.latent.wasserstein import pairwise_w2
from collabtheory.models.masking import encoder_input
from collabtheory.models.posterior import DiagonalGaussian
from collabtheory.models.recommender import EncoderLayers
from collabtheory.models.specification import Masking

CONVENTIONS: tuple[Masking, ...] = ("normalise_then_mask", "mask_then_normalise", "mask_only")


@dataclass(frozen=True, eq=False)
class EncodedPairs:
    """The lemma on the unordered pairs ``(first, second)`` of ``n`` users, each array ``(n (n - 1) / 2,)``.

    Parameters
    ----------
    first, second
        Row numbers of the two users, ``first < second``.
    flips
        ``||x - y||_1`` of the sets that the constant speaks of: the clean ones where they are normalised before the
        mask, else the masked ones.
    distance
        ``W_2`` of the two posteriors, the left side.
    bound
        ``L_phi * flips``, the right side, with the certified constant of the smaller set.
    group_bound
        The same with the constant that is certified for pairs of these users only.
    """

    first: np.ndarray
    second: np.ndarray
    flips: np.ndarray
    distance: np.ndarray
    bound: np.ndarray
    group_bound: np.ndarray

    @property
    def tightness(self) -> np.ndarray:
        """``distance / bound`` of the pairs whose inputs differ."""
        return self._ratio(self.bound)

    @property
    def group_tightness(self) -> np.ndarray:
        """``distance / group_bound`` of the pairs whose inputs differ."""
        return self._ratio(self.group_bound)

    def _ratio(self, bound: np.ndarray) -> np.ndarray:
        apart = (self.flips > 0) & (bound > 0)
        ratio: np.ndarray = self.distance[apart] / bound[apart]
        return ratio


def encode_pairs(
    layers: EncoderLayers, contents: sparse.csr_array, masking: Masking, *, kept: ArrayLike | None = None
) -> EncodedPairs:
    r"""Encode users under a convention and return both sides of ``W_2(q_x, q_y) <= L_phi ||x - y||_1`` for every pair.

    ``normalise_then_mask``: :math:`(x/\|x\|_2) \odot b/\rho`; ``mask_then_normalise``:
    :math:`(x \odot b)/\|x \odot b\|_2`; ``mask_only``: :math:`x \odot b`.

    Parameters
    ----------
    layers
        The encoder's layers. The convention they were trained with does not matter: all three can be asked for.
    contents
        Binary contents, ``(users, items)``, of at least two users.
    masking
        The convention.
    kept
        One mask ``b`` for all users, boolean ``(items,)``; nothing is masked (and nothing rescaled) if left out.

    Returns
    -------
    EncodedPairs

    Raises
    ------
    PremiseNotMet
        If the encoder is not a chain of linear layers and activations.
    InvalidInput
        If the convention is unknown, a shape does not fit, or there are fewer than two users.

    Examples
    --------
    >>> from torch import nn
    >>> heads = nn.Linear(4, 2), nn.Linear(4, 2)
    >>> layers = EncoderLayers(nn.Sequential(nn.Linear(3, 4), nn.Tanh()), *heads, "mask_only", 0.5)
    >>> x = sparse.csr_array(np.array([[1.0, 0.0, 1.0], [0.0, 1.0, 1.0]]))
    >>> [bool((encode_pairs(layers, x, rule).tightness <= 1).all()) for rule in CONVENTIONS]
    [True, True, True]
    """
    if masking not in CONVENTIONS:
        raise InvalidInput(f"masking must be one of {', '.join(CONVENTIONS)}; it is {masking!r}")
    parts = EncoderParts.read(layers.trunk, layers.mean_head, layers.log_variance_head)
    if contents.shape[0] < 2 or contents.shape[1] != parts.first.n_inputs:
        raise InvalidInput(
            f"contents must have shape (two or more users, {parts.first.n_inputs}); their shape is {contents.shape}"
        )
    sets, inputs, scale = _sets_and_inputs(contents, masking, kept, layers.keep_probability)
    embedded = parts.embed(parts.first.pre_activation(inputs))
    mu, sigma = embedded[:, : parts.mean.n_outputs], embedded[:, parts.mean.n_outputs :]
    first, second = np.triu_indices(contents.shape[0], 1)
    sizes = np.diff(sets.indptr)
    flips = sizes[first] + sizes[second] - 2 * (sets @ sets.T).toarray()[first, second]
    smallest = np.minimum(sizes[first], sizes[second])
    bounds = [
        encoder_lipschitz_by_size(
            layers.trunk,
            layers.mean_head,
            layers.log_variance_head,
            np.arange(sizes.max() + 1),
            normalise=masking != "mask_only",
            n_max=max(int(sizes.max()), 1),
            input_scale=scale,
            group=group,
        )[smallest]
        * flips
        for group in (None, inputs)
    ]
    distance = np.asarray(pairwise_w2(DiagonalGaussian(mu, sigma)))[first, second]
    return EncodedPairs(first, second, flips, distance, *bounds)


def _sets_and_inputs(
    contents: sparse.csr_array, masking: Masking, kept: ArrayLike | None, keep_probability: float
) -> tuple[sparse.csr_array, Tensor, float]:
    """Return the sets that the constant speaks of (binary), the dense encoder inputs, and the factor on the input."""
    clean = sparse.csr_array(contents, dtype=np.float64)
    if kept is None:
        return _binary(clean), encoder_input(clean, masking, dtype=torch.float64).to_dense(), 1.0
    mask = np.asarray(kept, dtype=bool)
    if mask.shape != (clean.shape[1],):
        raise InvalidInput(f"kept must have shape ({clean.shape[1]},), one entry an item; its shape is {mask.shape}")
    if masking == "normalise_then_mask":
        inputs = encoder_input(clean, masking, dtype=torch.float64).to_dense()
        return _binary(clean), inputs * torch.from_numpy(mask) / keep_probability, 1.0 / keep_probability
    masked = sparse.csr_array(clean.multiply(mask[None, :]))
    masked.eliminate_zeros()
    return _binary(masked), encoder_input(masked, masking, dtype=torch.float64).to_dense(), 1.0


def _binary(contents: sparse.csr_array) -> sparse.csr_array:
    return sparse.csr_array((np.ones(contents.nnz), contents.indices, contents.indptr), shape=contents.shape)
