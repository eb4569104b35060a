r"""What one forward and one backward pass leave behind: the factors of every user's decoder gradient.

Row :math:`(u, s)` of a chain of dense layers has the gradient :math:`\delta_l h_l^\top` in layer :math:`l` (and
:math:`\delta_l` in its bias), so :math:`g_u = \frac1S \sum_s (\delta_{l,us} h_{l,us}^\top)_l` is never formed: its
factors, a few numbers per layer width, are all that the kernels need.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from collabtheory.models.layers import DenseLayer
from collabtheory.transfer.affine_mean import AffineMean
from collabtheory.transfer.contents import Contents

Users = slice | Tensor

# Rows (user, sample) handled at once: a block of logits stays in the cache, and products still run at full rate.
BLOCK_ROWS = 256


@dataclass(frozen=True, eq=False)
class Sensitivities:
    """Inputs and output sensitivities of every layer, user-major: row ``u S + s``, ``M = N S`` rows.

    Parameters
    ----------
    layers
        The decoder, ``L`` dense layers; the last one is linear.
    contents
        Contents and gradient scale of the ``N`` users.
    mean
        The likelihood's mean.
    n_samples
        ``S``.
    inputs
        Input ``h_l`` of each layer, ``(M, a_l)``; the first is the codes.
    pre_activations
        ``a_l = W_l h_l + b_l`` of each layer but the last, ``(M, b_l)``.
    deltas
        Sensitivity ``dl / da_l`` of each layer but the last, ``(M, b_l)``.
    pulled_means
        ``m_k W_L`` for each part of the mean, ``(M, a_L)``; empty for a single layer.
    pulled_contents
        ``w x W_L``, ``(N, a_L)``: with ``pulled_means``, the sensitivity of ANY user's content at any code.
    coefficients
        Factor of each part of the mean, ``(N,)``.
    weighted
        ``w x``, ``(N, I)`` CSR.
    kept_top
        Output sensitivities ``(M, I)``, or None where they are too large to keep and are computed again.
    """

    layers: tuple[DenseLayer, ...]
    contents: Contents
    mean: AffineMean
    n_samples: int
    inputs: tuple[Tensor, ...]
    pre_activations: tuple[Tensor, ...]
    deltas: tuple[Tensor, ...]
    pulled_means: tuple[Tensor, ...]
    pulled_contents: Tensor
    coefficients: tuple[Tensor, ...]
    weighted: sparse.csr_array
    kept_top: Tensor | None

    @property
    def n_users(self) -> int:
        """``N``."""
        return self.contents.n_users

    @property
    def dtype(self) -> torch.dtype:
        """Working precision."""
        return self.inputs[0].dtype

    def blocks(self) -> Iterator[slice]:
        """Yield slices of users of about ``BLOCK_ROWS`` rows."""
        return user_blocks(self.n_users, self.n_samples)

    def of(self, rows: Tensor, users: Users) -> Tensor:
        """Return the rows of ``users`` as ``(B, S, width)``."""
        return rows.view(self.n_users, self.n_samples, -1)[users]

    def logits(self, users: Users) -> Tensor:
        """Return the logits of ``users``, ``(B, S, I)``."""
        return self.layers[-1].pre_activation(self.of(self.inputs[-1], users))

    def top(self, users: Users) -> Tensor:
        """Return the output sensitivities ``w (mean - x)`` of ``users``, ``(B, S, I)``."""
        if self.kept_top is not None:
            return self.of(self.kept_top, users)
        return self.top_from(self.mean.evaluate(self.logits(users)), users)

    def top_from(self, means: tuple[Tensor, ...], users: Users) -> Tensor:
        """Return the same from the parts of the mean, ``(B, S, I)`` each, at the codes of ``users``."""
        top = sum_of_parts(means, tuple(c[users][:, None, None] for c in self.coefficients))
        entries = self.weighted[_as_index(users)].tocoo()
        # The indices are unique, so a plain fancy subtraction is right; x is never dense.
        top.numpy()[entries.row, :, entries.col] -= entries.data[:, None]
        return top

    def top_pulled_back(self, users: Users) -> Tensor:
        """Return ``W_L' delta_L`` of ``users``, ``(B, S, a_L)``."""
        means = tuple(self.of(pulled, users) for pulled in self.pulled_means)
        pulled = sum_of_parts(means, tuple(c[users][:, None, None] for c in self.coefficients))
        return pulled - self.pulled_contents[users][:, None, :]

    def layer_deltas(self, layer: int, users: Users) -> Tensor:
        """Return the sensitivities of one layer for ``users``, ``(B, S, b_l)``."""
        return self.top(users) if layer == len(self.layers) - 1 else self.of(self.deltas[layer], users)

    def input_products(self, layer: int, users: Users = slice(None)) -> Tensor:
        """Return ``h_us . h_ut (+ 1 for the bias)`` within each user, ``(B, S, S)``."""
        inputs = self.of(self.inputs[layer], users)
        return inputs @ inputs.transpose(1, 2) + bias_term(self.layers[layer])

    def weighted_product(self, dense: Tensor) -> Tensor:
        """Return ``(w x) @ dense``: ``(I, K)`` to ``(N, K)``, sparse."""
        return torch.from_numpy(self.weighted @ np.ascontiguousarray(dense.numpy()))


@torch.no_grad()
def sensitivities(
    layers: tuple[DenseLayer, ...], mean: AffineMean, contents: Contents, codes: Tensor, *, memory_bytes: int
) -> Sensitivities:
    """Run the decoder forward and backward once for all users and samples.

    Parameters
    ----------
    layers, mean, contents
        The decoder, the likelihood's mean, and the contents.
    codes
        ``(N, S, d)`` in the working dtype.
    memory_bytes
        Output sensitivities ``(N S, I)`` are kept if they need no more than this.

    Returns
    -------
    Sensitivities
        About ``N S (2 sum a_l + 3 sum b_l)`` numbers, and ``N S I`` more if kept.
    """
    n_users, n_samples, _ = codes.shape
    dtype = codes.dtype
    inputs, pre_activations = _forward(layers, codes.reshape(n_users * n_samples, -1))
    last = layers[-1]
    rows = n_users * n_samples
    deep = len(layers) > 1
    keep = rows * contents.n_items * codes.element_size() <= memory_bytes
    weighted = contents.weighted(dtype)
    weights = (contents.weights, contents.mean_weights)
    state = Sensitivities(
        layers=layers,
        contents=contents,
        mean=mean,
        n_samples=n_samples,
        inputs=inputs,
        pre_activations=pre_activations,
        deltas=(),
        pulled_means=tuple(torch.empty(rows, last.n_inputs, dtype=dtype) for _ in mean.parts) if deep else (),
        pulled_contents=torch.from_numpy(weighted @ last.weight.numpy()),
        coefficients=tuple(torch.from_numpy(weights[part]).to(dtype) for part in mean.parts),
        weighted=weighted,
        kept_top=None,
    )
    kept = torch.empty(rows, contents.n_items, dtype=dtype) if keep else None
    if deep or keep:
        _fill(state, kept)
    return _with_backward_pass(state, kept)


def _forward(layers: tuple[DenseLayer, ...], codes: Tensor) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
    inputs, pre_activations = [codes], []
    for layer in layers[:-1]:
        pre_activations.append(layer.pre_activation(inputs[-1]))
        inputs.append(layer.activation.value(pre_activations[-1]))
    return tuple(inputs), tuple(pre_activations)


def _fill(state: Sensitivities, kept: Tensor | None) -> None:
    weight = state.layers[-1].weight
    for users in state.blocks():
        means = state.mean.evaluate(state.logits(users))
        for pulled, part in zip(state.pulled_means, means, strict=False):
            state.of(pulled, users).copy_(part @ weight)
        if kept is not None:
            state.of(kept, users).copy_(state.top_from(means, users))


def _with_backward_pass(state: Sensitivities, kept: Tensor | None) -> Sensitivities:
    deltas: list[Tensor] = []
    if len(state.layers) > 1:
        pulled = state.top_pulled_back(slice(None)).flatten(0, 1)
        for position in range(len(state.layers) - 2, -1, -1):
            slope = state.layers[position].activation.derivative(state.pre_activations[position])
            deltas.append(pulled * slope)
            if position:
                pulled = deltas[-1] @ state.layers[position].weight
    return replace(state, deltas=tuple(reversed(deltas)), kept_top=kept)


def user_blocks(n_users: int, n_samples: int) -> Iterator[slice]:
    """Yield slices of users of about ``BLOCK_ROWS`` rows of ``n_samples`` each."""
    step = max(1, BLOCK_ROWS // n_samples)
    for start in range(0, n_users, step):
        yield slice(start, min(start + step, n_users))


def sum_of_parts(means: tuple[Tensor, ...], factors: tuple[Tensor, ...]) -> Tensor:
    """Return ``sum_k factor_k m_k``."""
    total = means[0] * factors[0]
    for part, factor in zip(means[1:], factors[1:], strict=True):
        total = total + part * factor
    return total


def bias_term(layer: DenseLayer) -> float:
    """Return what a layer's bias adds to the product of two inputs: 1, or 0 without a bias."""
    return 0.0 if layer.bias is None else 1.0


def _as_index(users: Users) -> slice | np.ndarray:
    return users.numpy() if isinstance(users, Tensor) else users
