r"""What one forward and one backward pass leave behind: the factors of every user's decoder gradient.

Row :math:`(u, s)` of a chain of dense layers has the gradient :math:`\delta_l h_l^\top` in layer :math:`l` (and
:math:`\delta_l` in its bias), so :math:`g_u = \frac1S \sum_s (\delta_{l,us} h_{l,us}^\top)_l` is never formed: its
factors, a few numbers per layer width, are all that the kernels need.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from collabtheory.models.layers import DenseLayer
from collabtheory.transfer.affine_mean import AffineMean, sum_of_parts
from collabtheory.transfer.buffers import aligned_empty
from collabtheory.transfer.contents import Contents
from collabtheory.transfer.differences import slope_at

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
    coefficients
        Factor of each part of the mean, ``(N,)``.
    weighted
        ``w x``, ``(N, I)`` CSR.
    memory_bytes
        What a block of output sensitivities may take.
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
    coefficients: tuple[Tensor, ...]
    weighted: sparse.csr_array
    memory_bytes: int
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
        return user_blocks(slice(0, self.n_users), self.n_samples)

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
        inputs = self.of(self.inputs[-1], users)
        out = aligned_empty(inputs.shape[0] * self.n_samples, self.contents.n_items, self.dtype)
        return self.top_into(inputs.flatten(0, 1), users, out).view(len(inputs), self.n_samples, -1)

    def top_of_sample(self, sample: int) -> Tensor:
        """Return the output sensitivities of every user at one sample, contiguous rows, ``(N, I)``."""
        everyone = slice(None)
        if self.kept_top is not None:
            return self.of(self.kept_top, everyone)[:, sample].contiguous()
        inputs = self.of(self.inputs[-1], everyone)[:, sample]
        return self.top_into(inputs, everyone, aligned_empty(self.n_users, self.contents.n_items, self.dtype))

    def top_into(self, inputs: Tensor, users: Users, out: Tensor) -> Tensor:
        """Write ``w (mean - x)`` at last-layer ``inputs`` ``(B R, a_L)``, R rows a user, into ``out`` ``(B R, I)``."""
        last = self.layers[-1]
        torch.mm(inputs, last.weight.T, out=out)
        if last.bias is not None:
            out += last.bias
        content = self.weighted[_as_index(users)]
        n_users = content.shape[0]
        repeats = len(inputs) // max(n_users, 1)
        self.mean.weigh_in_place(out, tuple(c[users].repeat_interleave(repeats) for c in self.coefficients))
        rows = np.repeat(np.arange(n_users), np.diff(content.indptr))
        # The indices are unique, so a plain fancy subtraction is right; x is never dense.
        out.view(n_users, repeats, -1).numpy()[rows, :, content.indices] -= content.data[:, None]
        return out

    @cached_property
    def pulled_means(self) -> tuple[Tensor, ...]:
        """``m_k W_L`` for each part of the mean, ``(M, a_L)``."""
        last = self.layers[-1]
        rows = self.n_users * self.n_samples
        pulled = tuple(torch.empty(rows, last.n_inputs, dtype=self.dtype) for _ in self.mean.parts)
        for users in self.blocks():
            for result, part in zip(pulled, self.mean.evaluate(self.logits(users)), strict=True):
                self.of(result, users).copy_(part @ last.weight)
        return pulled

    @cached_property
    def pulled_contents(self) -> Tensor:
        """``w x W_L``, ``(N, a_L)``: with ``pulled_means``, the sensitivity of ANY user's content at any code."""
        return self.weighted_product(self.layers[-1].weight)

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
        About ``N S (sum a_l + 2 sum b_l)`` numbers, and ``N S I`` more if kept.
    """
    n_users, n_samples, _ = codes.shape
    inputs, pre_activations = _forward(layers, codes.reshape(n_users * n_samples, -1))
    rows = n_users * n_samples
    keep = rows * contents.n_items * codes.element_size() <= memory_bytes
    weights = (contents.weights, contents.mean_weights)
    state = Sensitivities(
        layers=layers,
        contents=contents,
        mean=mean,
        n_samples=n_samples,
        inputs=inputs,
        pre_activations=pre_activations,
        deltas=(),
        coefficients=tuple(torch.from_numpy(weights[part]).to(codes.dtype) for part in mean.parts),
        weighted=contents.weighted(codes.dtype),
        memory_bytes=memory_bytes,
        kept_top=None,
    )
    kept = aligned_empty(rows, contents.n_items, codes.dtype) if keep else None
    return replace(state, deltas=_backward(state, kept), kept_top=kept)


def _forward(layers: tuple[DenseLayer, ...], codes: Tensor) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
    inputs, pre_activations = [codes], []
    for layer in layers[:-1]:
        pre_activations.append(layer.pre_activation(inputs[-1]))
        inputs.append(layer.activation.value(pre_activations[-1]))
    return tuple(inputs), tuple(pre_activations)


def _backward(state: Sensitivities, kept: Tensor | None) -> tuple[Tensor, ...]:
    """Return the sensitivities of all layers but the last, and fill ``kept`` with those of the last."""
    if len(state.layers) == 1 and kept is None:
        return ()
    pulled, inputs = _pull_back_top(state, kept), state.inputs
    deltas: list[Tensor] = []
    for position in range(len(state.layers) - 2, -1, -1):
        slope = slope_at(state.layers[position].activation, state.pre_activations[position], inputs[position + 1])
        deltas.append(pulled.mul_(slope))
        if position:
            pulled = deltas[-1] @ state.layers[position].weight
    return tuple(reversed(deltas))


def _pull_back_top(state: Sensitivities, kept: Tensor | None) -> Tensor:
    weight, inputs = state.layers[-1].weight, state.inputs[-1]
    pulled = torch.empty_like(inputs)
    blocks = [(users, slice(users.start * state.n_samples, users.stop * state.n_samples)) for users in state.blocks()]
    target = aligned_empty(blocks[0][1].stop, state.contents.n_items, state.dtype) if kept is None else kept
    for users, rows in blocks:
        out = target[: rows.stop - rows.start] if kept is None else target[rows]
        state.top_into(inputs[rows], users, out)
        if len(state.layers) > 1:
            torch.mm(out, weight, out=pulled[rows])
    return pulled


def user_blocks(users: slice, n_samples: int, n_rows: int = BLOCK_ROWS) -> Iterator[slice]:
    """Yield slices of ``users`` of about ``n_rows`` rows, ``n_samples`` each."""
    step = max(1, n_rows // n_samples)
    for start in range(users.start, users.stop, step):
        yield slice(start, min(start + step, users.stop))


def bias_term(layer: DenseLayer) -> float:
    """Return what a layer's bias adds to the product of two inputs: 1, or 0 without a bias."""
    return 0.0 if layer.bias is None else 1.0


def _as_index(users: Users) -> slice | np.ndarray:
    return users.numpy() if isinstance(users, Tensor) else users
