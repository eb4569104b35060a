r"""Local slopes of the scalar :math:`\varphi_{uv}(z) = \langle g_u, G(x_v, z) \rangle` at u's codes.

:math:`\varphi_{uv}(z) = J_u(z) \cdot (\mathrm{mean}(\eta(z); n_v) - x_v)`, with :math:`J_u(z)` the derivative of the
logits along :math:`g_u`. Its gradient in ``z`` is one backward pass through the forward-mode pass, all ``v`` at once.
"""

from __future__ import annotations

import torch
from torch import Tensor

from collabtheory.transfer.affine_mean import sum_of_parts
from collabtheory.transfer.sensitivities import Sensitivities
from collabtheory.transfer.tangents import tangents


@torch.no_grad()
def largest_slopes(state: Sensitivities, n_samples: int) -> Tensor:
    """Return ``max_s || grad_z <g_u, G(x_v, z)> ||`` at ``z = z_us``, ``s < n_samples``, ``(N, N)``."""
    result = torch.zeros(state.n_users, state.n_users, dtype=state.dtype)
    for users in state.blocks():
        adjoints = _TopAdjoints(state, users)
        for u in range(users.start, users.stop):
            for s in range(n_samples):
                gradient = _gradient(state, adjoints, u - users.start, s)
                torch.maximum(result[u], torch.linalg.vector_norm(gradient, dim=1), out=result[u])
    return result


class _TopAdjoints:
    """What the last layer hands down: everything that has the width of the items, contracted block by block."""

    def __init__(self, state: Sensitivities, users: slice) -> None:
        self.users = users
        self.along = tangents(state, users)
        logits, top = state.logits(users), state.top(users)
        parts = state.mean.evaluate(logits)
        weight = state.layers[-1].weight
        self.curvature = tuple(w @ weight for w in state.mean.tangents(logits, self.along.logits))
        self.mean_products = tuple(part @ top.transpose(1, 2) for part in parts)
        products = state.weighted_product(top.flatten(0, 1).T)
        self.content_products = products.view(state.n_users, *top.shape[:2])


def _gradient(state: Sensitivities, adjoints: _TopAdjoints, b: int, s: int) -> Tensor:
    """Return the gradient in ``z`` at code ``s`` of the block's user ``b``, for every content ``v``, ``(N, d)``."""
    u = adjoints.users.start + b
    factors = tuple(factor[:, None] for factor in state.coefficients)
    products = sum_of_parts(tuple(p[b, s] for p in adjoints.mean_products), factors) - adjoints.content_products[:, b]
    inputs = state.of(state.inputs[-1], slice(u, u + 1))[0]
    primal = sum_of_parts(tuple(c[b, s] for c in adjoints.curvature), factors) + products @ inputs / state.n_samples
    if len(state.layers) == 1:
        return primal
    row = u * state.n_samples + s
    tangent = sum_of_parts(tuple(m[row] for m in state.pulled_means), factors) - state.pulled_contents
    for position in range(len(state.layers) - 2, -1, -1):
        layer, pre = state.layers[position], state.pre_activations[position][row]
        slope = layer.activation.derivative(pre)
        bend = layer.activation.second_derivative(pre) * adjoints.along.pre_activations[position][b, s]
        primal = primal * slope + tangent * bend
        tangent = tangent * slope
        here = slice(u, u + 1)
        deltas, inputs = state.of(state.deltas[position], here)[0], state.of(state.inputs[position], here)[0]
        primal = primal @ layer.weight + (tangent @ deltas.T) @ inputs / state.n_samples
        if position:
            tangent = tangent @ layer.weight
    return primal
