"""Decoders and encoders as chains of dense layers: what the closed-form kernels may assume of a module."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from collabtheory.errors import InvalidInput, PremiseNotMet
from collabtheory.models.activations import IDENTITY, Activation, activation_of


@dataclass(frozen=True, eq=False)
class DenseLayer:
    """One layer ``activation(input @ weight.T + bias)``.

    Parameters
    ----------
    weight
        ``(out, in)``, detached, in the module's dtype.
    bias
        ``(out,)`` or None.
    activation
        The elementwise function that follows; :data:`IDENTITY` where there is none.
    """

    weight: Tensor
    bias: Tensor | None
    activation: Activation

    @property
    def n_inputs(self) -> int:
        """Width of the input."""
        return int(self.weight.shape[1])

    @property
    def n_outputs(self) -> int:
        """Width of the output."""
        return int(self.weight.shape[0])

    def pre_activation(self, inputs: Tensor) -> Tensor:
        """Return ``inputs @ weight.T + bias``: ``(..., in)`` to ``(..., out)``."""
        return nn.functional.linear(inputs, self.weight, self.bias)

    def to(self, dtype: torch.dtype) -> DenseLayer:
        """Return the same layer in another floating dtype."""
        bias = None if self.bias is None else self.bias.to(dtype)
        return replace(self, weight=self.weight.to(dtype), bias=bias)


def linear_chain(module: nn.Module, *, ends_with_activation: bool = False) -> tuple[DenseLayer, ...]:
    """Read a module as a chain of Linear layers with elementwise activations between them.

    Parameters
    ----------
    module
        A ``nn.Linear``, or a ``nn.Sequential`` (nested ones too) of ``nn.Linear``, the activations Tanh, Sigmoid,
        ReLU, LeakyReLU, ELU, Softplus, SiLU, GELU and Identity, and Dropout that does nothing (``eval()``, or p = 0).
    ends_with_activation
        False (a decoder): the last Linear must stand last. True (an encoder's trunk): an activation may follow it.

    Returns
    -------
    tuple of DenseLayer
        In order of application; detached, so later training of the module in place is seen by the weights.

    Raises
    ------
    PremiseNotMet
        If the module is anything else; the message names the offending submodule.
    InvalidInput
        If a weight is NaN or infinite, or two neighbouring layers do not fit.

    Examples
    --------
    >>> chain = linear_chain(nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 4)))
    >>> [(layer.n_inputs, layer.n_outputs, layer.activation.name) for layer in chain]
    [(2, 3, 'tanh'), (3, 4, 'identity')]
    """
    layers: list[DenseLayer] = []
    owners: dict[int, str] = {}
    activated = True
    for name, part in _parts(module, ""):
        if isinstance(part, nn.Linear) and _computes_linear(part):
            _refuse_unusual_linear(name, part, layers, owners)
            bias: Tensor | None = part.bias
            bias = None if bias is None else bias.detach()
            layers.append(DenseLayer(part.weight.detach(), bias, IDENTITY))
            activated = False
            continue
        activation = activation_of(part)
        if activation is None:
            raise PremiseNotMet(f"{name} is {part}: only Linear layers and elementwise activations have a closed form")
        if activation is IDENTITY:
            continue
        if activated:
            raise PremiseNotMet(f"{name} ({part}) does not follow a Linear layer")
        layers[-1] = replace(layers[-1], activation=activation)
        activated = True
    if not layers:
        raise PremiseNotMet("the module has no Linear layer")
    if activated and not ends_with_activation:
        raise PremiseNotMet(f"the last Linear layer is followed by {layers[-1].activation.name}; logits must be linear")
    return tuple(layers)


def _parts(module: nn.Module, name: str) -> Iterator[tuple[str, nn.Module]]:
    if module._forward_hooks or module._forward_pre_hooks or parametrize.is_parametrized(module):
        raise PremiseNotMet(f"{name or 'module'} has hooks or parametrizations; remove them first")
    if isinstance(module, nn.Sequential) and type(module).forward is nn.Sequential.forward:
        # Not named_children(), which leaves out a module that stands twice.
        for key, child in module._modules.items():
            if child is not None:
                yield from _parts(child, f"{name}.{key}" if name else key)
    else:
        yield name or "module", module


def _computes_linear(part: nn.Linear) -> bool:
    if type(part).forward is nn.Linear.forward:
        return True
    # Late import: the model module stands to the right of this one; its layer is a Linear that also takes sparse rows.
    from collabtheory.models.autoencoder import SparseLinear

    return type(part) is SparseLinear


def _refuse_unusual_linear(name: str, linear: nn.Linear, before: list[DenseLayer], owners: dict[int, str]) -> None:
    for label, tensor in linear.named_parameters():
        # The sum first: one pass, without temporaries.
        if not torch.isfinite(tensor.sum()) and not torch.isfinite(tensor).all():
            raise InvalidInput(f"{name}.{label} has an entry that is not finite")
        if owners.setdefault(tensor.data_ptr(), name) != name:
            raise PremiseNotMet(f"{name} shares its parameters with {owners[tensor.data_ptr()]}; gradients would mix")
    if before and before[-1].n_outputs != linear.in_features:
        given = before[-1].n_outputs
        raise InvalidInput(f"{name} takes {linear.in_features} inputs but the layer before it gives {given}")
