r"""Inner products of expected gradients from independent noise, one product a sample instead of one a pair of samples.

.. math:: \hat G_{uv} = \frac1S \sum_s \langle g_{us}, g_{vs} \rangle, \qquad
          \mathrm{se}^2 = \frac{1}{S (S - 1)} \sum_s (\langle g_{us}, g_{vs} \rangle - \hat G_{uv})^2

An incomplete U-statistic: with independent noise the ``S`` products of a pair are independent draws with mean
:math:`\langle E g_u, E g_v \rangle`, so that their spread is an honest standard error. With noise common to the users
sample ``s`` of the one moves with sample ``s`` of the other, and the mean has the bias
:math:`\mathrm{tr\,Cov}(g_{us}, g_{vs})`, which no number of samples removes.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from collabtheory.transfer.sensitivities import Sensitivities, bias_term, user_blocks


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
def same_sample_gram(state: Sensitivities) -> SampledGram:
    """Pair sample ``s`` of ``u`` with sample ``s`` of ``v`` only: ``S`` products a pair."""
    mean = torch.zeros(state.n_users, state.n_users, dtype=state.dtype)
    squares, product = torch.zeros_like(mean), torch.zeros_like(mean)
    for s in range(state.n_samples):
        change = _upper_products(state, s, product).sub_(mean)
        # Welford's update: the textbook difference of moments cancels where the samples agree.
        mean.add_(change, alpha=1 / (s + 1))
        squares.addcmul_(change, change, value=s / (s + 1))
    mean = _mirrored(mean)
    if state.n_samples == 1:
        return SampledGram(mean, torch.full_like(mean, torch.nan))
    return SampledGram(mean, _mirrored(squares).div_((state.n_samples - 1) * state.n_samples).sqrt_())


def _upper_products(state: Sensitivities, s: int, out: Tensor) -> Tensor:
    """Write ``<g_us, g_vs>`` into the blocks of ``out`` on and above the diagonal."""
    layers = [_contiguous_rows(state, position, s) for position in range(len(state.layers))]
    biases = [bias_term(layer) for layer in state.layers]
    everyone = slice(0, state.n_users)
    for rows in user_blocks(everyone, 1):
        for columns in user_blocks(everyone, 1):
            if columns.start < rows.start:
                continue
            block = torch.zeros(rows.stop - rows.start, columns.stop - columns.start, dtype=state.dtype)
            for (inputs, deltas), bias in zip(layers, biases, strict=True):
                block.addcmul_(deltas[rows] @ deltas[columns].T, (inputs[rows] @ inputs[columns].T).add_(bias))
            out[rows, columns] = block
    return out


def _contiguous_rows(state: Sensitivities, layer: int, s: int) -> tuple[Tensor, Tensor]:
    everyone = slice(None)
    inputs = state.of(state.inputs[layer], everyone)[:, s].contiguous()
    if layer == len(state.layers) - 1:
        return inputs, state.top_of_sample(s)
    return inputs, state.of(state.deltas[layer], everyone)[:, s].contiguous()


def _mirrored(upper: Tensor) -> Tensor:
    """Return the symmetric matrix with this upper triangle."""
    return upper.triu() + upper.triu(1).T
