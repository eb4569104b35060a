r"""Certified Lipschitz constants of ``z -> G(x, z)`` on balls around codes.

Every factor of the Jacobian is exact at the centre of the ball; how far each can move on the ball is bounded layer by
layer, and the product rule puts the moves together. As the radius goes to 0 the bound tends to the exact local
constant; on a large ball the moves are capped by what each factor can be at most.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from collabtheory.latent._kinds import Contents
from collabtheory.latent.ball_reach import (
    LayerNorms,
    LogitReach,
    SensitivityReach,
    StateReach,
    minimum,
    weighted_norm,
)
from collabtheory.latent.gradient_centre import Centre
from collabtheory.latent.gradient_jacobian import LayerState, problem_blocks
from collabtheory.latent.lipschitz import SAFETY
from collabtheory.latent.softmax_ball import WeightMoments
from collabtheory.models.likelihoods import Likelihood


@dataclass(frozen=True, eq=False)
class BallBound:
    """Certified on the balls: the whole Jacobian ``(m,)``, each layer's block and each block's move ``(m, L)``."""

    whole: Tensor
    blocks: Tensor
    block_changes: Tensor


@dataclass(frozen=True, eq=False)
class Slopes:
    """A hidden layer's activation on the ball, ``(m, out)``: moves and maxima of ``|phi'|`` and ``|phi''|``."""

    slope_change: Tensor
    slope_most: Tensor
    bend_change: Tensor
    bend_most: Tensor


def bound_on_balls(centre: Centre, radius: Tensor) -> BallBound:
    """Bound the Jacobian on the ball of the given radius ``(m,)`` around each centre."""
    reaches = [_codes(centre.problem.codes, radius)]
    slopes: list[Slopes] = []
    for index in range(len(centre.states) - 1):
        pre = _pre_activation(centre, index, reaches[-1], slopes, radius)
        reach, slope = _activation(centre, index, reaches[-1], pre)
        reaches.append(reach)
        slopes.append(slope)
    top = len(centre.states) - 1
    sensitivity = centre.curvature.on_ball(_pre_activation(centre, top, reaches[-1], slopes, radius))
    blocks = [_block(centre, top, reaches[top], sensitivity)]
    for index in reversed(range(top)):
        sensitivity = _backward(centre, index, sensitivity, reaches[index], slopes[index], radius)
        blocks.insert(0, _block(centre, index, reaches[index], sensitivity))
    changes, most = (torch.stack(parts, 1) for parts in zip(*blocks, strict=True))
    return _combined(centre, changes, most)


def _codes(codes: Tensor, radius: Tensor) -> StateReach:
    ones = torch.ones_like(radius)
    entry = radius[:, None].expand_as(codes)
    return StateReach(entry, torch.zeros_like(codes), radius, codes.norm(dim=1) + radius, 0 * ones, ones)


def _pre_activation(
    centre: Centre, index: int, below: StateReach, slopes: Sequence[Slopes], radius: Tensor
) -> LogitReach:
    norms = centre.norms[index]
    linear = radius[:, None] * centre.pre_slopes[index]
    if index == 0:
        return LogitReach(radius, linear, 0 * linear, linear, below.tangent_change, below.tangent_most)
    remainder = torch.minimum(
        below.entry_remainder @ norms.absolute.T,
        (radius * below.tangent_change)[:, None] * norms.rows,
    )
    if index == 1:
        # sum_k |W_ik| bend_k / 2 (w_k . dz)^2, and sum_k (w_k . dz)^2 <= (||W_1|| radius)^2.
        bend = 0.5 * slopes[0].bend_most.amax(1)
        together = norms.largest * bend * (centre.norms[0].spectral * radius) ** 2
        remainder = torch.minimum(remainder, together[:, None])
    width = minimum(linear + remainder, below.entry_change @ norms.absolute.T, below.change[:, None] * norms.rows)
    return LogitReach(radius, linear, remainder, width, below.tangent_change, below.tangent_most)


def _activation(centre: Centre, index: int, below: StateReach, pre: LogitReach) -> tuple[StateReach, Slopes]:
    state, norms = centre.states[index], centre.norms[index]
    function = state.layer.activation
    low, high = state.pre - pre.width, state.pre + pre.width
    value_low, value_high = function.value_range(low, high)
    value, slope, bend = (part(state.pre) for part in (function.value, function.derivative, function.second_derivative))
    slope_low, slope_high = function.derivative_range(low, high)
    bend_low, bend_high = function.second_derivative_range(low, high)
    slopes = Slopes(
        torch.maximum(slope_high - slope, slope - slope_low),
        torch.maximum(slope_high.abs(), slope_low.abs()),
        torch.maximum(bend_high - bend, bend - bend_low),
        torch.maximum(bend_high.abs(), bend_low.abs()),
    )
    entry_change = minimum(torch.maximum(value_high - value, value - value_low), slopes.slope_most * pre.width)
    curved = torch.minimum(0.5 * slopes.bend_most * pre.width, slopes.slope_change) * pre.width
    moved = slopes.slope_most.amax(1) * norms.spectral * below.tangent_change
    tangent_change = weighted_norm(state.pre_tangents, slopes.slope_change) + moved
    tangent_most = minimum(
        centre.input_tangents[index + 1] + tangent_change,
        weighted_norm(state.pre_tangents, slopes.slope_most) + moved,
        slopes.slope_most.amax(1) * norms.spectral * below.tangent_most,
    )
    change = minimum(entry_change.norm(dim=1), pre.radius * tangent_most)
    most = minimum(value.norm(dim=1) + change, torch.maximum(value_high.abs(), value_low.abs()).norm(dim=1))
    entry_remainder = slope.abs() * pre.remainder + curved
    return StateReach(entry_change, entry_remainder, change, most, tangent_change, tangent_most), slopes


def _backward(
    centre: Centre, index: int, above: SensitivityReach, below: StateReach, slopes: Slopes, radius: Tensor
) -> SensitivityReach:
    """Pass the bounds of ``delta`` and its tangents from one layer to the one below it."""
    state, norms = centre.states[index], centre.norms[index]
    per_unit = centre.pulled_slopes[index] + above.pulled_tangent_change[:, None]
    size = state.pulled.abs()
    pulled_change = torch.minimum(radius[:, None] * per_unit, above.pulled_box + size)
    pulled_most = torch.minimum(size + pulled_change, above.pulled_box)
    bent_change = slopes.bend_change * size + slopes.bend_most * pulled_change
    bent_most = slopes.bend_most * pulled_most
    moved = bent_most.amax(1) * norms.spectral * below.tangent_change
    slope_most = slopes.slope_most.amax(1)
    tangent_change = (
        weighted_norm(state.pulled_tangents, slopes.slope_change)
        + slope_most * above.pulled_tangent_change
        + weighted_norm(state.pre_tangents, torch.minimum(bent_change, bent_most + _bent(state)))
        + moved
    )
    tangent_most = minimum(
        centre.delta_tangents[index] + tangent_change,
        slope_most * above.pulled_tangent_most + weighted_norm(state.pre_tangents, bent_most) + moved,
    )
    entry_change = slopes.slope_change * size + slopes.slope_most * pulled_change
    entry_most = slopes.slope_most * pulled_most
    change = minimum(entry_change.norm(dim=1), radius * tangent_most)
    most = minimum(state.delta.norm(dim=1) + change, entry_most.norm(dim=1))
    spectral = norms.spectral
    below_change = spectral * tangent_change
    at_centre = centre.pulled_tangents[index - 1] if index else torch.full_like(change, math.inf)
    return SensitivityReach(
        change,
        most,
        tangent_change,
        tangent_most,
        below_change,
        minimum(at_centre + below_change, spectral * tangent_most),
        entry_most @ norms.absolute,
    )


def _bent(state: LayerState) -> Tensor:
    return (state.layer.activation.second_derivative(state.pre) * state.pulled).abs()


def _block(centre: Centre, index: int, reach: StateReach, sensitivity: SensitivityReach) -> tuple[Tensor, Tensor]:
    """Bound the move and the norm of one layer's block of the Jacobian, ``B v (x) [h, 1] + delta (x) A v``."""
    bias = float(centre.states[index].layer.bias is not None)
    extended = torch.sqrt(reach.most**2 + bias)
    change = (
        sensitivity.tangent_change * extended
        + centre.delta_tangents[index] * reach.change
        + sensitivity.change * reach.tangent_most
        + centre.states[index].delta.norm(dim=1) * reach.tangent_change
    )
    return change, sensitivity.tangent_most * extended + sensitivity.most * reach.tangent_most


def _combined(centre: Centre, changes: Tensor, most: Tensor) -> BallBound:
    blocks = torch.minimum(centre.blocks + changes, most)
    whole = torch.minimum(centre.jacobian + changes.norm(dim=1), blocks.norm(dim=1))
    # A bound that left the finite numbers says nothing, which infinity says.
    certified = (torch.nan_to_num(bound * SAFETY, nan=math.inf) for bound in (whole, blocks, changes))
    return BallBound(*certified)


def ball_bounds(
    decoder: nn.Module, likelihood: str | Likelihood, x: Contents, centers: ArrayLike | Tensor, radii: Tensor
) -> list[BallBound]:
    """Bound the Jacobian on balls for every row of ``radii`` ``(n_radii, n_codes)``."""
    parts: list[list[BallBound]] = [[] for _ in radii]
    constants: tuple[list[LayerNorms], WeightMoments] | None = None
    start = 0
    for problem in problem_blocks(decoder, likelihood, x, centers):
        if constants is None:
            constants = [LayerNorms.of(layer) for layer in problem.layers], WeightMoments.of(problem.layers[-1].weight)
        centre, stop = Centre.of(problem, *constants), start + len(problem.codes)
        for row, radius in enumerate(radii):
            parts[row].append(bound_on_balls(centre, radius[start:stop]))
        start = stop
    return [_joined(bounds) for bounds in parts]


def _joined(bounds: list[BallBound]) -> BallBound:
    if not bounds:
        return BallBound(*(torch.zeros(shape, dtype=torch.float64) for shape in ((0,), (0, 0), (0, 0))))
    names = ("whole", "blocks", "block_changes")
    return BallBound(*(torch.cat([getattr(bound, name) for bound in bounds]) for name in names))
