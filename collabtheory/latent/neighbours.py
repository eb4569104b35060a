"""Nearest latent neighbours in W_2, exact, in bounded memory."""

from __future__ import annotations

import operator
from dataclasses import dataclass

import torch
from torch import Tensor

from collabtheory.errors import InvalidInput
from collabtheory.latent._kinds import give_back, is_torch
from collabtheory.latent.neighbour_candidates import GROUP, ROWS, CandidateSearch, in_blocks
from collabtheory.latent.wasserstein import embedded, largest_entry
from collabtheory.models.posterior import Array, DiagonalGaussian
from collabtheory.runs.memory import rows_within

SPARE_CANDIDATES = 16
_REFINED_ROWS = 16
_CENTRED_ROWS = 4096
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
    n_doubtful, n_exhaustive
        Rows that float32 products could not certify, and those of them that float64 products could not either, which
        were compared with every point. All rows are exact.
    """

    indices: Array
    distances: Array
    n_doubtful: int = 0
    n_exhaustive: int = 0


def nearest(p: DiagonalGaussian, k: int, *, q: DiagonalGaussian | None = None, exclude_self: bool = True) -> Neighbours:
    """Find the ``k`` nearest posteriors in W_2 of every row of ``p``.

    W_2 of diagonal Gaussians is the Euclidean distance of ``[mu, sigma]``. Candidates come from centred matrix products
    in float32; their distances are then computed from differences in float64, and a row whose candidates could miss a
    neighbour through rounding is searched again, in float64 and if need be from differences. The result is that of
    brute force.

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
        If ``k`` is not between 1 and the number of candidates, the dimensions differ, or the memory bound is too low.

    Notes
    -----
    Time grows with ``n_users * q.n_users * d``, memory with ``n_users * (d + k) + q.n_users * (d + rows of a block)``;
    the block is as large as the memory bound allows (:mod:`collabtheory.runs.memory`). Points with more than ``k + 16``
    candidates tied in the last place cost one pass over all rows of ``q`` each, equal points together.

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
    doubtful = search.search(torch.arange(len(points)), torch.float32)
    exhaustive = search.search(doubtful, torch.float64)
    search.compare_all(exhaustive)
    as_torch = is_torch(p, q)
    return Neighbours(
        give_back(search.indices, as_torch), give_back(search.distances, as_torch), len(doubtful), len(exhaustive)
    )


def nearest_bytes(n_users: int, n_others: int, n_dimensions: int, k: int, rows: int = ROWS) -> int:
    """Predict the most memory :func:`nearest` takes besides its input: points, products of a block, and the result."""
    width, c = 2 * n_dimensions, k + SPARE_CANDIDATES
    row, fixed = _row_bytes(n_others, c, 4), _fixed_bytes(n_users, n_others, width, k, 4)
    return fixed + rows * row + 8 * c * _REFINED_ROWS * width


def _row_bytes(n_others: int, n_candidates: int, size: int) -> int:
    """Return what a row of a block takes: its products, the groups' minima twice and their order, the candidates."""
    return size * n_others + (2 * size + 8) * n_others // GROUP + (size + 8) * GROUP * n_candidates


def _fixed_bytes(n_users: int, n_others: int, width: int, k: int, size: int) -> int:
    """Return what is there whatever the blocks are: points, the right side of the products, the result."""
    largest = max(n_users, n_others)
    points = 8 * width * largest + 2 * 8 * min(_CENTRED_ROWS, largest) * width
    return points + size * n_others * (width + 1) + 16 * k * n_users


class _Search:
    """Candidates from centred products, decided by differences of the points as they are."""

    def __init__(self, points: Tensor, others: Tensor, k: int, alone: bool) -> None:
        self.points, self.others, self.k, self.alone = points, others, k, alone
        self.n_candidates = min(k + SPARE_CANDIDATES, max(0, len(others) - int(alone)))
        self.indices = torch.zeros(len(points), k, dtype=torch.int64, device=points.device)
        self.distances = torch.zeros(len(points), k, dtype=torch.float64, device=points.device)
        if len(points):
            self.centre = others.mean(0)
            self.scale = 1 / max(float(largest_entry(part - self.centre)) for part in _parts(points, others))
            largest = max(float(torch.linalg.vector_norm(part, dim=1).max()) for part in _parts(points, others))
            # Centring rounds each coordinate once: this bounds how far it can move two points against each other.
            self.shift = 2 * _EPS * largest * self.scale

    def search(self, rows: Tensor, dtype: torch.dtype) -> Tensor:
        """Find the neighbours of some points by products in one precision; return the points that stay in doubt."""
        if not len(rows):
            return rows
        n, width = self.others.shape
        size = dtype.itemsize
        most = rows_within(
            _row_bytes(n, self.n_candidates, size),
            fixed=_fixed_bytes(len(self.points), n, width, self.k, size),
            most=min(ROWS, len(rows)),
            what=f"the search for neighbours among {n:,} points",
        )
        search = CandidateSearch(
            n,
            width,
            (self._centred(part) for part in in_blocks(self.others, _CENTRED_ROWS)),
            self.n_candidates,
            dtype,
            most,
        )
        return torch.cat([self._block(search, part) for part in in_blocks(rows, most)])

    def _centred(self, points: Tensor) -> Tensor:
        return (points - self.centre) * self.scale

    def _block(self, search: CandidateSearch, rows: Tensor) -> Tensor:
        centred = self._centred(self.points[rows])
        found = search.of(centred, rows if self.alone else None)
        distances, order = self._refined(rows, found.columns).sort(dim=1, stable=True)
        self.indices[rows] = found.columns.gather(1, order)[:, : self.k]
        self.distances[rows] = distances[:, : self.k]
        if self.n_candidates == len(self.others) - int(self.alone):
            return rows[:0]
        square_norms = (centred * centred).sum(1)
        return rows[~search.covers(found, square_norms, distances[:, self.k - 1] * self.scale, self.shift)]

    def _refined(self, rows: Tensor, columns: Tensor) -> Tensor:
        """Return the distances of points to their candidates from differences, in one small buffer."""
        n_columns, width = columns.shape[1], self.points.shape[1]
        result = torch.empty(columns.shape, dtype=torch.float64, device=columns.device)
        buffer = result.new_empty(_REFINED_ROWS * n_columns, width)
        for start in range(0, len(rows), _REFINED_ROWS):
            chosen = columns[start : start + _REFINED_ROWS]
            part = buffer[: chosen.numel()]
            torch.index_select(self.others, 0, chosen.flatten(), out=part)
            differences = part.view(len(chosen), n_columns, width)
            differences -= self.points[rows[start : start + len(chosen)], None]
            torch.linalg.vector_norm(differences, dim=2, out=result[start : start + len(chosen)])
        return result

    def compare_all(self, rows: Tensor) -> None:
        """Find the neighbours of some points by comparing them with all, equal points once."""
        if not len(rows):
            return
        distinct, which = torch.unique(self.points[rows], dim=0, return_inverse=True)
        for number, point in enumerate(distinct):
            indices, distances = self._exhaustive(point)
            for row in rows[which == number].tolist():
                keep = (indices != row).nonzero().flatten() if self.alone else slice(None)
                self.indices[row], self.distances[row] = indices[keep][: self.k], distances[keep][: self.k]

    def _exhaustive(self, point: Tensor) -> tuple[Tensor, Tensor]:
        """Return one more neighbour than wanted where the point itself is one of them."""
        wanted = self.k + int(self.alone)
        distances = torch.cat(
            [torch.linalg.vector_norm(part - point, dim=1) for part in in_blocks(self.others, _CENTRED_ROWS)]
        )
        last = distances.kthvalue(wanted).values
        near = (distances <= last).nonzero().flatten()
        ordered, order = distances[near].sort(stable=True)
        return near[order][:wanted], ordered[:wanted]


def _parts(points: Tensor, others: Tensor) -> tuple[Tensor, ...]:
    whole = (points,) if points is others else (points, others)
    return tuple(part for one in whole for part in in_blocks(one, _CENTRED_ROWS) if len(part))
