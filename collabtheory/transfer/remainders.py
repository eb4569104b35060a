"""The loss change of a user once the change of its logits is known, without cancellation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from collabtheory.models.likelihoods import Multinomial
from collabtheory.transfer.sensitivities import Sensitivities

CACHED_ROWS = 64
"""Rows of logits exponentiated, weighed and added up before the next, so that all of it happens in the cache."""


class Remainder(Protocol):
    """Splits a loss change into ``<direction, dl>`` and a remainder, ``dl`` being the change of the logits.

    ``direction`` is carried through the layers as ``direction_hidden = W_L' direction``, so that it costs nothing per
    item.
    """

    @property
    def direction(self) -> Tensor:
        """``(B, S or 1, I)``."""
        ...

    @property
    def direction_hidden(self) -> Tensor:
        """``(B, S or 1, a_L)``."""
        ...

    def __call__(self, change: Tensor) -> Tensor:
        """Return the remainder, ``(..., I)`` to ``(...)``; ``change`` broadcasts against the users' rows."""
        ...


@dataclass(frozen=True, eq=False)
class BregmanRemainder:
    """Any likelihood: ``<w (mean - x), dl> + w Bregman(eta, dl)``."""

    state: Sensitivities
    direction: Tensor
    direction_hidden: Tensor
    logits: Tensor  # (B, S, I)
    sizes: Tensor  # (B, S)
    weights: Tensor  # (B, S)

    def __call__(self, change: Tensor) -> Tensor:
        """See :class:`Remainder`."""
        logits = self.logits.view(change.shape)
        weights, sizes = self.weights.reshape(change.shape[:-1]), self.sizes.reshape(change.shape[:-1])
        return weights * self.state.mean.likelihood.bregman(logits, change, sizes)


@dataclass(frozen=True, eq=False)
class MultinomialRemainder:
    """Multinomial: ``w n log sum_i p_i exp(dl_i) - w <x, dl>``, one exponential and one product per item.

    The same number as :class:`BregmanRemainder` (a test holds them together), without recomputing ``p``.
    """

    direction: Tensor
    direction_hidden: Tensor
    logits: Tensor  # (B, S, I)
    probabilities: Tensor  # (B, S, I)
    weights: Tensor  # (B, S)
    scratch: Tensor  # (CACHED_ROWS, I)

    def __call__(self, change: Tensor) -> Tensor:
        """See :class:`Remainder`."""
        rows, weights = change.flatten(0, 1), self.probabilities.flatten(0, 1)
        total = change.new_empty(len(rows))
        for few in range(0, len(rows), CACHED_ROWS):
            here = slice(few, few + CACHED_ROWS)
            grown = torch.expm1(rows[here], out=self.scratch[: len(rows[here])])
            torch.sum(grown.mul_(weights[here]), -1, out=total[here])
        total = total.view(change.shape[:-1])
        partition = torch.log1p(total)
        # Most of the mass moved, or the exponential overflowed: the plain difference is then the accurate one.
        far = ~(total > -0.5) | ~torch.isfinite(total)
        if bool(far.any()):
            logits = self.logits.view(change.shape)[far]
            partition[far] = torch.logsumexp(logits + change[far], -1) - torch.logsumexp(logits, -1)
        return partition * self.weights.reshape(partition.shape)


def remainder_of(state: Sensitivities, users: slice | Tensor) -> Remainder:
    """Prepare the remainder for the rows of ``users``."""
    logits = state.logits(users)
    deep = len(state.layers) > 1
    empty = logits.new_zeros(1, 1, 1)
    rows = logits.shape[:2]
    if type(state.mean.likelihood) is Multinomial:
        index = users.numpy() if isinstance(users, Tensor) else users
        content = torch.from_numpy(-state.weighted[index].toarray())[:, None, :]
        hidden = -state.pulled_contents[users][:, None, :] if deep else empty
        weights = state.coefficients[0][users][:, None].expand(rows)
        probabilities = torch.softmax(logits, -1)
        scratch = logits.new_empty(CACHED_ROWS, logits.shape[-1])
        return MultinomialRemainder(content, hidden, logits, probabilities, weights, scratch)
    hidden = state.top_pulled_back(users) if deep else empty
    sizes, user_weights = (
        torch.from_numpy(values).to(state.dtype)[users][:, None].expand(rows)
        for values in (state.contents.sizes, state.contents.weights)
    )
    return BregmanRemainder(state, state.top(users), hidden, logits, sizes, user_weights)
