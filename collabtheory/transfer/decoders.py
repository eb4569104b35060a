"""Which decoders have closed forms, and the private copy that every kernel works on."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from collabtheory.errors import InvalidInput, PremiseNotMet
from collabtheory.models.layers import DenseLayer, linear_chain
from collabtheory.transfer.arguments import all_finite

PATHS = ("auto", "outer_product", "torch_func")


@dataclass(frozen=True, eq=False)
class FrozenDecoder:
    """A decoder as a function of ``theta``: an evaluation-mode copy, and its dense layers where it has the closed form.

    Parameters
    ----------
    module
        A copy of the user's module in ``eval()`` and the working dtype; the user's own is never touched.
    layers
        The chain of dense layers, or None where the decoder has no closed form.
    reason
        Why there is none; empty otherwise.
    """

    module: nn.Module
    layers: tuple[DenseLayer, ...] | None
    reason: str

    @property
    def path(self) -> str:
        """``"outer_product"`` (closed form) or ``"torch_func"`` (automatic differentiation)."""
        return "torch_func" if self.layers is None else "outer_product"


def kernel_for(decoder: nn.Module) -> str:
    """Tell which path the transfer kernels take for a decoder.

    Parameters
    ----------
    decoder
        The module ``z -> logits``.

    Returns
    -------
    str
        ``"outer_product"``: a chain of Linear layers and elementwise activations, gradients through their
        outer-product structure. ``"torch_func"``: anything else, automatic differentiation in blocks.

    Raises
    ------
    InvalidInput
        If ``decoder`` is not a module, has no parameter, or has one that is not finite.

    Examples
    --------
    >>> kernel_for(nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 5)))
    'outer_product'
    >>> kernel_for(nn.Sequential(nn.Linear(2, 3), nn.LayerNorm(3), nn.Linear(3, 5)))
    'torch_func'
    """
    return freeze(decoder, torch.float64, "auto").path


def freeze(decoder: nn.Module, dtype: torch.dtype, path: str) -> FrozenDecoder:
    """Copy a decoder for the kernels and choose its path.

    Raises
    ------
    InvalidInput
        As :func:`kernel_for`, or for an unknown ``path`` or ``dtype``.
    PremiseNotMet
        If ``path`` demands the closed form of a decoder that has none.
    """
    if path not in PATHS:
        raise InvalidInput(f"path must be one of {', '.join(map(repr, PATHS))}; it is {path!r}")
    if dtype not in (torch.float64, torch.float32):
        raise InvalidInput(f"dtype must be torch.float64 or torch.float32; it is {dtype}")
    module = _private_copy(decoder, dtype)
    if path == "torch_func":
        return FrozenDecoder(module, None, "asked for")
    try:
        layers = linear_chain(module)
        _refuse_unlike(module, layers)
    except PremiseNotMet as premise:
        if path == "outer_product":
            raise
        return FrozenDecoder(module, None, str(premise))
    return FrozenDecoder(module, layers, "")


def _private_copy(decoder: nn.Module, dtype: torch.dtype) -> nn.Module:
    if not isinstance(decoder, nn.Module):
        raise InvalidInput(f"decoder must be a torch.nn.Module (z -> logits); it is {type(decoder).__name__}")
    module = copy.deepcopy(decoder).cpu().to(dtype).eval()
    parameters = list(module.named_parameters())
    if not parameters:
        raise InvalidInput("decoder has no parameter, so there is no gradient to transfer")
    for name, value in parameters:
        if not all_finite(value):
            raise InvalidInput(f"decoder parameter {name} has an entry that is not finite")
    return module


@torch.no_grad()
def _refuse_unlike(module: nn.Module, layers: tuple[DenseLayer, ...]) -> None:
    # theta must be exactly the chain's weights and biases, and the chain must compute what the module computes
    # (a module listed twice in a Sequential is read only once).
    owned = sum(layer.weight.numel() + (0 if layer.bias is None else layer.bias.numel()) for layer in layers)
    if owned != sum(parameter.numel() for parameter in module.parameters()):
        raise PremiseNotMet("the decoder has parameters beyond those of its chain of Linear layers")
    width = layers[0].n_inputs
    probe = torch.linspace(-1.0, 1.0, 3 * width, dtype=layers[0].weight.dtype).reshape(3, width)
    tolerance = 1e-4 if probe.dtype == torch.float32 else 1e-10
    given, chained = module(probe), _forward(layers, probe)
    if given.shape != chained.shape or not torch.allclose(given, chained, rtol=tolerance, atol=tolerance):
        raise PremiseNotMet("the decoder does not compute what its chain of Linear layers computes")


def _forward(layers: tuple[DenseLayer, ...], z: Tensor) -> Tensor:
    for layer in layers:
        z = layer.activation.value(layer.pre_activation(z))
    return z
