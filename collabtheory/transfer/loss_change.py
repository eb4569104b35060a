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

from collabtheory.transfer.buffers import aligned_empty
from collabtheory.transfer.differences import activation_change
from collabtheory.transfer.remainders import Remainder, remainder_of
from collabtheory.transfer.sensitivities import Sensitivities, Users, bias_term

STEP_ROWS = 512
"""Rows moved at once: each product packs the last weights anew, which 256 rows do not pay back."""


@dataclass(frozen=True, eq=False)
class Rows:
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
    step = max(1, STEP_ROWS // state.n_samples)
    start = 0
    for block in torch.split(users, step):
        target = rows_of(state, block, top=False, flat=True)
        remainder = remainder_of(state, block)
        logit_change = _LogitChange(state, len(block) * state.n_samples)
        for position, source, kernels in _each_source(state, target, remainder, sources, step):
            for k, rate in enumerate(rates):
                rows = _propagate(state, target, source, kernels, remainder, rate, logit_change)
                result[k, start : start + len(block), position] = rows.view(len(block), -1).mean(1)
        start += len(block)
    return result


@torch.no_grad()
def pair_loss_changes(state: Sensitivities, rates: list[float], rows: Tensor, columns: Tensor) -> Tensor:
    """Return the same for the pairs ``(rows[p], columns[p])`` only, ``(rates, P)``."""
    result = torch.empty(len(rates), len(rows), dtype=state.dtype)
    step = max(1, STEP_ROWS // state.n_samples)
    for start in range(0, len(rows), step):
        here = slice(start, min(start + step, len(rows)))
        target = rows_of(state, rows[here], top=False)
        source = rows_of(state, columns[here], top=True)
        remainder = remainder_of(state, rows[here])
        kernels = (
            target.inputs[0] @ source.inputs[0].transpose(1, 2) + bias_term(state.layers[0]),
            remainder.direction @ source.deltas[-1].transpose(1, 2),
        )
        logit_change = _PairLogitChange(state, len(rows[here]))
        for k, rate in enumerate(rates):
            result[k, here] = _propagate(state, target, source, kernels, remainder, rate, logit_change).mean(1)
    return result


def rows_of(state: Sensitivities, users: Users, *, top: bool, flat: bool = False) -> Rows:
    """Gather the rows of ``users``: one batch a user, or a single batch; with output sensitivities or without."""

    def gather(tensors: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        found = (state.of(tensor, users) for tensor in tensors)
        return tuple(rows.reshape(1, -1, rows.shape[-1]) if flat else rows for rows in found)

    deltas = gather(state.deltas)
    return Rows(gather(state.inputs), gather(state.pre_activations), (*deltas, state.top(users)) if top else deltas)


def _each_source(
    state: Sensitivities, target: Rows, remainder: Remainder, sources: Tensor, step: int
) -> Iterator[tuple[int, Rows, tuple[Tensor, Tensor]]]:
    # Products with the codes and sensitivities of one source have only S columns; made for many sources at once,
    # they run at full rate.
    n_samples = state.n_samples
    direction = remainder.direction.flatten(0, 1)
    repeats = target.inputs[0].shape[1] // len(direction)
    position = 0
    for block in torch.split(sources, step):
        rows = rows_of(state, block, top=True)
        code_kernel = target.inputs[0][0] @ rows.inputs[0].flatten(0, 1).T + bias_term(state.layers[0])
        direction_kernel = (direction @ rows.deltas[-1].flatten(0, 1).T).repeat_interleave(repeats, 0)
        for v in range(len(block)):
            columns = slice(v * n_samples, (v + 1) * n_samples)
            one = Rows(*(tuple(t[v : v + 1] for t in group) for group in (rows.inputs, (), rows.deltas)))
            yield position, one, (code_kernel[None, :, columns], direction_kernel[None, :, columns])
            position += 1


def _propagate(
    state: Sensitivities,
    target: Rows,
    source: Rows,
    kernels: tuple[Tensor, Tensor],
    remainder: Remainder,
    rate: float,
    logit_change: _LogitChange | _PairLogitChange,
) -> Tensor:
    """Return the loss change of each row of the target, ``(B, R)``."""
    code_kernel, direction_kernel = kernels
    factors, hidden = hidden_change(state, target, source, code_kernel, rate)
    change = logit_change(hidden, factors, source.deltas[-1])
    loss = (factors * direction_kernel).sum(-1)
    if hidden is not None:
        shape = (*remainder.direction_hidden.shape[:2], -1, hidden.shape[-1])
        loss += (hidden.view(shape) @ remainder.direction_hidden[..., None]).view(loss.shape)
    return loss + remainder(change)


class _LogitChange:
    """``dl = W dh + sum_t k_t delta_t`` of one source, as a single product of ``[dh, k]`` and ``[W', delta]``."""

    def __init__(self, state: Sensitivities, n_rows: int) -> None:
        weight = state.layers[-1].weight
        self.width = weight.shape[1] if len(state.layers) > 1 else 0
        self.weight = aligned_empty(self.width + state.n_samples, len(weight), state.dtype)
        self.weight[: self.width] = weight.T[: self.width]
        self.inputs = aligned_empty(n_rows, self.width + state.n_samples, state.dtype)
        self.change = aligned_empty(n_rows, len(weight), state.dtype)

    def __call__(self, hidden: Tensor | None, factors: Tensor, deltas: Tensor) -> Tensor:
        """Return ``dl``, ``(1, R, I)``, overwritten by the next call."""
        if hidden is not None:
            self.inputs[:, : self.width] = hidden[0]
        self.inputs[:, self.width :] = factors[0]
        self.weight[self.width :] = deltas[0]
        return torch.mm(self.inputs, self.weight, out=self.change)[None]


class _PairLogitChange:
    """The same of a source for each user, which no single product can give."""

    def __init__(self, state: Sensitivities, n_users: int) -> None:
        self.weight = state.layers[-1].weight
        self.change = torch.empty(n_users, state.n_samples, len(self.weight), dtype=state.dtype)

    def __call__(self, hidden: Tensor | None, factors: Tensor, deltas: Tensor) -> Tensor:
        """Return ``dl``, ``(B, S, I)``, overwritten by the next call."""
        change = torch.bmm(factors, deltas, out=self.change)
        if hidden is not None:
            change.flatten(0, 1).addmm_(hidden.flatten(0, 1), self.weight.T)
        return change


def hidden_change(
    state: Sensitivities, target: Rows, source: Rows, code_kernel: Tensor, rate: float
) -> tuple[Tensor, Tensor | None]:
    """Return the ``k_t`` of the last layer, ``(B, R, S)``, and the change ``dh`` of its input, ``(B, R, a_L)``.

    ``code_kernel`` is ``z_vt . z_us + 1``; without a hidden layer there is no ``dh``.
    """
    step = -rate / state.n_samples
    factors = step * code_kernel
    hidden: Tensor | None = None
    for position, layer in enumerate(state.layers[:-1]):
        moved_pre = torch.bmm(factors, source.deltas[position])
        if hidden is not None:
            moved_pre.view(-1, layer.n_outputs).addmm_(hidden.view(-1, layer.n_inputs), layer.weight.T)
        pre, value = target.pre_activations[position], target.inputs[position + 1]
        hidden = activation_change(layer.activation, pre, value, moved_pre)
        following = source.inputs[position + 1].transpose(1, 2)
        factors = step * (value @ following + hidden @ following + bias_term(state.layers[position + 1]))
    return factors, hidden
