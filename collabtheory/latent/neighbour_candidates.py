r"""Few points that may be among the nearest, from matrix products, and how far away all others are at least.

With ``x`` and ``y`` centred, :math:`\|x - y\|^2 - \|x\|^2 = \|y\|^2 - 2 x'y` is one product of ``[-2x, 1]`` and
``[y, |y|^2]``. The ``c`` smallest entries of a row lie in the ``c`` groups of columns with the smallest minima, so that
only these are looked through: one pass over the products instead of a partial sort of them.

Every entry is computed with an error of at most :math:`(n + 16) u (3\|x\|^2 + 4\|x\|\|y\| + \|y\|^2)` for ``n``
products of unit roundoff ``u``, the rounding of ``x`` and ``y`` included. A point with :math:`\|y\| > \|x\| + r` is
farther than ``r`` anyway, so that the bound needs no largest norm: outliers do not spoil it for the others.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

GROUP = 32
TILE = 2048
"""Columns of one product: with 256 rows it fits into the cache that the minima are then taken from."""
ROWS = 256


@dataclass(frozen=True, eq=False)
class Candidates:
    """Some columns for each row of a block, and what is known of the others.

    Parameters
    ----------
    columns
        ``(rows, c)`` int64, ascending.
    threshold
        ``(rows,)`` float64: no other column has a computed ``|x - y|^2 - |x|^2`` below this.
    """

    columns: Tensor
    threshold: Tensor


class CandidateSearch:
    """Candidates among fixed centred points, in one precision.

    Parameters
    ----------
    n, width
        Number of points and of their coordinates.
    centred
        The points in parts of some rows, ``(rows, width)`` float64, entries of at most about 1.
    n_candidates
        How many for each row.
    dtype
        Of the products.
    rows
        Most rows of a block; the buffers are of that size and used again.
    """

    def __init__(
        self, n: int, width: int, centred: Iterable[Tensor], n_candidates: int, dtype: torch.dtype, rows: int
    ) -> None:
        self.n_candidates, self.dtype, self.width = n_candidates, dtype, width
        self.tile = min(TILE, -(-n // GROUP) * GROUP)
        n_tiles = -(-n // self.tile)
        self.right = torch.zeros(n_tiles * self.tile, width + 1, dtype=dtype)
        start = 0
        for part in centred:
            self.right[start : start + len(part), :width] = part
            self.right[start : start + len(part), width] = (part * part).sum(1)
            start += len(part)
        self.right[n:, width] = torch.inf
        self.products = torch.empty(n_tiles, rows, self.tile, dtype=dtype)
        self.minima = torch.empty(n_tiles, rows, self.tile // GROUP, dtype=dtype)

    def of(self, block: Tensor, own: Tensor | None) -> Candidates:
        """Return the candidates of centred points ``(rows, width)``, never the column ``own`` of a row."""
        left = torch.cat([-2 * block, block.new_ones(len(block), 1)], 1).to(self.dtype)
        return self._smallest(self._minima(left, own), len(block))

    def covers(self, found: Candidates, square_norms: Tensor, radii: Tensor, shift: float) -> Tensor:
        """Whether every point that is no candidate is farther than ``radii``, row by row, ``shift`` for centring."""
        reach = radii + shift
        norms = square_norms.sqrt()
        bound = norms + reach
        unit, tiny = torch.finfo(self.dtype).eps / 2, torch.finfo(self.dtype).tiny
        size = 3 * square_norms + 4 * norms * bound + bound * bound
        error = (self.width + 16) * (unit * size + 16 * tiny)
        return (square_norms + found.threshold - error) > reach * reach * (1 + 1e-12)

    def _minima(self, left: Tensor, own: Tensor | None) -> Tensor:
        """Fill the products of a block tile by tile; return the minimum of every group, ``(rows, groups)``."""
        rows = len(left)
        tile_of = None if own is None else own // self.tile
        for tile, right in enumerate(in_blocks(self.right, self.tile)):
            products = self.products[tile, :rows]
            torch.mm(left, right.T, out=products)
            if own is not None and tile_of is not None and (here := (tile_of == tile).nonzero().flatten()).numel():
                products[here, own[here] - tile * self.tile] = torch.inf
            torch.amin(products.view(rows, -1, GROUP), 2, out=self.minima[tile, :rows])
        return self.minima[:, :rows].transpose(0, 1).reshape(rows, -1)

    def _smallest(self, minima: Tensor, rows: int) -> Candidates:
        groups = _smallest(minima, min(self.n_candidates, minima.shape[1]))
        per_tile = self.tile // GROUP
        row = torch.arange(rows)[:, None]
        # The products of a tile are contiguous: (tile, row, group, GROUP).
        position = (groups // per_tile * self.products.shape[1] + row) * per_tile + groups % per_tile
        entries = self.products.view(-1, GROUP).index_select(0, position.flatten()).view(rows, -1)
        chosen = _smallest(entries, self.n_candidates)
        columns = groups.gather(1, chosen // GROUP) * GROUP + chosen % GROUP
        threshold = entries.gather(1, chosen).amax(1).to(torch.float64)
        return Candidates(columns.sort(dim=1).values, threshold)


def in_blocks(values: Tensor, size: int) -> Iterator[Tensor]:
    """Yield views of ``size`` rows; the last may have fewer."""
    return (values[start : start + size] for start in range(0, len(values), size))


def _smallest(values: Tensor, k: int) -> Tensor:
    """Return the positions of the ``k`` smallest entries of each row, in any order, ``(rows, k)``."""
    if k == values.shape[1]:
        return torch.arange(k).expand(len(values), k)
    # NumPy's partition takes half the time of torch.topk here.
    return torch.from_numpy(np.argpartition(values.numpy(), k - 1, axis=1)[:, :k])
