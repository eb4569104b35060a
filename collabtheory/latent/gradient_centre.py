"""Everything about the decoder gradient at the centres of balls, exact, before any radius is chosen."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from collabtheory.latent.ball_reach import LayerNorms, gram
from collabtheory.latent.curvature import BallCurvature, TopState
from collabtheory.latent.gradient_jacobian import LayerState, Problem
from collabtheory.latent.lipschitz import largest_singular_value
from collabtheory.latent.softmax_ball import WeightMoments


@dataclass(frozen=True, eq=False)
class Centre:
    """Everything at the centres that no radius changes: states, Jacobian norms, and norms of tangents, ``(m,)`` each.

    ``jacobian`` is the norm of the whole Jacobian, ``blocks`` (m, L) those of the layers' blocks;
    ``pre_slopes`` and ``pulled_slopes`` (m, out) the gradients' lengths of each pre-activation and each ``W' delta``.
    """

    problem: Problem
    norms: Sequence[LayerNorms]
    states: tuple[LayerState, ...]
    curvature: BallCurvature
    jacobian: Tensor
    blocks: Tensor
    input_tangents: Sequence[Tensor]
    delta_tangents: Sequence[Tensor]
    pulled_tangents: Sequence[Tensor]
    pre_slopes: Sequence[Tensor]
    pulled_slopes: Sequence[Tensor]

    @staticmethod
    def of(problem: Problem, norms: Sequence[LayerNorms], moments: WeightMoments) -> Centre:
        """Evaluate the centres of a block of codes."""
        states = problem.states()
        grams = [state.jacobian_gram() for state in states]
        delta_tangents = [largest_singular_value(gram(state.delta_tangents)) for state in states]
        pulled = [state.pulled_tangents for state in states[:-1]]
        pulled_tangents = [largest_singular_value(gram(tangents)) for tangents in pulled]
        top = states[-1]
        unknown = torch.full_like(delta_tangents[-1], math.inf)
        top_pulled = pulled_tangents[-1] if pulled_tangents else unknown
        curvature = problem.curvature.around(
            TopState(
                top.layer, moments, problem.x, top.pre, top.pre_tangents, top.delta, delta_tangents[-1], top_pulled
            )
        )
        return Centre(
            problem,
            norms,
            states,
            curvature,
            largest_singular_value(torch.stack(grams).sum(0)),
            torch.stack([largest_singular_value(one) for one in grams], 1),
            [largest_singular_value(gram(state.input_tangents)) for state in states],
            delta_tangents,
            pulled_tangents,
            [_lengths(state.pre_tangents) for state in states],
            [_lengths(tangents) for tangents in pulled],
        )


def _lengths(tangents: Tensor) -> Tensor:
    return tangents.square().sum(1).sqrt()
