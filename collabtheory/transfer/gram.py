r"""Inner products of users' gradients through their outer-product structure.

.. math:: \langle g_u, g_v \rangle = \frac{1}{S^2} \sum_l \sum_{s,t}
          (\delta_{l,us} \cdot \delta_{l,vt}) (h_{l,us} \cdot h_{l,vt} + 1)

The 1 is the bias. No gradient is formed: ``M^2 sum_l (a_l + b_l)`` multiplications for ``M = N S`` rows, half of it if
the two sets are the same.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from collabtheory.transfer.sensitivities import BLOCK_ROWS, Sensitivities, bias_term, user_blocks

WIDE = 4
"""A block of columns over one of rows: wider products run a tenth faster, and three of them still stay in the cache."""


@torch.no_grad()
def pooled_gram(left: Sensitivities, right: Sensitivities) -> Tensor:
    """Return ``<g_u, g_v>`` over all pairs of samples, ``(N_left, N_right)``; the same object twice is symmetric."""
    symmetric = left is right
    result = torch.empty(left.n_users, right.n_users, dtype=left.dtype)
    height, width = _block_shape(left, right)
    blocks = _BlockProducts(left, right, height, width)
    for panel in panels(left):
        panel_tops = left.top(panel)
        for columns in user_blocks(slice(0, right.n_users), right.n_samples, width):
            if symmetric and columns.stop <= panel.start:
                continue
            inside = symmetric and panel.start <= columns.start and columns.stop <= panel.stop
            tops = panel_tops[relative(columns, panel)] if inside else right.top(columns)
            for rows in user_blocks(panel, left.n_samples, height):
                if symmetric and columns.stop <= rows.start:
                    break
                # What lies to the left of the rows is the transpose of what was computed above them.
                here = slice(max(columns.start, rows.start), columns.stop) if symmetric else columns
                row_tops, column_tops = panel_tops[relative(rows, panel)], tops[relative(here, columns)]
                pooled = blocks.pooled(rows, here, row_tops, column_tops)
                if symmetric:
                    result[here, rows] = pooled.T
                result[rows, here] = pooled
    return result


def _block_shape(left: Sensitivities, right: Sensitivities) -> tuple[int, int]:
    """Return rows and columns of a block: flat where few blocks lie on the diagonal, of which half is not needed."""
    few = left is right and left.n_users * left.n_samples <= 8 * BLOCK_ROWS
    kept = right.kept_top is not None
    return BLOCK_ROWS // 2 if few else BLOCK_ROWS, WIDE * BLOCK_ROWS if kept else BLOCK_ROWS


def panels(state: Sensitivities) -> Iterator[slice]:
    """Yield slices of users whose output sensitivities are held at once: all, if they were kept.

    Where they are computed again, it is once for each panel, so panels are as large as the memory allows.
    """
    if state.kept_top is not None:
        yield slice(0, state.n_users)
        return
    step = max(1, BLOCK_ROWS // state.n_samples)
    user_bytes = state.n_samples * state.contents.n_items * state.dtype.itemsize
    n_blocks = max(1, state.memory_bytes // (user_bytes * step))
    yield from (slice(s, min(s + n_blocks * step, state.n_users)) for s in range(0, state.n_users, n_blocks * step))


def relative(users: slice, panel: slice) -> slice:
    """Return ``users`` counted from the start of the panel."""
    return slice(users.start - panel.start, users.stop - panel.start)


class _BlockProducts:
    """Products of one block of rows with one of columns, in three buffers that stay in the cache."""

    def __init__(self, left: Sensitivities, right: Sensitivities, height: int, width: int) -> None:
        self.left, self.right = left, right
        shape = (max(height, left.n_samples), max(width, right.n_samples))
        self.total, self.delta_products, self.input_products = (torch.empty(shape, dtype=left.dtype) for _ in range(3))

    def pooled(self, rows: slice, columns: slice, row_tops: Tensor, column_tops: Tensor) -> Tensor:
        """Return means over all pairs of samples, ``(rows, columns)``, until the next call; tops are ``(B, S, I)``."""
        left, right = self.left, self.right
        last = len(left.layers) - 1
        total = _into(self.total, row_tops, column_tops)
        total *= self._input_kernel(rows, columns, last)
        for position in range(last):
            deltas, others = left.of(left.deltas[position], rows), right.of(right.deltas[position], columns)
            product = _into(self.delta_products, deltas, others)
            total.addcmul_(product, self._input_kernel(rows, columns, position))
        return _means(total, left.n_samples, right.n_samples)

    def _input_kernel(self, rows: slice, columns: slice, layer: int) -> Tensor:
        inputs = self.left.of(self.left.inputs[layer], rows)
        kernel = _into(self.input_products, inputs, self.right.of(self.right.inputs[layer], columns))
        bias = bias_term(self.left.layers[layer])
        return kernel.add_(bias) if bias else kernel


def _means(total: Tensor, n_left: int, n_right: int) -> Tensor:
    """Return means over blocks ``(n_left, n_right)`` of a matrix: rows first, whose sums are of whole vectors."""
    if n_left > 1:
        total = total.view(-1, n_left, total.shape[1]).sum(1)
    if n_right > 1:
        total = total.view(len(total), -1, n_right).sum(2)
    return total.div_(n_left * n_right) if n_left * n_right > 1 else total


def _into(buffer: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Return all inner products of two ``(B, S, width)``, ``(B S, B' S')``, written into ``buffer``."""
    left, right = rows.flatten(0, 1), columns.flatten(0, 1)
    return torch.mm(left, right.T, out=buffer[: len(left), : len(right)])


@torch.no_grad()
def sample_products(state: Sensitivities) -> Tensor:
    """Return ``<g_us, g_ut>`` within each user, ``(N, S, S)``."""
    result = torch.empty(state.n_users, state.n_samples, state.n_samples, dtype=state.dtype)
    for users in state.blocks():
        total = torch.zeros(users.stop - users.start, state.n_samples, state.n_samples, dtype=state.dtype)
        for position in range(len(state.layers)):
            deltas = state.layer_deltas(position, users)
            total.addcmul_(deltas @ deltas.transpose(1, 2), state.input_products(position, users))
        result[users] = total
    return result


def diagonal_of(products: Tensor, kind: str) -> Tensor:
    """Return squared norms from ``<g_us, g_ut>`` ``(N, S, S)``: plug-in mean or unbiased off-diagonal mean, ``(N,)``.

    The plug-in norm is too large by the variance of one sample's gradient over ``S``.
    """
    n_samples = products.shape[1]
    total = products.sum((1, 2))
    if kind == "plug_in":
        return total / n_samples**2
    same = products.diagonal(dim1=1, dim2=2).sum(1)
    return (total - same) / (n_samples * (n_samples - 1))
