r"""What v's content would do to u at u's own codes.

.. math:: a(u, v) = \Big\langle g_u, \frac1S \sum_s G(x_v, z_{us}) \Big\rangle
                  = \frac1S \sum_s J_{us} \cdot (\mathrm{mean}(\eta_{us}; n_v) - x_v)

with :math:`J_{us}` the derivative of the logits at :math:`z_{us}` along :math:`g_u` in the parameters: one forward-mode
pass per code, whatever the number of contents.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from collabtheory.transfer.sensitivities import Sensitivities


@dataclass(frozen=True, eq=False)
class Tangents:
    """Derivatives along ``g_u`` in the parameters, at u's codes.

    Parameters
    ----------
    pre_activations
        Of each layer but the last, ``(B, S, b_l)``.
    logits
        ``J``, ``(B, S, I)``.
    """

    pre_activations: tuple[Tensor, ...]
    logits: Tensor


def tangents(state: Sensitivities, users: slice) -> Tangents:
    """Push ``g_u`` forward through the decoder at each of u's codes."""
    last = len(state.layers) - 1
    along: list[Tensor] = []
    hidden: Tensor | None = None
    for position, layer in enumerate(state.layers):
        direct = state.input_products(position, users) / state.n_samples @ state.layer_deltas(position, users)
        along.append(direct if hidden is None else direct + hidden @ layer.weight.T)
        if position < last:
            hidden = layer.activation.derivative(state.of(state.pre_activations[position], users)) * along[-1]
    return Tangents(tuple(along[:-1]), along[-1])


@torch.no_grad()
def alignments(state: Sensitivities) -> Tensor:
    """Return ``a(u, v)``, ``(N, N)``."""
    result = torch.empty(state.n_users, state.n_users, dtype=state.dtype)
    for users in state.blocks():
        along = tangents(state, users).logits
        block = -state.weighted_product(along.mean(1).T).T
        for part, factor in zip(state.mean.evaluate(state.logits(users)), state.coefficients, strict=True):
            block = block + (along * part).sum(2).mean(1)[:, None] * factor
        result[users] = block
    return result
