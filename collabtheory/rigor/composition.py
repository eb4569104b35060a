r"""Assumption A1 by composition: a Lipschitz constant of ``z -> G(x, z)`` on a ball from norms of the weights alone.

Written with numbers of any arithmetic: floats to search with, enclosures to decide. For layers
:math:`h_{l+1} = \phi(a_l), a_l = W_l h_l + b_l` and sensitivities
:math:`\delta_l = \phi'(a_l) \circ W_{l+1}^\top \delta_{l+1}` the gradient of layer ``l`` is
:math:`\delta_l (h_l, 1)^\top`, so that by the product rule

.. math:: \mathrm{Lip}(\delta_l (h_l, 1)^\top) \le
   \mathrm{Lip}(\delta_l) \sqrt{\max \|h_l\|^2 + 1} + \max\|\delta_l\| \, \mathrm{Lip}(h_l).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from collabtheory.errors import InvalidInput
from collabtheory.rigor.enclosures import root


@dataclass(frozen=True)
class ActivationConstants:
    """Bounds of a bounded activation on the whole line: of ``|phi'|``, of ``|phi''|``, and of ``|phi|``."""

    slope: Any
    bend: Any
    bound: Any


@dataclass(frozen=True)
class OutputConstants:
    """What the likelihood adds: the largest slope of its mean in the logits, and the longest ``mean - x``."""

    slope: Any
    most: Any


def tanh_constants(number: Any) -> ActivationConstants:
    r"""Return the constants of tanh in the arithmetic of ``number``: 1, ``4 / (3 sqrt 3)``, 1.

    ``|tanh''| = 2 t (1 - t^2)`` with ``t = tanh``, largest at ``t^2 = 1/3``.
    """
    one = 0 * number + 1
    return ActivationConstants(one, 4 * one / (3 * root(3 * one)), one)


def output_constants(
    likelihood: str, *, size: Any, content_norm: Any, n_items: int, logit_norm: Any, largest_logit: Any
) -> OutputConstants:
    r"""Return the constants of a likelihood.

    Parameters
    ----------
    likelihood
        ``"multinomial"``: slope ``n/2``, as ``diag(p) - pp'`` has norm at most 1/2; ``||np - x||^2 <= n^2 + ||x||^2``.
        ``"bernoulli"``: slope 1/4; every entry is at most ``max(1, x_i)``. ``"gaussian"``: slope 1. ``"poisson"``: the
        exponential of the largest logit.
    size, content_norm
        ``n = sum x`` and ``||x||`` of a nonnegative content.
    n_items
        Number of items.
    logit_norm, largest_logit
        Bounds of ``||eta||`` and of ``max eta_i`` on the region (for the two likelihoods that are unbounded).

    Raises
    ------
    InvalidInput
        If no likelihood has that name.
    """
    one = 0 * size + 1
    if likelihood == "multinomial":
        return OutputConstants(size / 2, root(size * size + content_norm * content_norm))
    if likelihood == "bernoulli":
        return OutputConstants(one / 4, root(n_items + content_norm * content_norm))
    if likelihood == "gaussian":
        return OutputConstants(one, logit_norm + content_norm)
    if likelihood == "poisson":
        raised = np.exp(largest_logit)
        return OutputConstants(raised, root(n_items * one) * raised + content_norm)
    raise InvalidInput(f"no constants are known for the likelihood {likelihood!r}")


def gradient_block_constants(
    norms: Sequence[Any],
    activations: Sequence[ActivationConstants],
    most_inputs: Sequence[Any],
    output: OutputConstants,
) -> list[Any]:
    r"""Return a Lipschitz constant of every layer's block of ``z -> G(x, z)``, first layer first.

    Parameters
    ----------
    norms
        Bounds of the spectral norm of each layer's weight, ``L``.
    activations
        Constants of the activation after each layer but the last, ``L - 1``.
    most_inputs
        Bounds of ``||h_l||`` of each layer's input on the region; the first is the radius of the ball. ``L``.
    output
        Constants of the likelihood on the region.

    Returns
    -------
    list
        The whole gradient's constant is the root of the sum of their squares; a layer without bias is covered too.

    Examples
    --------
    >>> float(gradient_block_constants([2.0], [], [3.0], OutputConstants(1.0, 5.0))[0])
    11.32455532033676
    """
    # Lip(h_l), by the chain rule.
    inputs = [0 * norms[0] + 1]
    for norm, activation in zip(norms, activations, strict=False):
        inputs.append(activation.slope * norm * inputs[-1])
    lipschitz, most = output.slope * norms[-1] * inputs[-1], output.most
    blocks: list[Any] = []
    for layer in reversed(range(len(norms))):
        if layer < len(norms) - 1:
            activation, above = activations[layer], norms[layer + 1]
            # phi'(a) changes by at most bend ||da|| in every entry; no entry of W' delta exceeds ||W' delta||.
            bent = activation.bend * norms[layer] * inputs[layer] * above * most
            lipschitz = activation.slope * above * lipschitz + bent
            most = activation.slope * above * most
        extended = root(most_inputs[layer] * most_inputs[layer] + 1)
        blocks.insert(0, lipschitz * extended + most * inputs[layer])
    return blocks
