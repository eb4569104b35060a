"""How much closer users are in one latent space than in another, pair by pair."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from collabtheory.errors import InvalidInput
from collabtheory.latent.wasserstein import pairwise_w2
from collabtheory.models.posterior import DiagonalGaussian


@dataclass(frozen=True, eq=False)
class Contraction:
    """Distances of the unordered pairs ``(first, second)`` of ``n`` users before and after, ``(n (n - 1) / 2,)`` each.

    Latent spaces of two models are not aligned: only their distances are compared, never their codes.
    """

    first: np.ndarray
    second: np.ndarray
    before: np.ndarray
    after: np.ndarray

    @property
    def ratio(self) -> np.ndarray:
        """``W_2`` after over ``W_2`` before, of the pairs that are apart before."""
        apart = self.before > 0
        ratio: np.ndarray = self.after[apart] / self.before[apart]
        return ratio

    @property
    def mean_ratio(self) -> float:
        """Mean ``W_2`` after over mean ``W_2`` before; NaN if all users coincide before."""
        total = float(self.before.sum())
        return float(self.after.sum()) / total if total > 0 else float("nan")

    @property
    def variation(self) -> float:
        """Coefficient of variation of :attr:`ratio`: 0 if the contraction is uniform; NaN without pairs apart."""
        ratio = self.ratio
        return float(ratio.std() / ratio.mean()) if len(ratio) and ratio.mean() > 0 else float("nan")


def contraction(before: DiagonalGaussian, after: DiagonalGaussian) -> Contraction:
    """Compare the distances of the same users under two models.

    Parameters
    ----------
    before, after
        Posteriors of the same users, at least two, in the same order; the dimensions may differ.

    Returns
    -------
    Contraction

    Raises
    ------
    InvalidInput
        If the numbers of users differ or are below two.

    Examples
    --------
    >>> q = DiagonalGaussian([[0.0], [1.0], [5.0]], [[1.0], [1.0], [1.0]])
    >>> half = DiagonalGaussian(q.mu / 2, q.sigma)
    >>> contraction(q, half).mean_ratio, contraction(q, half).variation
    (0.5, 0.0)
    """
    if before.n_users != after.n_users or before.n_users < 2:
        raise InvalidInput(
            f"before and after must hold the same two or more users; they have {before.n_users} and {after.n_users}"
        )
    first, second = np.triu_indices(before.n_users, 1)
    distances = (np.asarray(pairwise_w2(posterior))[first, second] for posterior in (before, after))
    return Contraction(first, second, *distances)
