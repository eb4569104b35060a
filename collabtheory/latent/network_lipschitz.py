r"""How much a chain of dense layers can stretch, from l2 to l2: a certified bound and a slope that is seen."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from collabtheory.errors import PremiseNotMet
from collabtheory.latent.lipschitz import LipschitzBracket
from collabtheory.latent.sector_bounds import chain_bound
from collabtheory.latent.sector_multipliers import STEPS
from collabtheory.models.activations import Activation
from collabtheory.models.layers import DenseLayer, linear_chain

_STARTS, _SWEEPS = 4, 30
_FAR = 20.0


def network_lipschitz(network: nn.Module, *, steps: int = STEPS, seed: int = 0) -> LipschitzBracket:
    r"""Bracket of the Lipschitz constant of a dense network, Euclidean on both sides, over all inputs.

    The upper end is LipSDP's bound with one multiplier a unit, certified
    (:mod:`collabtheory.latent.sector_bounds`), never above the product of spectral norms. The lower end is the largest
    singular value of the Jacobian at an input that was sought for: where each unit of the first layer is steep or flat,
    whichever stretches the direction that is stretched most.

    Parameters
    ----------
    network
        Linear layers with activations between them that never fall (no SiLU, no GELU), see
        :func:`~collabtheory.models.layers.linear_chain`.
    steps
        Effort of the search for multipliers.
    seed
        Of the starts of the search for a steep input.

    Returns
    -------
    LipschitzBracket

    Raises
    ------
    PremiseNotMet
        If the network is not of that form.

    Examples
    --------
    >>> torch.manual_seed(0) and None
    >>> bracket = network_lipschitz(nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 3)))
    >>> 0 < bracket.lower <= bracket.upper < 1.2 * bracket.lower
    True
    """
    layers = [layer.to(torch.float64) for layer in linear_chain(network)]
    for layer in layers[:-1]:
        require_rising(layer.activation)
    slopes = [torch.full((layer.n_outputs,), layer.activation.lipschitz, dtype=torch.float64) for layer in layers[:-1]]
    upper = chain_bound([layer.weight for layer in layers], slopes, steps=steps).spectral
    generator = torch.Generator().manual_seed(seed)
    return LipschitzBracket(_steepest(layers, generator), upper, "all inputs")


def require_rising(activation: Activation) -> None:
    """Refuse activations that fall somewhere: their slopes lie in no sector ``[0, s]``."""
    ends = torch.tensor([-1e3], dtype=torch.float64), torch.tensor([1e3], dtype=torch.float64)
    if float(activation.derivative_range(*ends)[0]) < 0:
        raise PremiseNotMet(f"{activation.name} falls somewhere; multipliers need activations that never do")


def _steepest(layers: list[DenseLayer], generator: torch.Generator) -> float:
    """Return the largest singular value of a Jacobian over some inputs and the steep ones found from them."""
    first, width = layers[0], layers[0].n_inputs
    inputs = [torch.zeros(width, dtype=torch.float64)]
    inputs += [torch.randn(width, dtype=torch.float64, generator=generator) for _ in range(_STARTS - 1)]
    if len(layers) == 1:
        return _norm(first.weight)
    pseudo_inverse = torch.linalg.pinv(first.weight)
    return max(_ascend(layers, start, pseudo_inverse) for start in inputs)


def _ascend(layers: list[DenseLayer], x: Tensor, pseudo_inverse: Tensor) -> float:
    """Climb: each unit of the first layer where it helps the most stretched direction, until nothing is gained."""
    first, best = layers[0], 0.0
    steep, flat = _points(first.activation)
    for _ in range(_SWEEPS):
        pre, rest = first.pre_activation(x), _jacobian_after_first(layers, x)
        jacobian = rest @ (first.activation.derivative(pre)[:, None] * first.weight)
        left, values, right = torch.linalg.svd(jacobian, full_matrices=False)
        if float(values[0]) <= best * (1 + 1e-9):
            break
        best = float(values[0])
        helps = (rest.T @ left[:, 0]) * (first.weight @ right[0]) > 0
        target = torch.where(helps, steep, flat)
        x = pseudo_inverse @ (target if first.bias is None else target - first.bias)
    return best


def _jacobian_after_first(layers: list[DenseLayer], x: Tensor) -> Tensor:
    """Return the derivative of the outputs in the first layer's activations."""
    hidden = layers[0].activation.value(layers[0].pre_activation(x))
    jacobian = torch.eye(len(hidden), dtype=torch.float64)
    for layer in layers[1:]:
        pre = layer.pre_activation(hidden)
        jacobian = layer.activation.derivative(pre)[:, None] * (layer.weight @ jacobian)
        hidden = layer.activation.value(pre)
    return jacobian


def _points(activation: Activation) -> tuple[Tensor, Tensor]:
    """Return pre-activations at which the slope is largest and smallest."""
    grid = torch.linspace(-_FAR, _FAR, 401, dtype=torch.float64)
    slopes = activation.derivative(grid)
    return grid[slopes.argmax()], grid[slopes.argmin()]


def _norm(matrix: Tensor) -> float:
    return float(torch.linalg.matrix_norm(matrix, 2))
