"""Nearest latent neighbours in W_2, exact, in bounded memory."""

from __future__ import annotations

import operator
from dataclasses import dataclass

import torch
from torch import Tensor

from collabtheory.errors import InvalidInput
from collabtheory.latent._kinds import give_back, is_torch
from collabtheory.latent.wasserstein import embedded
from collabtheory.models.posterior import Array, DiagonalGaussian

_BLOCK_ENTRIES = 1 << 24
_SPARE_CANDIDATES = 16
_EPS = torch.finfo(torch.float64).eps


@dataclass(frozen=True, eq=False)
class Neighbours:
    """The ``k`` nearest rows of each row, nearest first.

    Parameters
    ----------
    indices
        ``(n_users, k)`` int64 row numbers.
    distances
        ``(n_users, k)`` float64 W_2, never decreasing along a row.
    """

    indices: Array
    distances: Array


def nearest(p: DiagonalGaussian, k: int, *, q: DiagonalGaussian | None = None, exclude_self: bool = True) -> Neighbours:
    """Find the ``k`` nearest posteriors in W_2 of every row of ``p``.

    W_2 of diagonal Gaussians is the Euclidean distance of ``[mu, sigma]``. Candidates come from centred matrix
    products; their distances are then computed from differences, and a row whose candidates could miss a neighbour
    through rounding is searched again from differences. The result is that of brute force.

    Parameters
    ----------
    p
        Posteriors whose neighbours are sought.
    k
        Neighbours per row, ``1 <= k``.
    q
        Where they are sought; default ``p`` itself.
    exclude_self
        With ``q`` omitted, whether a row is not its own neighbour (its twins still are). No effect with ``q``.

    Returns
    -------
    Neighbours
        Ties are broken by the smaller index.

    Raises
    ------
    InvalidInput
        If ``k`` is not between 1 and the number of candidates, or the dimensions differ.

    Notes
    -----
    Rows with more than ``k + 16`` candidates tied in the last place cost one pass over all rows of ``q`` each.

    Examples
    --------
    >>> p = DiagonalGaussian([[0.0], [1.0], [5.0]], [[1.0], [1.0], [1.0]])
    >>> nearest(p, 1).indices.ravel()
    array([1, 0, 1])
    """
    points, others = embedded(p, p if q is None else q)
    alone = q is None and exclude_self
    available = others.shape[0] - int(alone)
    if k < 1 or (k > available and len(points)):
        raise InvalidInput(f"k must be between 1 and {available}, the rows that can be neighbours; it is {k}")
    search = _Search(points, others, operator.index(k), alone)
    rows = max(1, _BLOCK_ENTRIES // max(1, len(others)))
    found = [search.block(start, min(start + rows, len(points))) for start in range(0, len(points), rows)]
    if not found:
        found = [(torch.zeros(0, k, dtype=torch.int64), torch.zeros(0, k, dtype=torch.float64))]
    indices, distances = (torch.cat(parts) for parts in zip(*found, strict=True))
    as_torch = is_torch(p, q)
    return Neighbours(give_back(indices, as_torch), give_back(distances, as_torch))


class _Search:
    """Candidates from centred inner products, decided by differences of the points as they are."""

    def __init__(self, points: Tensor, others: Tensor, k: int, alone: bool) -> None:
        self.points, self.others, self.k, self.alone = points, others, k, alone
        self.n_candidates = min(k + _SPARE_CANDIDATES, len(others) - int(alone))
        self.centre = others.mean(0)
        self.centred = others - self.centre
        self.square_norms = (self.centred * self.centred).sum(1)
        # Centring rounds each coordinate once: this bounds how far it can move two points against each other.
        self.shift = 2 * _EPS * float(torch.cat([points, others]).norm(dim=1).max()) if len(points) else 0.0

    def block(self, start: int, stop: int) -> tuple[Tensor, Tensor]:
        """Return indices and distances of the rows ``start:stop``."""
        block = self.points[start:stop]
        centred = block - self.centre
        own_norms = (centred * centred).sum(1)
        approximate = torch.addmm(self.square_norms[None, :], centred, self.centred.T, alpha=-2)
        approximate += own_norms[:, None]
        if self.alone:
            approximate[torch.arange(stop - start), torch.arange(start, stop)] = torch.inf
        thresholds, candidates = approximate.topk(self.n_candidates, dim=1, largest=False, sorted=False)
        candidates = candidates.sort(1).values
        distances = torch.linalg.vector_norm(self.others[candidates] - block[:, None, :], dim=2)
        distances, order = distances.sort(dim=1, stable=True)
        indices, distances = candidates.gather(1, order)[:, : self.k], distances[:, : self.k]
        if self.n_candidates == len(self.others) - int(self.alone):
            return indices, distances
        error = 4 * (block.shape[1] + 4) * _EPS * (own_norms + self.square_norms.max())
        missed_at = torch.sqrt((thresholds.amax(1) - error).clamp(min=0)) - self.shift
        for row in (missed_at <= distances[:, -1]).nonzero().flatten().tolist():
            indices[row], distances[row] = self._exhaustive(start + row)
        return indices, distances

    def _exhaustive(self, row: int) -> tuple[Tensor, Tensor]:
        distances = torch.linalg.vector_norm(self.others - self.points[row], dim=1)
        if self.alone:
            distances[row] = torch.inf
        distances, indices = distances.sort(stable=True)
        return indices[: self.k], distances[: self.k]
