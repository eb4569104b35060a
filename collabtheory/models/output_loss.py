"""The last layer and the likelihood in one: training spends its time here, in three products and one pass between.

Logits, probabilities and gradient of the loss share one buffer, whose rows begin at aligned addresses: a matrix product
that writes rows of odd length takes half as long again (3,491 columns: 39 ms against 25). The gradient is never scaled
as a whole; the weights of the users go to the narrow side of each product.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from collabtheory.errors import PremiseNotMet
from collabtheory.models.devices import CPU
from collabtheory.models.likelihoods import get_likelihood
from collabtheory.models.objectives import Observed, likelihood_loss, loss_into_gradient

ALIGNED = 16
"""Entries that a row's length is rounded up to."""


class Buffers:
    """Buffers for logits that go round: taken on the way forward, given back on the way backward.

    Fresh memory of this size costs page faults at every step. A buffer that never comes back is made anew.
    """

    def __init__(self) -> None:
        self._free: list[Tensor] = []

    def take(self, rows: int, columns: int, dtype: torch.dtype, device: torch.device = CPU) -> Tensor:
        """Return uninitialised ``(rows, columns)`` whose rows begin ``ALIGNED`` entries apart or a multiple of it."""
        width = -(-columns // ALIGNED) * ALIGNED
        fitting = [
            one
            for one in self._free
            if one.shape[1] == width and one.shape[0] >= rows and (one.dtype, one.device) == (dtype, device)
        ]
        self._free = []
        buffer = fitting[0] if fitting else torch.empty(rows, width, dtype=dtype, device=device)
        return buffer[:rows, :columns]

    def give(self, logits: Tensor) -> None:
        """Take a buffer back, to be used again."""
        base = logits._base if logits._base is not None else logits
        self._free = [base]


def decoder_parts(decoder: nn.Module) -> tuple[nn.Module, nn.Linear]:
    """Return all but the last layer of a decoder, and its last layer, which must be linear: it gives the logits.

    Raises
    ------
    PremiseNotMet
        If the decoder ends in anything else.
    """
    parts = decoder if isinstance(decoder, nn.Sequential) else nn.Sequential(decoder)
    last = parts[-1]
    if not isinstance(last, nn.Linear):
        raise PremiseNotMet(f"the decoder ends in {type(last).__name__}; a linear layer gives the logits")
    return parts[:-1], last


def output_loss(
    hidden: Tensor, layer: nn.Linear, observed: Observed, likelihood: str, confidence: float, buffers: Buffers
) -> Tensor:
    """Return the loss of each user of the logits ``layer(hidden)``, ``(users,)`` nats.

    Value and gradients are those of :func:`~collabtheory.models.objectives.likelihood_loss` of the logits; the gradient
    cannot be differentiated again, and backward can run once only.

    Parameters
    ----------
    hidden
        ``(users, width)``.
    layer
        The last layer of the decoder.
    observed, likelihood, confidence
        As for ``likelihood_loss``.
    buffers
        Where the logits live between forward and backward.

    Examples
    --------
    >>> import numpy as np
    >>> from scipy import sparse
    >>> observed = Observed.of(sparse.csr_array(np.array([[1.0, 0.0, 0.0, 1.0]])))
    >>> layer = nn.Linear(2, 4)
    >>> loss = output_loss(torch.zeros(1, 2), layer, observed, "multinomial", 1.0, Buffers())
    >>> bool(torch.isclose(loss, likelihood_loss(layer(torch.zeros(1, 2)), observed, "multinomial")))
    True
    """
    if confidence != 1.0 or layer.bias is None or not torch.is_grad_enabled():
        return likelihood_loss(layer(hidden), observed, likelihood, confidence)
    loss: Tensor = _OutputLoss.apply(hidden, layer.weight, layer.bias, observed, likelihood, buffers)  # type: ignore[no-untyped-call]
    return loss


class _OutputLoss(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor, observed: Observed, likelihood: str, buffers: Buffers
    ) -> Tensor:
        logits = buffers.take(len(hidden), len(weight), hidden.dtype, hidden.device)
        torch.addmm(bias, hidden, weight.t(), out=logits)
        loss = loss_into_gradient(logits, observed, get_likelihood(likelihood))
        ctx.save_for_backward(hidden, weight)
        ctx.gradient, ctx.buffers = logits, buffers
        return loss

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        hidden, weight = ctx.saved_tensors
        gradient, ctx.gradient = ctx.gradient, None
        if gradient is None:
            raise RuntimeError("the gradient of the output loss was used already; compute the loss again")
        scale, (wants_hidden, wants_weight, wants_bias, *_) = upstream[:, None], ctx.needs_input_grad
        of_hidden = (gradient @ weight) * scale if wants_hidden else None
        of_weight = gradient.t() @ (hidden * scale) if wants_weight else None
        of_bias = upstream @ gradient if wants_bias else None
        ctx.buffers.give(gradient)
        return of_hidden, of_weight, of_bias, None, None, None
