r"""The loss change of one step from a few items: exact to first order, sampled in what is left.

.. math:: \Delta L_u = \frac1S \sum_s \Big[ \delta_{us} \cdot d\ell_s
          + n_u \big( \log(1 + m_s + T_s) - m_s \big) \Big], \qquad
          m = \sum_i \pi_i \, d\ell_i, \quad T = \sum_i \pi_i (e^{d\ell_i} - 1 - d\ell_i)

The terms linear in :math:`d\ell = W\,dh + \sum_t k_t \delta_{vt}` need no item: they are inner products with
:math:`W' \delta_{us}`, :math:`W' \pi_{us}` and the Gram matrices of the output sensitivities. ``T``, of second order,
is summed over the items that weigh most for these users, over v's own and over those that its step moves most, and
sampled over the rest by an importance that a few exact steps and the norms of W show. Draws are independent, so their
spread gives the standard error. In single precision rounding of the linear terms is what remains; its size is added.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from collabtheory.errors import InvalidInput, PremiseNotMet
from collabtheory.models.likelihoods import Multinomial
from collabtheory.transfer.codes import Matrix
from collabtheory.transfer.item_draws import MOVED_ROWS, ItemDraws, draw_items, moved_most, own_items, pilot_score
from collabtheory.transfer.loss_change import STEP_ROWS, Rows, hidden_change, rows_of
from collabtheory.transfer.sensitivities import Sensitivities, bias_term


@dataclass(frozen=True, eq=False)
class LossChangeEstimate:
    """Loss changes with the standard error of the items drawn.

    Parameters
    ----------
    change
        ``(users, sources)`` or ``(rates, users, sources)``, nats.
    standard_error
        The same shape: standard deviation of ``change`` over draws of the items, and the size of rounding errors.
    """

    change: Matrix
    standard_error: Matrix


@torch.no_grad()
def surrogate_loss_changes(
    state: Sensitivities, rates: list[float], users: Tensor, sources: Tensor, n_items: int, rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Return estimates and standard errors, ``(rates, users, sources)`` each, from ``n_items`` items a pair."""
    _check(state, n_items)
    changes = torch.empty(len(rates), len(users), len(sources), dtype=state.dtype)
    errors = torch.empty_like(changes)
    step, largest = max(1, STEP_ROWS // state.n_samples), max(rates, default=0.0)
    for start in range(0, len(users), step):
        block = users[start : start + step]
        score = pilot_score(state, largest, block, sources, rng)
        target = _Target.of(state, block, draw_items(score, n_items, rng))
        here = slice(start, start + target.n_users)
        for position, source in _each_source(target, sources, step, largest):
            for k, rate in enumerate(rates):
                changes[k, here, position], errors[k, here, position] = _estimate(target, source, rate)
    return changes, errors


def _check(state: Sensitivities, n_items: int) -> None:
    if type(state.mean.likelihood) is not Multinomial:
        raise PremiseNotMet(
            f"the surrogate samples the softmax of the multinomial; the likelihood is {state.mean.likelihood.name!r}"
        )
    if len(state.layers) == 1:
        raise PremiseNotMet("the surrogate spares products with a hidden layer; this decoder has none, take the exact")
    if n_items < 4:
        raise InvalidInput(f"n_items must be at least 4, half of them drawn; it is {n_items}")


@dataclass(frozen=True, eq=False)
class _Target:
    """A block of users: what its rows need to know of any source, made once."""

    state: Sensitivities
    rows: Rows  # flat
    probabilities: Tensor  # (R, I)
    mean_hidden: Tensor  # (R, a_L), W' pi
    top: Tensor  # (R, I)
    top_hidden: Tensor  # (R, a_L), W' delta
    hidden_size: Tensor  # (R,), |W' delta| + n |W' pi|
    top_size: Tensor  # (R,), |delta| + n |pi|
    sizes: Tensor  # (R,)
    items: ItemDraws
    item_weights: Tensor  # (K, a_L)
    factors: Tensor  # (R, K), what exp(dl) - 1 - dl is multiplied by

    @property
    def n_users(self) -> int:
        return len(self.top) // self.state.n_samples

    @classmethod
    def of(cls, state: Sensitivities, users: Tensor, items: ItemDraws) -> _Target:
        weight = state.layers[-1].weight
        probabilities = torch.softmax(state.logits(users).flatten(0, 1), -1)
        top = state.top(users).flatten(0, 1)
        sizes = state.coefficients[0][users].repeat_interleave(state.n_samples)
        mean_hidden, top_hidden = probabilities @ weight, top @ weight
        drawn = probabilities[:, items.tail] / (items.tail_probability * max(1, len(items.tail)))
        return cls(
            state=state,
            rows=rows_of(state, users, top=False, flat=True),
            probabilities=probabilities,
            mean_hidden=mean_hidden,
            top=top,
            top_hidden=top_hidden,
            top_size=top.norm(dim=1) + sizes * probabilities.norm(dim=1),
            hidden_size=top_hidden.norm(dim=1) + sizes * mean_hidden.norm(dim=1),
            sizes=sizes,
            items=items,
            item_weights=weight[items.both],
            factors=torch.cat((probabilities[:, items.head], drawn), 1),
        )


@dataclass(frozen=True, eq=False)
class _Source:
    """One user whose step is taken, seen from a block of targets."""

    rows: Rows
    own: Tensor  # (J,) own items, and those it moves most, that are not in the head
    code_kernel: Tensor  # (1, R, S)
    mean_kernel: Tensor  # (R, S), pi . delta
    top_kernel: Tensor  # (R, S), delta . delta
    item_deltas: Tensor  # (S, K)


def _each_source(target: _Target, sources: Tensor, step: int, rate: float) -> Iterator[tuple[int, _Source]]:
    state, n_samples = target.state, target.state.n_samples
    position = 0
    for block in torch.split(sources, step):
        rows = rows_of(state, block, top=True)
        tops = rows.deltas[-1].flatten(0, 1)
        code_kernel = target.rows.inputs[0][0] @ rows.inputs[0].flatten(0, 1).T + bias_term(state.layers[0])
        mean_kernel, top_kernel = target.probabilities @ tops.T, target.top @ tops.T
        item_deltas = tops[:, target.items.both]
        moved = _moved_items(target, rows, code_kernel, rate)
        for v, user in enumerate(block.tolist()):
            here = slice(v * n_samples, (v + 1) * n_samples)
            one = Rows(*(tuple(t[v : v + 1] for t in group) for group in (rows.inputs, (), rows.deltas)))
            own = torch.unique(torch.cat((own_items(state, user), moved[v])))
            kernels = (code_kernel[None, :, here], mean_kernel[:, here], top_kernel[:, here], item_deltas[here])
            yield position, _Source(one, own[~target.items.is_head[own]], *kernels)
            position += 1


def _moved_items(target: _Target, rows: Rows, code_kernel: Tensor, rate: float) -> Tensor:
    """Return the items that the steps of some sources move most, judged on a few rows of the target."""
    state, n_sources, n_samples = target.state, len(rows.inputs[0]), target.state.n_samples
    few = torch.linspace(0, len(target.top) - 1, MOVED_ROWS).long()
    kernel = code_kernel[few].view(len(few), n_sources, n_samples).transpose(0, 1)
    here = Rows(*(tuple(t[:, few] for t in group) for group in (target.rows.inputs, target.rows.pre_activations, ())))
    steps, hidden = hidden_change(state, here, rows, kernel.contiguous(), rate)
    moved = _moved_input(hidden)
    # Steps on opposite sides of a code are opposite; what counts is how far, not where to.
    largest = moved[torch.arange(n_sources), moved.norm(dim=2).argmax(1)]
    sign = torch.sign(moved @ largest[:, :, None])
    pushed = torch.bmm((steps * sign).mean(1, keepdim=True), rows.deltas[-1])[:, 0]
    return moved_most(state, (moved * sign).mean(1), pushed, target.probabilities.mean(0))


def _estimate(target: _Target, source: _Source, rate: float) -> tuple[Tensor, Tensor]:
    """Return the estimate and its standard error for each user of the target, ``(B,)``."""
    steps, hidden = hidden_change(target.state, target.rows, source.rows, source.code_kernel, rate)
    factors, moved = steps[0], _moved_input(hidden)[0]
    mean = (moved * target.mean_hidden).sum(1) + (factors * source.mean_kernel).sum(1)
    linear = (moved * target.top_hidden).sum(1) + (factors * source.top_kernel).sum(1)
    change = moved @ target.item_weights.T + factors @ source.item_deltas
    size = torch.linalg.vecdot(change.abs(), target.factors)
    terms = _second_order(change).mul_(target.factors)
    own, own_size = _of_own_items(target, source, factors, moved)
    n_head = len(target.items.head)
    drawn = terms[:, n_head:] * ~torch.isin(target.items.tail, source.own)
    total = mean + terms[:, :n_head].sum(1) + drawn.sum(1) + own
    loss = linear + target.sizes * (torch.log1p(total) - mean)
    sampling = _standard_error((target.sizes / (1 + total))[:, None] * drawn, target.n_users)
    rounding = _rounding(target, source, factors, moved, target.sizes * (size + own_size))
    return _per_user(loss, target.n_users), torch.hypot(sampling, _per_user(rounding, target.n_users))


def _moved_input(hidden: Tensor | None) -> Tensor:
    if hidden is None:
        raise PremiseNotMet("the surrogate needs a hidden layer")
    return hidden


def _per_user(rows: Tensor, n_users: int) -> Tensor:
    return rows.view(n_users, -1).mean(1)


def _rounding(target: _Target, source: _Source, factors: Tensor, moved: Tensor, second_order: Tensor) -> Tensor:
    """Return the size of the rounding errors of each row: sums whose terms are large and partly cancel."""
    pushed = factors.abs() @ source.rows.deltas[-1][0].norm(dim=1)
    size: Tensor = moved.norm(dim=1) * target.hidden_size * _cancellation(target, source)
    size += pushed * target.top_size + second_order
    return size.mul_(torch.finfo(size.dtype).eps)


def _cancellation(target: _Target, source: _Source) -> Tensor:
    """Return how much larger partial sums of ``z_u . z_v + 1`` are than what is left of them, ``(R,)``, at least 1."""
    codes = target.rows.inputs[0][0]
    products = codes.norm(dim=1) * source.rows.inputs[0].norm() / math.sqrt(codes.shape[1])
    left = source.code_kernel[0].norm(dim=1).clamp_(min=torch.finfo(products.dtype).tiny)
    ratio: Tensor = products / left
    return ratio.clamp_(min=1)


def _of_own_items(target: _Target, source: _Source, factors: Tensor, moved: Tensor) -> tuple[Tensor, Tensor]:
    """Return the sum over the source's own items, and of the sizes of what is subtracted there."""
    # Where v's step moves the logits most; drawn, these few items would dominate the error.
    weight, probabilities = target.state.layers[-1].weight, target.probabilities[:, source.own]
    change = moved @ weight[source.own].T + factors @ source.rows.deltas[-1][0][:, source.own]
    size = torch.linalg.vecdot(change.abs(), probabilities)
    value: Tensor = torch.linalg.vecdot(_second_order(change), probabilities)
    return value, size


def _second_order(change: Tensor) -> Tensor:
    """Return ``exp(change) - 1 - change``."""
    return torch.expm1(change).sub_(change)


def _standard_error(drawn: Tensor, n_users: int) -> Tensor:
    """Return the standard deviation of the sum of independent terms ``(R, K)``, rows averaged within users."""
    n_drawn = drawn.shape[1]
    if n_drawn == 0:
        return drawn.new_zeros(n_users)
    per_draw = drawn.view(n_users, -1, n_drawn).mean(1)
    return per_draw.std(1).mul_(math.sqrt(n_drawn))
