r"""Decoders of a few numbers, whose losses and gradients run in float64 and on enclosures alike.

:math:`\eta(z) = W_2 \tanh(W_1 z + b_1) + b_2` with the losses of :mod:`collabtheory.models.likelihoods`, written with
numpy operators only. They make statements about decoders decidable: on one case, and on every point of a step.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
from flint import arb

from collabtheory.errors import InvalidInput
from collabtheory.rigor.composition import gradient_block_constants, output_constants, tanh_constants
from collabtheory.rigor.enclosures import is_enclosure, larger, log_sum_exp, norm, root, softplus

FAMILIES = ("multinomial", "bernoulli", "gaussian", "poisson")
PIECES, POINTS = 32, 8
"""A step is enclosed on so many pieces; in float64, points stand for it."""


@dataclass(frozen=True)
class SmallDecoder:
    """Weights ``(H, d)`` and ``(I, H)`` with their biases; also a direction in the space of these parameters."""

    first: Any
    first_bias: Any
    second: Any
    second_bias: Any

    @property
    def parts(self) -> tuple[Any, Any, Any, Any]:
        """The four arrays, the two layers in order."""
        return self.first, self.first_bias, self.second, self.second_bias

    def plus(self, factor: Any, direction: SmallDecoder) -> SmallDecoder:
        """Return ``theta + factor * direction``; of several factors ``(k,)`` all at once, with ``k`` in front."""
        steps = np.asarray(factor)
        several = [np.reshape(steps, (*steps.shape, *(1 for _ in np.shape(part)))) for part in self.parts]
        together = zip(self.parts, several, direction.parts, strict=True)
        return SmallDecoder(*(a + step * b for a, step, b in together))

    def flat(self) -> Any:
        """Return all numbers as one vector."""
        return np.concatenate([np.ravel(part) for part in self.parts])

    def layer_norms(self) -> tuple[Any, Any]:
        """Return the Euclidean norms of the two layers' parameters, weight and bias together."""
        return root(_square(self.first) + _square(self.first_bias)), root(
            _square(self.second) + _square(self.second_bias)
        )


@dataclass(frozen=True)
class Pass:
    """A forward and a backward pass at codes ``(S, d)``: ``hidden`` (S, H), ``logits`` (S, I), both sensitivities.

    A decoder that stands for several has their number in front of every shape.
    """

    codes: Any
    hidden: Any
    logits: Any
    delta: Any
    hidden_delta: Any


def run(decoder: SmallDecoder, likelihood: str, content: Any, codes: Any) -> Pass:
    """Run a decoder forward and backward for one content ``(I,)`` at codes ``(S, d)``."""
    hidden, logits = _forward(decoder, codes)
    delta = mean(likelihood, logits, np.sum(content)) - content
    return Pass(codes, hidden, logits, delta, (1 - hidden * hidden) * (delta @ decoder.second))


def loss(decoder: SmallDecoder, likelihood: str, content: Any, codes: Any) -> Any:
    """Return ``L(theta)``: the loss of a content, averaged over codes ``(S, d)``."""
    _, logits = _forward(decoder, codes)
    losses = _log_partition(likelihood, logits, np.sum(content)) - logits @ content
    return np.sum(losses) / len(codes)


def gradient(decoder: SmallDecoder, likelihood: str, content: Any, codes: Any) -> SmallDecoder:
    """Return the gradient of :func:`loss`: the mean of ``G(x, z)`` over the codes."""
    at = run(decoder, likelihood, content, codes)
    n = len(codes)
    return SmallDecoder(
        at.hidden_delta.T @ codes / n,
        np.sum(at.hidden_delta, axis=0) / n,
        at.delta.T @ at.hidden / n,
        np.sum(at.delta, axis=0) / n,
    )


def _forward(decoder: SmallDecoder, codes: Any) -> tuple[Any, Any]:
    hidden = np.tanh(codes @ decoder.first.mT + decoder.first_bias[..., None, :])
    return hidden, hidden @ decoder.second.mT + decoder.second_bias[..., None, :]


def directional_curvature(
    decoder: SmallDecoder, direction: SmallDecoder, likelihood: str, content: Any, codes: Any
) -> Any:
    r"""Return the second derivative of :func:`loss` at ``theta`` along a direction.

    With dots for derivatives along it,
    :math:`\ddot L = \dot\eta^\top A''(\eta) \dot\eta + \langle \delta, \ddot\eta \rangle`.
    """
    at = run(decoder, likelihood, content, codes)
    pre = codes @ direction.first.T + direction.first_bias
    slope = 1 - at.hidden * at.hidden
    hidden = slope * pre
    hidden_second = -2 * at.hidden * hidden * pre
    logits = at.hidden @ direction.second.T + hidden @ decoder.second.mT + direction.second_bias
    logits_second = 2 * hidden @ direction.second.T + hidden_second @ decoder.second.mT
    bent = _curvature(likelihood, at.logits, logits, np.sum(content)) + np.sum(at.delta * logits_second, axis=-1)
    return np.sum(bent, axis=-1) / len(codes)


def largest_curvature(
    decoder: SmallDecoder,
    direction: SmallDecoder,
    likelihood: str,
    content: Any,
    codes: Any,
    *,
    absolute: bool = False,
    pieces: int | None = None,
) -> Any:
    """Return the largest second derivative of ``t -> L(theta + t direction)`` for ``t`` in [0, 1].

    On enclosures every piece of [0, 1] is covered, so the result encloses the largest value. In float64 it is the
    largest at a few points, an estimate from below that only a search may use.

    Parameters
    ----------
    decoder, likelihood, content, codes
        As in :func:`loss`.
    direction
        The step.
    absolute
        Take the largest absolute value.
    pieces
        Number of pieces (32 on enclosures; 8 in float64, where it is the number of points less one).
    """
    shares = _shares(is_enclosure(decoder.first), pieces)
    values = directional_curvature(decoder.plus(shares, direction), direction, likelihood, content, codes)
    return largest(larger(values, -values) if absolute else values)


def largest(values: Any) -> Any:
    """Return the largest entry of a vector, in its arithmetic."""
    most = values[0]
    for value in values[1:]:
        most = larger(most, value)
    return most


def code_jacobian(decoder: SmallDecoder, likelihood: str, content: Any, code: Any) -> Any:
    """Return the Jacobian of ``z -> G(x, z)`` at one code ``(d,)``: ``(parameters, d)``."""
    at = run(decoder, likelihood, content, code[None])
    slope, columns = (1 - at.hidden * at.hidden)[0], []
    for k in range(len(code)):
        pre = decoder.first[:, k]
        hidden = slope * pre
        delta = _mean_along(likelihood, at.logits, (decoder.second @ hidden)[None], np.sum(content))[0]
        pulled = delta @ decoder.second * slope - 2 * at.hidden[0] * slope * pre * (at.delta[0] @ decoder.second)
        unit = np.array([one == k for one in range(len(code))]) * 1
        first = np.outer(pulled, code) + np.outer(at.hidden_delta[0], unit)
        second = np.outer(delta, at.hidden[0]) + np.outer(at.delta[0], hidden)
        columns.append(SmallDecoder(first, pulled, second, delta).flat())
    return np.stack(columns, axis=1)


def layer_constants(decoder: SmallDecoder, likelihood: str, content: Any, radius: Any) -> tuple[Any, Any]:
    """Return Lipschitz constants of both layers' blocks of ``z -> G(x, z)`` on the ball ``||z|| <= radius``.

    By composition (:mod:`collabtheory.rigor.composition`), with Frobenius norms in place of spectral ones.
    """
    first, second = norm(decoder.first), norm(decoder.second)
    n_items, n_hidden = decoder.second.shape
    most_hidden = root(n_hidden + 0 * radius)
    rows = np.sum(np.abs(decoder.second), axis=1) + decoder.second_bias
    output = output_constants(
        likelihood,
        size=np.sum(content) + 0 * radius,
        content_norm=norm(content + 0 * radius),
        n_items=n_items,
        logit_norm=second * most_hidden + norm(decoder.second_bias),
        largest_logit=largest(rows),
    )
    one, two = gradient_block_constants([first, second], [tanh_constants(radius)], [radius, most_hidden], output)
    return one, two


def mean(likelihood: str, logits: Any, size: Any) -> Any:
    """Return the likelihood's mean at logits ``(S, I)``: its loss has the gradient ``mean - x`` in them."""
    if likelihood == "multinomial":
        return size * _probabilities(logits)
    if likelihood == "bernoulli":
        return 1 / (1 + np.exp(-logits))
    if likelihood == "gaussian":
        return logits
    return np.exp(_known(likelihood, logits))


def _log_partition(likelihood: str, logits: Any, size: Any) -> Any:
    if likelihood == "multinomial":
        return size * log_sum_exp(logits, axis=-1)
    if likelihood == "bernoulli":
        return np.sum(softplus(logits), axis=-1)
    if likelihood == "gaussian":
        return np.sum(logits * logits, axis=-1) / 2
    return np.sum(np.exp(_known(likelihood, logits)), axis=-1)


def _mean_along(likelihood: str, logits: Any, direction: Any, size: Any) -> Any:
    if likelihood == "multinomial":
        p = _probabilities(logits)
        return size * p * (direction - np.sum(p * direction, axis=-1, keepdims=True))
    if likelihood == "bernoulli":
        p = mean(likelihood, logits, size)
        return p * (1 - p) * direction
    if likelihood == "gaussian":
        return direction
    return np.exp(_known(likelihood, logits)) * direction


def _curvature(likelihood: str, logits: Any, direction: Any, size: Any) -> Any:
    """Return the second derivative of the log-partition along a direction, ``(S,)``, as a sum of squares."""
    if likelihood == "multinomial":
        p = _probabilities(logits)
        centred = direction - np.sum(p * direction, axis=-1, keepdims=True)
        return size * np.sum(p * (centred * centred), axis=-1)
    return np.sum(_mean_along(likelihood, logits, 0 * direction + 1, size) * (direction * direction), axis=-1)


def _probabilities(logits: Any) -> Any:
    # One over a sum of exponentials of differences: each logit enters it once, which keeps enclosures tight.
    return 1 / np.sum(np.exp(logits[..., None, :] - logits[..., :, None]), axis=-1)


def _shares(enclosed: bool, pieces: int | None) -> Any:
    """Return enclosures that cover [0, 1], or points of it in float64."""
    if not enclosed:
        return np.linspace(0.0, 1.0, (pieces or POINTS) + 1)
    pieces = pieces or PIECES
    ends = [arb(k) / pieces for k in range(pieces + 1)]
    return np.array([low.union(high) for low, high in itertools.pairwise(ends)])


def _square(values: Any) -> Any:
    return np.sum(values * values)


def _known(likelihood: str, logits: Any) -> Any:
    if likelihood not in FAMILIES:
        raise InvalidInput(f"unknown likelihood {likelihood!r}; choose one of {', '.join(FAMILIES)}")
    return logits
