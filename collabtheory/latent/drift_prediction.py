r"""Neighbourhood drift predicted from masked inputs alone, if latent order followed the order of input distances.

Once by the exact law of masked distances, which averages over all masks of the candidates, and once by drawing masks.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from scipy import sparse

from collabtheory.errors import InvalidInput
from collabtheory.latent.drift import neighbour_overlap

Order = Literal["l1", "cosine"]
BLOCK_ENTRIES = 1 << 23


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


def simulated_overlap(
    contents: sparse.csr_array,
    k: int,
    keep_probability: float,
    *,
    order: Order = "l1",
    n_draws: int = 4,
    rng: np.random.Generator,
) -> np.ndarray:
    r"""Return the overlap of the ``k`` nearest masked inputs between independent draws of everybody's masks.

    What :func:`predicted_overlap` approximates for ``order="l1"``, at the price of sampling error.

    Parameters
    ----------
    contents
        Binary contents, ``(users, items)``.
    k
        Neighbours per user.
    keep_probability
        ``rho`` in (0, 1].
    order
        Nearest by ``||x_u b_u - x_v b_v||_1``, or by the cosine of the masked inputs (which normalised inputs follow).
    n_draws
        Draws of masks, at least 2; the mean is over their pairs.
    rng
        Source of the masks and of random order among ties.

    Returns
    -------
    numpy.ndarray
        ``(users,)``, in [0, 1].

    Raises
    ------
    InvalidInput
        If a number is out of range, or the order is unknown.

    Examples
    --------
    >>> x = sparse.csr_array(np.array([[1.0, 1.0, 0.0], [1.0, 1.0, 0.0], [0.0, 0.0, 1.0]]))
    >>> simulated_overlap(x, 2, 0.5, rng=np.random.default_rng(0)).tolist()
    [1.0, 1.0, 1.0]
    """
    if not 0 < keep_probability <= 1 or n_draws < 2:
        raise InvalidInput(f"keep_probability must be in (0, 1] and n_draws >= 2; {keep_probability} and {n_draws}")
    draws = []
    for _ in range(n_draws):
        masked = sparse.csr_array(contents, dtype=np.float64, copy=True)
        masked.data = (rng.random(masked.nnz) < keep_probability).astype(np.float64)
        draws.append(input_neighbours(masked, k, order=order, rng=rng))
    return np.asarray(
        np.mean([neighbour_overlap(draws[a], draws[b]) for a in range(n_draws) for b in range(a)], axis=0)
    )


def input_neighbours(
    contents: sparse.csr_array, k: int, *, order: Order = "l1", rng: np.random.Generator
) -> np.ndarray:
    """Return the ``k`` nearest other users of each by their inputs, ``(users, k)`` int64, ties in random order.

    Parameters
    ----------
    contents
        Binary contents, ``(users, items)``. The cosine with an empty set is 0.
    k
        Neighbours per user.
    order
        ``"l1"`` or ``"cosine"``.
    rng
        Source of the order among ties.

    Raises
    ------
    InvalidInput
        If ``k`` is not between 1 and the number of other users, or the order is unknown.

    Examples
    --------
    >>> x = sparse.csr_array(np.array([[1.0, 1.0, 0.0], [1.0, 0.0, 0.0], [1.0, 1.0, 1.0]]))
    >>> input_neighbours(x, 1, order="cosine", rng=np.random.default_rng(0)).ravel().tolist()
    [2, 0, 0]
    """
    n = contents.shape[0]
    if not 1 <= k <= n - 1:
        raise InvalidInput(f"k must be between 1 and {n - 1}, the other users; it is {k}")
    if order not in ("l1", "cosine"):
        raise InvalidInput(f"order must be 'l1' or 'cosine'; it is {order!r}")
    sets = sparse.csr_array(contents, dtype=np.float64)
    sizes = np.asarray(sets.sum(1)).ravel()
    found = []
    rows = max(1, BLOCK_ENTRIES // n)
    for start in range(0, n, rows):
        block = slice(start, min(start + rows, n))
        products = (sets[block] @ sets.T).toarray()
        if order == "l1":
            # Whole numbers: less than one at random decides among ties and nothing else.
            distance = sizes[block, None] + sizes - 2 * products + rng.random(products.shape)
        else:
            lengths = np.sqrt(np.maximum(np.outer(sizes[block], sizes), 1.0))
            distance = -products / lengths + 1e-12 * rng.random(products.shape)
        distance[np.arange(len(distance)), np.arange(block.start, block.stop)] = np.inf
        chosen = np.argpartition(distance, k - 1, axis=1)[:, :k]
        found.append(np.take_along_axis(chosen, np.argsort(np.take_along_axis(distance, chosen, 1), axis=1), 1))
    return np.concatenate(found)


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
