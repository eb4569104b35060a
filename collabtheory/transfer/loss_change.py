r"""The exact loss change of one gradient step, without forming the step and without subtracting losses.

A step ``theta - lr g_v`` changes layer ``l`` by the low-rank :math:`-\frac{lr}{S} \sum_t \delta_{l,vt} h_{l,vt}^\top`.
At u's code ``s``, with :math:`k_t = -\frac{lr}{S} (h_{l,vt} \cdot h'_{l,us} + 1)`, the pre-activation changes by

.. math:: da_l = W_l\, dh_l + \sum_t k_t\, \delta_{l,vt},

:math:`h'` being the input after the step. Each ``dh`` is computed as a difference, not from two values, so that the
result keeps its digits however small the learning rate is (two losses subtracted keep none at 1e-10).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from collabtheory.transfer.differences import activation_change
from collabtheory.transfer.remainders import Remainder, remainder_of
from collabtheory.transfer.sensitivities import BLOCK_ROWS, Sensitivities, Users, bias_term


@dataclass(frozen=True, eq=False)
class _Rows:
    """What each layer sees of some users: inputs, pre-activations and deltas, each ``(B, R, width)``."""

    inputs: tuple[Tensor, ...]
    pre_activations: tuple[Tensor, ...]
    deltas: tuple[Tensor, ...]


@torch.no_grad()
def loss_changes(state: Sensitivities, rates: list[float], users: Tensor, sources: Tensor) -> Tensor:
    """Return ``L_u(theta - rate g_v) - L_u(theta)``, ``(rates, users, sources)``."""
    result = torch.empty(len(rates), len(users), len(sources), dtype=state.dtype)
    if result.numel() == 0:
        return result
    step = max(1, BLOCK_ROWS // state.n_samples)
    start = 0
    for block in torch.split(users, step):
        target = _rows(state, block, top=False, flat=True)
        remainder = remainder_of(state, block)
        change = torch.empty(1, len(block) * state.n_samples, state.contents.n_items, dtype=state.dtype)
        for position, source, kernels in _each_source(state, target, remainder, sources, step):
            for k, rate in enumerate(rates):
                rows = _propagate(state, target, source, kernels, remainder, rate, change)
                result[k, start : start + len(block), position] = rows.view(len(block), -1).mean(1)
        start += len(block)
    return result


@torch.no_grad()
def pair_loss_changes(state: Sensitivities, rates: list[float], rows: Tensor, columns: Tensor) -> Tensor:
    """Return the same for the pairs ``(rows[p], columns[p])`` only, ``(rates, P)``."""
    result = torch.empty(len(rates), len(rows), dtype=state.dtype)
    step = max(1, BLOCK_ROWS // state.n_samples)
    for start in range(0, len(rows), step):
        here = slice(start, min(start + step, len(rows)))
        target = _rows(state, rows[here], top=False)
        source = _rows(state, columns[here], top=True)
        remainder = remainder_of(state, rows[here])
        kernels = (
            target.inputs[0] @ source.inputs[0].transpose(1, 2) + bias_term(state.layers[0]),
            remainder.direction @ source.deltas[-1].transpose(1, 2),
        )
        change = torch.empty(len(rows[here]), state.n_samples, state.contents.n_items, dtype=state.dtype)
        for k, rate in enumerate(rates):
            result[k, here] = _propagate(state, target, source, kernels, remainder, rate, change).mean(1)
    return result


def _rows(state: Sensitivities, users: Users, *, top: bool, flat: bool = False) -> _Rows:
    def gather(tensors: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        found = (state.of(tensor, users) for tensor in tensors)
        return tuple(rows.reshape(1, -1, rows.shape[-1]) if flat else rows for rows in found)

    deltas = gather(state.deltas)
    return _Rows(gather(state.inputs), gather(state.pre_activations), (*deltas, state.top(users)) if top else deltas)


def _each_source(
    state: Sensitivities, target: _Rows, remainder: Remainder, sources: Tensor, step: int
) -> Iterator[tuple[int, _Rows, tuple[Tensor, Tensor]]]:
    # Products with the codes and sensitivities of one source have only S columns; made for many sources at once,
    # they run at full rate.
    n_samples = state.n_samples
    direction = remainder.direction.flatten(0, 1)
    repeats = target.inputs[0].shape[1] // len(direction)
    position = 0
    for block in torch.split(sources, step):
        rows = _rows(state, block, top=True)
        code_kernel = target.inputs[0][0] @ rows.inputs[0].flatten(0, 1).T + bias_term(state.layers[0])
        direction_kernel = (direction @ rows.deltas[-1].flatten(0, 1).T).repeat_interleave(repeats, 0)
        for v in range(len(block)):
            columns = slice(v * n_samples, (v + 1) * n_samples)
            one = _Rows(*(tuple(t[v : v + 1] for t in group) for group in (rows.inputs, (), rows.deltas)))
            yield position, one, (code_kernel[None, :, columns], direction_kernel[None, :, columns])
            position += 1


def _propagate(
    state: Sensitivities,
    target: _Rows,
    source: _Rows,
    kernels: tuple[Tensor, Tensor],
    remainder: Remainder,
    rate: float,
    change: Tensor,
) -> Tensor:
    """Return the loss change of each row of the target, ``(B, R)``; ``change`` ``(B, R, I)`` is overwritten."""
    step = -rate / state.n_samples
    code_kernel, direction_kernel = kernels
    factors = step * code_kernel
    loss = torch.zeros(factors.shape[:2], dtype=state.dtype)
    hidden: Tensor | None = None
    last = len(state.layers) - 1
    for position, layer in enumerate(state.layers):
        if hidden is not None:
            moved = target.inputs[position] + hidden
            factors = step * (moved @ source.inputs[position].transpose(1, 2) + bias_term(layer))
        moved_pre = torch.bmm(factors, source.deltas[position], out=change if position == last else None)
        if hidden is not None:
            moved_pre.view(-1, layer.n_outputs).addmm_(hidden.view(-1, layer.n_inputs), layer.weight.T)
        if position < last:
            pre, value = target.pre_activations[position], target.inputs[position + 1]
            hidden = activation_change(layer.activation, pre, value, moved_pre)
    if hidden is not None:
        shape = (*remainder.direction_hidden.shape[:2], -1, hidden.shape[-1])
        loss += (hidden.view(shape) * remainder.direction_hidden[:, :, None, :]).sum(-1).view(loss.shape)
    return loss + (factors * direction_kernel).sum(-1) + remainder(change)
