"""Masked distances of given pairs, drawn with the masking code of training, and how well they fit a law."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse, stats

from collabtheory.errors import InvalidInput
from collabtheory.latent.masking_law import MaskingLaw, Masks
from collabtheory.models.masking import encoder_input
from collabtheory.models.specification import Masking


@dataclass(frozen=True, eq=False)
class MaskedDistances:
    """One draw of masks for each of some pairs, int64 ``(pairs,)`` each.

    Parameters
    ----------
    input_distance, shared_items
        ``delta`` and ``s`` of the clean contents.
    distance
        ``D_h``, the distance of the sets of entries that the masked inputs keep.
    """

    input_distance: np.ndarray
    shared_items: np.ndarray
    distance: np.ndarray


@dataclass(frozen=True)
class Fit:
    """p-values of two tests that distances follow a law, uncorrected, and the z value of the second.

    ``p_distribution``: Kolmogorov-Smirnov test of the randomised probability transform; ``p_mean``: the sum of all
    distances against its mean, in units of its standard deviation.
    """

    p_distribution: float
    p_mean: float
    z_mean: float


def masked_distances(
    contents: sparse.csr_array,
    first: np.ndarray,
    second: np.ndarray,
    masking: Masking,
    keep_probability: float,
    *,
    masks: Masks = "independent",
    rng: np.random.Generator,
) -> MaskedDistances:
    """Mask the contents of every pair afresh and return their distances.

    Parameters
    ----------
    contents
        Binary contents, ``(users, items)``.
    first, second
        Row numbers of the pairs; a user may be paired with itself and may occur often: no mask is used twice.
    masking
        The convention under which the inputs are made. Which entries differ from 0 does not depend on it.
    keep_probability
        ``rho`` in (0, 1].
    masks
        ``"independent"`` for the two users of a pair, or one ``"shared"`` mask.
    rng
        Source of the masks.

    Raises
    ------
    InvalidInput
        If the pairs do not match in number.

    Examples
    --------
    >>> x, rng = sparse.csr_array(np.array([[1.0, 1.0, 0.0], [0.0, 1.0, 1.0]])), np.random.default_rng(0)
    >>> masked_distances(x, np.array([0]), np.array([1]), "mask_only", 1.0, rng=rng).distance.tolist()
    [2]
    """
    if first.shape != second.shape or first.ndim != 1:
        raise InvalidInput(f"first and second must be (pairs,); their shapes are {first.shape} and {second.shape}")
    sets = sparse.csr_array(contents, dtype=np.int64)
    x, y = sets[first], sets[second]
    shared = _row_sums(x.multiply(y))
    delta = _row_sums(x) + _row_sums(y) - 2 * shared
    if masks == "shared":
        distance = _under_one_mask(x + y, keep_probability, rng)
    else:
        x, y = (_masked_sets(rows, masking, keep_probability, rng) for rows in (x, y))
        distance = _row_sums(x) + _row_sums(y) - 2 * _row_sums(x.multiply(y))
    return MaskedDistances(delta, shared, distance)


def goodness_of_fit(found: MaskedDistances, law: MaskingLaw, *, rng: np.random.Generator) -> Fit:
    """Test that the distances, each with its own ``delta`` and ``s``, follow the law.

    Parameters
    ----------
    found
        Distances of pairs with masks of their own.
    law
        The law.
    rng
        Source of the uniform numbers that fill the steps of the distribution, so that the transform is continuous.

    Examples
    --------
    >>> found = MaskedDistances(*np.ones((3, 500), dtype=np.int64))
    >>> goodness_of_fit(found, MaskingLaw(0.5), rng=np.random.default_rng(0)).p_distribution < 1e-9
    True
    """
    delta, shared, distance = found.input_distance, found.shared_items, found.distance
    below, up_to = (law.cdf(distance - shift, delta, shared) for shift in (1, 0))
    transform = below + rng.random(len(distance)) * (up_to - below)
    gap = float(distance.sum() - law.mean(delta, shared).sum())
    deviation = float(np.sqrt(law.variance(delta, shared).sum()))
    # A law without variance is refuted by any gap (beyond the rounding of its mean).
    certain = np.copysign(np.inf, gap) if abs(gap) > 1e-6 else 0.0
    z = gap / deviation if deviation > 0 else float(certain)
    return Fit(float(stats.kstest(transform, "uniform").pvalue), float(2 * stats.norm.sf(abs(z))), z)


def _masked_sets(
    contents: sparse.csr_array, masking: Masking, keep_probability: float, rng: np.random.Generator
) -> sparse.csr_array:
    """Return which entries of the masked encoder input differ from 0."""
    inputs = encoder_input(contents, masking, keep_probability=keep_probability, rng=rng)
    values = (inputs.values() != 0).numpy().astype(np.int64)
    return sparse.csr_array((values, tuple(inputs.indices().numpy())), shape=contents.shape)


def _under_one_mask(total: sparse.csr_array, keep_probability: float, rng: np.random.Generator) -> np.ndarray:
    """Return ``D_h`` of pairs by the sums of their contents: entries of 1 count if the mask keeps them."""
    counted = (total.data == 1) & (rng.random(total.nnz) < keep_probability)
    return _row_sums(sparse.csr_array((counted.astype(np.int64), total.indices, total.indptr), shape=total.shape))


def _row_sums(sets: sparse.csr_array) -> np.ndarray:
    return np.asarray(sets.sum(1)).ravel().astype(np.int64)
