r"""How much two contents disagree about the decoder, at the same codes.

.. math:: D_x(u, v) = \Big\| \frac1S \sum_s [G(x_u, z_{vs}) - G(x_v, z_{vs})] \Big\|

The sensitivities are linear in content: at v's code the difference is
:math:`\sum_k (c_{k,u} - c_{k,v}) m_k - (x_u - x_v)`. Expanding the squared norm in these few differences leaves, for
each ``v``, one weight vector per layer width; all users ``u`` then cost one product with it. Every term is a product of
two differences, so equal contents give exactly zero and near twins lose no digits.
"""

from __future__ import annotations

import torch
from torch import Tensor

from collabtheory.transfer.sensitivities import Sensitivities


@torch.no_grad()
def mismatches(state: Sensitivities) -> Tensor:
    """Return ``D_x(u, v)`` in its tight form, under v's codes, ``(N, N)``."""
    kernels = [state.input_products(position) / state.n_samples**2 for position in range(len(state.layers))]
    squared = _last_layer(state, kernels[-1])
    if len(state.layers) > 1:
        for v in range(state.n_users):
            squared[:, v] += _earlier_layers(state, v, kernels)
    return squared.fill_diagonal_(0.0).clamp_(min=0.0).sqrt_()


def _last_layer(state: Sensitivities, kernel: Tensor) -> Tensor:
    squared = torch.from_numpy(state.contents.squared_distances()).to(state.dtype) * kernel.sum((1, 2))
    for v in state.blocks():
        means = state.mean.evaluate(state.logits(v))
        for k, (part, factor) in enumerate(zip(means, state.coefficients, strict=True)):
            difference = factor[:, None] - factor[None, v]
            overlap = state.weighted_product(torch.einsum("vs,vsi->iv", kernel[v].sum(2), part))
            overlap = overlap - overlap[v].diagonal()
            squared[:, v] -= 2 * difference * overlap
            for other, other_factor in zip(means[: k + 1], state.coefficients, strict=False):
                twice = 1.0 if other is part else 2.0
                inner = ((part @ other.transpose(1, 2)) * kernel[v]).sum((1, 2))
                squared[:, v] += twice * difference * (other_factor[:, None] - other_factor[None, v]) * inner
    return squared


def _earlier_layers(state: Sensitivities, v: int, kernels: list[Tensor]) -> Tensor:
    here = slice(v, v + 1)
    below = len(state.layers) - 2
    slopes = [
        layer.activation.derivative(state.of(pre, here)[0])
        for layer, pre in zip(state.layers, state.pre_activations, strict=False)
    ]
    differences = [factor - factor[v] for factor in state.coefficients]
    content = state.pulled_contents - state.pulled_contents[v]
    means = [state.of(pulled, here)[0] for pulled in state.pulled_means]
    squared = _diagonal_form(kernels[below][v], slopes[below], means, differences, content)
    if below == 0:
        return squared
    # Further down the map is no longer diagonal in the hidden units: carry the differences themselves, (S, N, width).
    carried = sum((d[None, :, None] * m[:, None, :] for d, m in zip(differences, means, strict=True)), -content[None])
    carried = carried * slopes[below][:, None, :]
    for position in range(below - 1, -1, -1):
        carried = (carried @ state.layers[position + 1].weight) * slopes[position][:, None, :]
        mixed = torch.einsum("st,tnb->snb", kernels[position][v], carried)
        squared = squared + (mixed * carried).sum((0, 2))
    return squared


def _diagonal_form(
    kernel: Tensor, slopes: Tensor, means: list[Tensor], differences: list[Tensor], content: Tensor
) -> Tensor:
    mixed_slopes = kernel @ slopes
    squared = (content * content) @ (slopes * mixed_slopes).sum(0)
    for k, (part, difference) in enumerate(zip(means, differences, strict=True)):
        scaled = slopes * part
        squared = squared - 2 * difference * (content @ (scaled * mixed_slopes).sum(0))
        for j in range(k + 1):
            twice = 1.0 if j == k else 2.0
            inner = (kernel @ scaled * (slopes * means[j])).sum()
            squared = squared + twice * inner * difference * differences[j]
    return squared
