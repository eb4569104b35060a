r"""Distances between users' gradients, accurate for near twins.

:math:`\|g_u\|^2 + \|g_v\|^2 - 2 \langle g_u, g_v \rangle` loses half the digits where the two agree. There, the gap
is that of :math:`\delta_u h_u^\top - \delta_v h_v^\top = (\delta_u - \delta_v) h_u^\top + \delta_v (h_u - h_v)^\top`,
whose terms are all small.
"""

from __future__ import annotations

import torch
from torch import Tensor

from collabtheory.transfer.contents import Contents
from collabtheory.transfer.sensitivities import BLOCK_ROWS, Sensitivities, bias_term

# Above this share of the two squared norms, the difference of Gram entries keeps 11 digits.
CANCELS_BELOW = 1e-4


@torch.no_grad()
def gradient_gaps(state: Sensitivities, gram: Tensor) -> Tensor:
    """Return ``||g_u - g_v||`` from the plug-in Gram matrix, near twins refined, ``(N, N)``."""
    norms = gram.diagonal()
    scale = norms[:, None] + norms[None, :]
    squared = scale - 2 * gram
    rows, columns = torch.nonzero(torch.triu(squared <= CANCELS_BELOW * scale, diagonal=1), as_tuple=True)
    codes = state.of(state.inputs[0], slice(None))
    refined = squared_gaps(state, rows, columns)
    refined[equal_users(state.contents, codes, rows, columns)] = 0.0
    squared[rows, columns] = refined
    squared[columns, rows] = refined
    return squared.fill_diagonal_(0.0).clamp_(min=0.0).sqrt_()


def equal_users(contents: Contents, codes: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Tell which listed pairs have the same content and the same codes, ``(P,)``.

    Their gap is exactly zero, which the rows of a matrix product do not reproduce.
    """
    content = torch.from_numpy(contents.identities())
    return (content[rows] == content[columns]) & (codes[rows] == codes[columns]).flatten(1).all(1)


def squared_gaps(state: Sensitivities, rows: Tensor, columns: Tensor) -> Tensor:
    """Return ``||g_u - g_v||^2`` of the listed pairs by differences, ``(P,)``."""
    step = max(1, BLOCK_ROWS // state.n_samples)
    blocks = zip(torch.split(rows, step), torch.split(columns, step), strict=True)
    parts = [_block(state, left, right) for left, right in blocks]
    return torch.cat(parts) if parts else torch.zeros(0, dtype=state.dtype)


def _block(state: Sensitivities, rows: Tensor, columns: Tensor) -> Tensor:
    total = torch.zeros(len(rows), dtype=state.dtype)
    for position, layer in enumerate(state.layers):
        inputs, others = (state.of(state.inputs[position], users) for users in (rows, columns))
        deltas, other_deltas = (state.layer_deltas(position, users) for users in (rows, columns))
        left = torch.cat((deltas - other_deltas, other_deltas), 1)
        right = torch.cat((inputs, inputs - others), 1)
        kernel = right @ right.transpose(1, 2)
        kernel[:, : state.n_samples, : state.n_samples] += bias_term(layer)
        total += (left @ left.transpose(1, 2) * kernel).sum((1, 2))
    return total / state.n_samples**2
