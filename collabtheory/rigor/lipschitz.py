r"""Lipschitz constants of encoders and decoder gradients with every rounding accounted for.

Norms of the weights come from :mod:`collabtheory.latent.verified_norms`; they are put together in interval arithmetic,
and the upper end is rounded up. The bounds of :mod:`collabtheory.latent` are tighter, as they use the states that
occur, and are computed in float64 with a safety factor; these here hold for every state and are proved to the last bit.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from flint import arb
from torch import nn

from collabtheory.errors import InvalidInput, PremiseNotMet
from collabtheory.latent._kinds import Contents, content_rows, dense_rows
from collabtheory.latent.encoder_parts import EncoderParts
from collabtheory.latent.verified_norms import column_norm_bound, spectral_norm_bound
from collabtheory.models.layers import DenseLayer, linear_chain
from collabtheory.models.likelihoods import Likelihood, get_likelihood
from collabtheory.rigor.composition import (
    ActivationConstants,
    gradient_block_constants,
    output_constants,
    tanh_constants,
)

_BLOCK_ROWS = 1024


def verified_encoder_lipschitz(trunk: nn.Module, mean_head: nn.Linear, log_variance_head: nn.Linear) -> float:
    r"""Return ``L_phi`` in ``W_2(q(.|x), q(.|y)) <= L_phi ||x - y||_1``, proved to the last bit.

    .. math:: L_\phi = \max_i \|W_{1,i}\| \prod_{l \ge 2} s_l \|W_l\| \cdot s_1
       \sqrt{\|W_\mu\|^2 + \tfrac14 e^{M} \|W_v\|^2}, \qquad M = \max_j \|w_{v,j}\|_1 + b_{v,j}

    with ``s_l`` the largest slopes of the activations, and spectral norms.

    Parameters
    ----------
    trunk
        ``nn.Sequential`` of Linear layers with Tanh or Sigmoid, ending with one (it bounds the log-variance).
    mean_head, log_variance_head
        Linear layers on the trunk's output; the latter gives ``log sigma^2``.

    Returns
    -------
    float
        For inputs that are not normalised; for ``x / ||x||_2`` on users with at least n items times
        :func:`collabtheory.latent.kappa` of n where the first column norm is replaced by a spectral norm.

    Raises
    ------
    PremiseNotMet
        If the trunk is empty or an activation is neither Tanh nor Sigmoid.
    InvalidInput
        If the widths do not fit.

    Examples
    --------
    >>> trunk = nn.Sequential(nn.Linear(5, 3), nn.Tanh())
    >>> verified_encoder_lipschitz(trunk, nn.Linear(3, 2), nn.Linear(3, 2)) > 0
    True
    """
    parts = EncoderParts.read(trunk, mean_head, log_variance_head)
    if not parts.layers:
        raise PremiseNotMet("the trunk has no layer whose activation bounds the log-variance")
    constants = [_constants(layer) for layer in parts.layers]
    product = arb(column_norm_bound(parts.layers[0].weight))
    for layer in parts.layers[1:]:
        product *= arb(spectral_norm_bound(layer.weight))
    for one in constants:
        product *= one.slope
    head = parts.log_variance
    largest = arb(-math.inf)
    for row, bias in zip(head.weight.tolist(), _bias(head), strict=True):
        largest = largest.max(_sum(map(abs, row)) * constants[-1].bound + arb(bias))
    half_sigma = (largest / 2).exp() / 2
    heads = arb(spectral_norm_bound(parts.mean.weight)) ** 2
    heads += (half_sigma * arb(spectral_norm_bound(head.weight))) ** 2
    return _upper(product * heads.sqrt())


def verified_gradient_lipschitz(
    decoder: nn.Module, likelihood: str | Likelihood, x: Contents, radius: float, *, last_layer_only: bool = False
) -> float:
    r"""Return one Lipschitz constant of ``z -> G(x, z)`` on ``||z|| <= radius`` for all given contents, proved.

    Parameters
    ----------
    decoder
        Linear layers with Tanh or Sigmoid between them.
    likelihood
        Name or object.
    x
        Contents, ``(rows, n_items)``, CSR or dense, nonnegative.
    radius
        Of the ball around the origin, latent units; may be infinite with ``last_layer_only`` and a likelihood whose
        mean is bounded.
    last_layer_only
        Let ``theta`` be the last layer alone: the constant then does not depend on the radius, where there is a hidden
        layer.

    Returns
    -------
    float
        An upper bound. A product of norms, far above what occurs on trained decoders; see
        :func:`collabtheory.latent.gradient_lipschitz_on_balls` for the tight one in float64.

    Raises
    ------
    PremiseNotMet
        If the decoder has no closed form, or an activation is neither Tanh nor Sigmoid.
    InvalidInput
        If shapes do not fit, there is no content, or the radius is negative or not a number.

    Notes
    -----
    [paper, Thm 2.3] assumption A1, case (b), and with ``last_layer_only`` case (a).

    Examples
    --------
    >>> decoder = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 4))
    >>> near, far = (verified_gradient_lipschitz(decoder, "multinomial", [[1, 0, 1, 0]], r) for r in (1.0, 10.0))
    >>> 0 < near < far
    True
    """
    if not radius >= 0:
        raise InvalidInput(f"radius must be at least 0; it is {radius}")
    layers = [layer.to(torch.float64) for layer in linear_chain(decoder)]
    activations = [_constants(layer) for layer in layers[:-1]]
    most_inputs = [arb(radius)]
    for layer, one in zip(layers[:-1], activations, strict=True):
        most_inputs.append(arb(layer.n_outputs).sqrt() * one.bound)
    norms = [arb(spectral_norm_bound(layer.weight)) for layer in layers]
    last = layers[-1]
    size, content_norm = _largest_content(x, last.n_outputs)
    output = output_constants(
        get_likelihood(likelihood).name,
        size=size,
        content_norm=content_norm,
        n_items=last.n_outputs,
        logit_norm=norms[-1] * most_inputs[-1] + _norm(_bias(last)),
        largest_logit=arb(column_norm_bound(last.weight.T)) * most_inputs[-1] + arb(max(_bias(last))),
    )
    blocks = gradient_block_constants(norms, activations, most_inputs, output)
    kept = blocks[-1:] if last_layer_only else blocks
    return _upper(sum((block * block for block in kept), arb(0)).sqrt())


def _constants(layer: DenseLayer) -> ActivationConstants:
    tanh = tanh_constants(arb(1))
    if layer.activation.name == "tanh":
        return tanh
    if layer.activation.name == "sigmoid":
        # sigmoid(a) = (1 + tanh(a / 2)) / 2, so phi' is that of tanh over 4 and phi'' over 8.
        return ActivationConstants(tanh.slope / 4, tanh.bend / 8, arb(1))
    raise PremiseNotMet(f"no verified constants are known for {layer.activation.name}; only for tanh and sigmoid")


def _largest_content(x: Contents, n_items: int) -> tuple[arb, arb]:
    """Return bounds of the largest size and the largest Euclidean norm of the contents."""
    n_rows = x.shape[0] if hasattr(x, "shape") else len(x)  # type: ignore[arg-type]
    rows = content_rows(x, n_rows, n_items)
    if not n_rows:
        raise InvalidInput("x must have at least one row")
    size, length = 0.0, 0.0
    for start in range(0, n_rows, _BLOCK_ROWS):
        block = dense_rows(rows, start, min(start + _BLOCK_ROWS, n_rows))
        # fsum rounds the exact sum once.
        size = max(size, *(math.nextafter(math.fsum(row), math.inf) for row in block.tolist()))
        length = max(length, column_norm_bound(block.T))
    return arb(size), arb(length)


def _bias(layer: DenseLayer) -> list[float]:
    return [0.0] * layer.n_outputs if layer.bias is None else layer.bias.tolist()


def _sum(values: Sequence[float] | map[float]) -> arb:
    return sum(map(arb, values), arb(0))


def _norm(values: Sequence[float]) -> arb:
    return sum((arb(value) ** 2 for value in values), arb(0)).sqrt()


def _upper(bound: arb) -> float:
    top = float(bound.upper())
    return math.nextafter(top, math.inf) if math.isfinite(top) else math.inf
