r"""The exact local Lipschitz constant of ``z -> G(x, z)``, the decoder gradient at one code, without its Jacobian.

With ``h`` the input of a layer, ``delta`` the sensitivity of the loss to its pre-activation, ``A = dh/dz`` and
``B = d delta/dz``, the layer's block of ``G`` is ``delta [h, 1]'`` and the Jacobian ``J`` of all blocks satisfies

.. math:: J'J = \sum_l (\|h\|^2 + 1) B'B + (B'\delta)(h'A) + (A'h)(\delta'B) + \|\delta\|^2 A'A ,

a ``d x d`` matrix. Here ``A`` and ``B`` are kept as tangents, one row for each latent dimension: ``(codes, d, width)``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from collabtheory.errors import InvalidInput, NumericalFailure
from collabtheory.latent._kinds import Contents, content_rows, dense_rows, give_back, is_torch, matrix
from collabtheory.latent.ball_reach import gram
from collabtheory.latent.curvature import Curvature, curvature_of
from collabtheory.latent.lipschitz import largest_singular_value
from collabtheory.models.layers import DenseLayer, linear_chain
from collabtheory.models.likelihoods import Likelihood
from collabtheory.models.posterior import Array

_BLOCK_ENTRIES = 1 << 22


@dataclass(frozen=True, eq=False)
class LayerState:
    """One layer at a block of ``m`` codes.

    ``inputs`` (m, in) and ``input_tangents`` (m, d, in): ``h`` and ``A``. ``pre`` (m, out) and ``pre_tangents``
    (m, d, out): the pre-activation. ``pulled`` (m, out) and ``pulled_tangents`` (m, d, out): the loss gradient in the
    layer's output; at the last layer in the pre-activation itself. ``delta`` (m, out) and ``delta_tangents``
    (m, d, out): ``delta`` and ``B``.
    """

    layer: DenseLayer
    inputs: Tensor
    input_tangents: Tensor
    pre: Tensor
    pre_tangents: Tensor
    pulled: Tensor
    pulled_tangents: Tensor
    delta: Tensor
    delta_tangents: Tensor

    def jacobian_gram(self) -> Tensor:
        """Return ``J'J`` of this layer's block of the gradient, ``(m, d, d)``."""
        h, a, delta, b = self.inputs, self.input_tangents, self.delta, self.delta_tangents
        squared = (h * h).sum(1) + (self.layer.bias is not None)
        cross = torch.einsum("mdo,mo->md", b, delta)[:, :, None] * torch.einsum("mdi,mi->md", a, h)[:, None, :]
        grams = squared[:, None, None] * gram(b) + (delta * delta).sum(1)[:, None, None] * gram(a)
        return grams + cross + cross.mT


@dataclass(frozen=True, eq=False)
class Problem:
    """A decoder, its likelihood, and checked contents and codes, all in float64."""

    layers: tuple[DenseLayer, ...]
    curvature: Curvature
    x: Tensor
    codes: Tensor

    def states(self, directions: Tensor | None = None) -> tuple[LayerState, ...]:
        """Return every layer's state at every code, first layer first.

        Tangents are those of the given directions, ``(m, k, d)``, in place of the ``d`` latent dimensions.
        """
        forward, inputs = [], self.codes
        every = torch.eye(inputs.shape[1], dtype=torch.float64).expand(len(inputs), -1, -1)
        tangents = every if directions is None else directions
        for layer in self.layers:
            pre, pre_tangents = layer.pre_activation(inputs), tangents @ layer.weight.T
            forward.append((layer, inputs, tangents, pre, pre_tangents))
            inputs = layer.activation.value(pre)
            tangents = layer.activation.derivative(pre)[:, None, :] * pre_tangents
        states: list[LayerState] = []
        for layer, inputs, tangents, pre, pre_tangents in reversed(forward):
            if not states:
                delta, b = self.curvature.sensitivity(pre, pre_tangents, self.x)
                pulled, pulled_tangents = delta, b
            else:
                above = states[-1].layer.weight
                pulled, pulled_tangents = states[-1].delta @ above, states[-1].delta_tangents @ above
                slope, bend = layer.activation.derivative(pre), layer.activation.second_derivative(pre)
                delta = slope * pulled
                b = slope[:, None, :] * pulled_tangents + (bend * pulled)[:, None, :] * pre_tangents
            states.append(LayerState(layer, inputs, tangents, pre, pre_tangents, pulled, pulled_tangents, delta, b))
        return tuple(reversed(states))


def local_gradient_lipschitz(
    decoder: nn.Module, likelihood: str | Likelihood, x: Contents, codes: ArrayLike | Tensor
) -> Array:
    r"""Exact local Lipschitz constant :math:`\|\partial G(x_m, z) / \partial z\|_2` at each code.

    ``G`` is the gradient of the reconstruction loss in all weights and biases of the decoder.

    Parameters
    ----------
    decoder
        Linear layers and activations, see :func:`collabtheory.models.layers.linear_chain`.
    likelihood
        One of :data:`collabtheory.models.likelihoods.LIKELIHOODS`, or its name.
    x
        Contents, ``(n_codes, n_items)``, CSR or dense, one row for each code.
    codes
        ``(n_codes, d)``.

    Returns
    -------
    numpy.ndarray or torch.Tensor
        ``(n_codes,)`` float64, nats per latent unit and parameter unit. An empty user under the multinomial gives 0.

    Raises
    ------
    PremiseNotMet
        If the decoder is no such chain.
    InvalidInput
        If shapes do not fit or an entry is not finite.
    NumericalFailure
        If the gradient overflows (Poisson with large logits).

    Notes
    -----
    [paper, Thm 2.3] assumption A1. The constant is of first order: on a convex set the Lipschitz constant is the
    supremum of this over the set, so its largest value over sampled codes is a lower bound. With ReLU it holds where
    the function is differentiable and says nothing about jumps of the gradient.

    Examples
    --------
    >>> local_gradient_lipschitz(nn.Linear(1, 2, bias=False), "gaussian", [[0.0, 0.0]], [[0.0]]).shape
    (1,)
    """
    norms = [
        largest_singular_value(torch.stack([state.jacobian_gram() for state in block.states()]).sum(0))
        for block in problem_blocks(decoder, likelihood, x, codes)
    ]
    result = torch.cat(norms) if norms else torch.zeros(0, dtype=torch.float64)
    if not torch.isfinite(result).all():
        row = int((~torch.isfinite(result)).nonzero()[0, 0])
        raise NumericalFailure(f"the gradient at code {row} left the finite numbers; its logits are too large")
    return give_back(result, is_torch(codes))


def directional_slopes(
    decoder: nn.Module,
    likelihood: str | Likelihood,
    x: Contents,
    codes: ArrayLike | Tensor,
    gradient: Sequence[Tensor],
) -> Array:
    r"""Exact local slope :math:`\|\nabla_z \langle g, G(x_m, z)\rangle\|_2` at each code, for one fixed gradient ``g``.

    Parameters
    ----------
    decoder, likelihood, x, codes
        As in :func:`local_gradient_lipschitz`.
    gradient
        ``g`` in the order of ``decoder.parameters()``: a weight (out, in) and, where there is one, a bias (out,).

    Returns
    -------
    numpy.ndarray or torch.Tensor
        ``(n_codes,)`` float64; at most ``||g||`` times the local constant.
    """
    blocks = list(problem_blocks(decoder, likelihood, x, codes))
    slopes = [_slope(block, _by_layer(block.layers, gradient)) for block in blocks]
    return give_back(torch.cat(slopes) if slopes else torch.zeros(0, dtype=torch.float64), is_torch(codes))


def problem_blocks(
    decoder: nn.Module,
    likelihood: str | Likelihood,
    x: Contents,
    codes: ArrayLike | Tensor,
    *,
    n_directions: int | None = None,
) -> Iterator[Problem]:
    """Check the arguments and yield them in blocks of codes small enough to hold their tangents (default ``d``)."""
    layers = tuple(layer.to(torch.float64) for layer in linear_chain(decoder))
    curvature = curvature_of(likelihood)
    layers = (*layers[:-1], curvature.prepared(layers[-1]))
    points = matrix("codes", codes, layers[0].n_inputs)
    rows = content_rows(x, len(points), layers[-1].n_outputs)
    widest = max(layer.n_outputs for layer in layers)
    size = max(1, _BLOCK_ENTRIES // ((n_directions or layers[0].n_inputs) * widest))
    for start in range(0, len(points), size):
        stop = min(start + size, len(points))
        yield Problem(layers, curvature, dense_rows(rows, start, stop), points[start:stop])


def _by_layer(layers: tuple[DenseLayer, ...], gradient: Sequence[Tensor]) -> list[tuple[Tensor, Tensor | None]]:
    parts = iter([torch.as_tensor(part).detach().to(torch.float64) for part in gradient])
    try:
        found = [(next(parts), None if layer.bias is None else next(parts)) for layer in layers]
    except StopIteration:
        found = []
    fits = all(
        weight.shape == layer.weight.shape and (bias is None or bias.shape == layer.weight.shape[:1])
        for layer, (weight, bias) in zip(layers, found, strict=False)
    )
    if len(found) != len(layers) or not fits or next(parts, None) is not None:
        raise InvalidInput("gradient must hold one tensor for each decoder parameter, in the order of parameters()")
    return found


def _slope(block: Problem, gradient: list[tuple[Tensor, Tensor | None]]) -> Tensor:
    total = torch.zeros_like(block.codes)
    for state, (weight, bias) in zip(block.states(), gradient, strict=True):
        seen = state.inputs @ weight.T + (0.0 if bias is None else bias)
        total += torch.einsum("mdo,mo->md", state.delta_tangents, seen)
        total += torch.einsum("mdi,mi->md", state.input_tangents, state.delta @ weight)
    norms: Tensor = torch.linalg.vector_norm(total, dim=1)
    return norms
