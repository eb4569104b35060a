"""An encoder in plain pieces: a trunk of dense layers and two linear heads."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from collabtheory.errors import InvalidInput
from collabtheory.models.layers import DenseLayer, linear_chain


@dataclass(frozen=True, eq=False)
class EncoderParts:
    """Trunk layers (perhaps none), mean head and log-variance head, in float64."""

    layers: tuple[DenseLayer, ...]
    mean: DenseLayer
    log_variance: DenseLayer

    @staticmethod
    def read(trunk: nn.Module, mean_head: nn.Linear, log_variance_head: nn.Linear) -> EncoderParts:
        """Read the modules; InvalidInput if their widths do not fit, PremiseNotMet if they are of another form."""
        empty = isinstance(trunk, nn.Sequential) and len(trunk) == 0
        layers = () if empty else linear_chain(trunk, ends_with_activation=True)
        mean, log_variance = (linear_chain(head)[0] for head in (mean_head, log_variance_head))
        widths = {mean.n_inputs, log_variance.n_inputs, *(layer.n_outputs for layer in layers[-1:])}
        if len(widths) > 1 or mean.n_outputs != log_variance.n_outputs:
            raise InvalidInput("mean_head, log_variance_head and the trunk's output do not fit in width")
        doubles = [layer.to(torch.float64) for layer in (*layers, mean, log_variance)]
        return EncoderParts(tuple(doubles[:-2]), doubles[-2], doubles[-1])

    @property
    def first(self) -> DenseLayer:
        """The first linear map: the trunk's, or both heads stacked where there is no trunk."""
        if self.layers:
            return self.layers[0]
        heads = (self.mean, self.log_variance)
        biases = [head.weight.new_zeros(head.n_outputs) if head.bias is None else head.bias for head in heads]
        return DenseLayer(torch.cat([head.weight for head in heads]), torch.cat(biases), self.mean.activation)

    def embed(self, pre: Tensor) -> Tensor:
        """Map pre-activations of the first linear map ``(rows, width)`` to ``[mu, sigma]``, ``(rows, 2 d)``."""
        if not self.layers:
            mean, log_variance = pre[:, : self.mean.n_outputs], pre[:, self.mean.n_outputs :]
        else:
            hidden = self.layers[0].activation.value(pre)
            for layer in self.layers[1:]:
                hidden = layer.activation.value(layer.pre_activation(hidden))
            mean, log_variance = self.mean.pre_activation(hidden), self.log_variance.pre_activation(hidden)
        return torch.cat([mean, torch.exp(0.5 * log_variance)], 1)

    def jacobian(self, row: Tensor) -> Tensor:
        """Return the Jacobian of ``input -> (mu, sigma)`` at one input ``(n_items,)``: ``(2 d, n_items)``."""
        hidden, jacobian = row, None
        for layer in self.layers:
            pre = layer.pre_activation(hidden)
            outer = layer.weight if jacobian is None else layer.weight @ jacobian
            jacobian = layer.activation.derivative(pre)[:, None] * outer
            hidden = layer.activation.value(pre)
        half_sigma = 0.5 * torch.exp(0.5 * self.log_variance.pre_activation(hidden))
        joint = torch.cat([self.mean.weight, half_sigma[:, None] * self.log_variance.weight])
        return joint if jacobian is None else joint @ jacobian
