r"""Inner products of users' gradients through their outer-product structure.

.. math:: \langle g_u, g_v \rangle = \frac{1}{S^2} \sum_l \sum_{s,t}
          (\delta_{l,us} \cdot \delta_{l,vt}) (h_{l,us} \cdot h_{l,vt} + 1)

The 1 is the bias. No gradient is formed: ``M^2 sum_l (a_l + b_l)`` multiplications for ``M = N S`` rows, half of it if
the two sets are the same.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from collabtheory.transfer.sensitivities import Sensitivities, bias_term


@dataclass(frozen=True, eq=False)
class SampledGram:
    """Gram matrix from same-sample products only, with what sampling noise is left in it.

    Parameters
    ----------
    mean
        ``(N, N)``: mean over ``s`` of ``<g_us, g_vs>``.
    standard_error
        ``(N, N)``: its standard error over the ``S`` samples; NaN for ``S = 1``.
    """

    mean: Tensor
    standard_error: Tensor


@torch.no_grad()
def pooled_gram(left: Sensitivities, right: Sensitivities) -> Tensor:
    """Return ``<g_u, g_v>`` over all pairs of samples, ``(N_left, N_right)``; the same object twice is symmetric."""
    symmetric = left is right
    result = torch.empty(left.n_users, right.n_users, dtype=left.dtype)
    for rows in left.blocks():
        row_tops = left.top(rows).flatten(0, 1)
        for columns in right.blocks():
            if symmetric and columns.start < rows.start:
                continue
            column_tops = row_tops if symmetric and columns == rows else right.top(columns).flatten(0, 1)
            pooled = _block(left, right, rows, columns, (row_tops, column_tops))
            result[rows, columns] = pooled
            if symmetric and columns.start > rows.start:
                result[columns, rows] = pooled.T
    return result


def _block(
    left: Sensitivities, right: Sensitivities, rows: slice, columns: slice, tops: tuple[Tensor, Tensor]
) -> Tensor:
    total = torch.mm(tops[0], tops[1].T)
    total *= _input_kernel(left, right, rows, columns, len(left.layers) - 1)
    for position in range(len(left.layers) - 1):
        deltas = left.of(left.deltas[position], rows).flatten(0, 1)
        others = right.of(right.deltas[position], columns).flatten(0, 1)
        total.addcmul_(torch.mm(deltas, others.T), _input_kernel(left, right, rows, columns, position))
    shape = (rows.stop - rows.start, left.n_samples, columns.stop - columns.start, right.n_samples)
    return total.view(shape).sum(3).sum(1) / (left.n_samples * right.n_samples)


def _input_kernel(left: Sensitivities, right: Sensitivities, rows: slice, columns: slice, layer: int) -> Tensor:
    kernel = left.of(left.inputs[layer], rows).flatten(0, 1) @ right.of(right.inputs[layer], columns).flatten(0, 1).T
    bias = bias_term(left.layers[layer])
    return kernel.add_(bias) if bias else kernel


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


@torch.no_grad()
def same_sample_gram(state: Sensitivities) -> SampledGram:
    """Pair sample ``s`` of ``u`` with sample ``s`` of ``v`` only: an incomplete U-statistic of ``S`` products.

    Unbiased for ``u != v`` only if the noise is independent across users.
    """
    mean = torch.zeros(state.n_users, state.n_users, dtype=state.dtype)
    squares = torch.zeros_like(mean)
    for s in range(state.n_samples):
        change = _one_sample_gram(state, s) - mean
        # Welford's update: the textbook difference of moments cancels where the samples agree.
        mean += change / (s + 1)
        squares.addcmul_(change, change, value=s / (s + 1))
    if state.n_samples == 1:
        return SampledGram(mean, torch.full_like(mean, torch.nan))
    return SampledGram(mean, torch.sqrt(squares / (state.n_samples - 1) / state.n_samples))


def _one_sample_gram(state: Sensitivities, s: int) -> Tensor:
    total = torch.zeros(state.n_users, state.n_users, dtype=state.dtype)
    everyone = slice(None)
    for position, layer in enumerate(state.layers):
        inputs = state.of(state.inputs[position], everyone)[:, s]
        deltas = _column_of_deltas(state, position, s)
        total.addcmul_(deltas @ deltas.T, inputs @ inputs.T + bias_term(layer))
    return total


def _column_of_deltas(state: Sensitivities, layer: int, s: int) -> Tensor:
    if layer < len(state.layers) - 1 or state.kept_top is not None:
        return state.layer_deltas(layer, slice(None))[:, s]
    return torch.cat([state.top(users)[:, s] for users in state.blocks()])


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
