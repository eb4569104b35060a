"""Adam and AdamW on the fused kernel of torch, without the second that its optimiser classes take to import a compiler.

``torch.optim.Optimizer`` imports ``torch._dynamo`` when the first one is made; the function behind it does not.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.optim.adam import adam

BETAS = (0.9, 0.999)
EPSILON = 1e-8

Moments = dict[str, Tensor]
"""Of one parameter: ``step`` (0-dimensional), ``exp_avg`` and ``exp_avg_sq`` (as the parameter)."""


class Adam:
    """Adam with the usual betas, bit for bit that of ``torch.optim`` with ``fused=True``.

    Parameters
    ----------
    parameters
        What to train; those without a gradient stay as they are.
    learning_rate
        Step size; may be set anew before every step.
    weight_decay
        Of the gradient (Adam) or, if ``decoupled``, of the weights (AdamW).

    Examples
    --------
    >>> weight = nn.Parameter(torch.tensor([1.0]))
    >>> optimiser = Adam([weight], learning_rate=0.1)
    >>> weight.grad = torch.tensor([3.0])
    >>> optimiser.step()
    >>> round(weight.item(), 6)
    0.9
    """

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        learning_rate: float,
        *,
        weight_decay: float = 0.0,
        decoupled: bool = False,
    ) -> None:
        self.parameters = list(parameters)
        self.learning_rate = learning_rate
        self.moments: dict[int, Moments] = {}
        """By position of the parameter, from its first gradient on."""
        self._weight_decay, self._decoupled = weight_decay, decoupled

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for parameter in self.parameters:
            parameter.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """Move every parameter that has a gradient."""
        moved = [k for k, parameter in enumerate(self.parameters) if parameter.grad is not None]
        for k in moved:
            if k not in self.moments:
                self.moments[k] = _at_rest(self.parameters[k])
        held = [self.moments[k] for k in moved]
        adam(
            [self.parameters[k] for k in moved],
            [gradient for k in moved if (gradient := self.parameters[k].grad) is not None],
            [one["exp_avg"] for one in held],
            [one["exp_avg_sq"] for one in held],
            [],
            [one["step"] for one in held],
            fused=True,
            decoupled_weight_decay=self._decoupled,
            amsgrad=False,
            beta1=BETAS[0],
            beta2=BETAS[1],
            lr=self.learning_rate,
            weight_decay=self._weight_decay,
            eps=EPSILON,
            maximize=False,
        )

    def restore(self, moments: dict[int, Moments]) -> None:
        """Go on from these moments, whichever way they lie in memory."""
        self.moments = {
            k: {name: _laid_out_as(self.parameters[k], value) for name, value in one.items()}
            for k, one in moments.items()
        }


def _at_rest(parameter: nn.Parameter) -> Moments:
    step = torch.zeros((), dtype=torch.float32, device=parameter.device)
    return {"step": step, "exp_avg": torch.zeros_like(parameter), "exp_avg_sq": torch.zeros_like(parameter)}


def _laid_out_as(parameter: Tensor, moment: Tensor) -> Tensor:
    # The fused kernel walks through memory, so moments must lie there in the order of their parameter.
    return torch.empty_like(parameter).copy_(moment) if moment.shape == parameter.shape else moment.to(parameter.device)
