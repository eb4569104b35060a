"""Which items stand for a catalogue: those that weigh most, and draws from the others."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from collabtheory.errors import NumericalFailure
from collabtheory.transfer.arguments import all_finite
from collabtheory.transfer.loss_change import hidden_change, rows_of
from collabtheory.transfer.sensitivities import Sensitivities, bias_term

PILOT_ROWS, PILOT_SOURCES = 64, 16
PILOT_SHARE = 0.5
"""Part of the draws that follows the pilot; the others follow ``pi`` and the norms of W, which bounds every weight."""
MOVED_ITEMS, MOVED_ROWS = 48, 8
"""Items that each source adds to its own, and the rows of users that show which."""


@dataclass(frozen=True, eq=False)
class ItemDraws:
    """Items whose terms are summed, and items drawn with replacement from the others.

    Parameters
    ----------
    head
        ``(H,)`` item numbers.
    tail, tail_probability
        ``(K - H,)`` item numbers, with repetitions, and the probability of each in one draw.
    is_head
        ``(I,)``.
    """

    head: Tensor
    tail: Tensor
    tail_probability: Tensor
    is_head: Tensor

    @property
    def both(self) -> Tensor:
        """``(K,)``, the head first."""
        return torch.cat((self.head, self.tail))


def draw_items(score: Tensor, n_items: int, rng: np.random.Generator) -> ItemDraws:
    """Take half of ``n_items`` by ``score`` ``(I,)`` and draw half in proportion; all items if they are so few."""
    if not all_finite(score):
        raise NumericalFailure("the second-order terms of the items are not finite; take a smaller learning rate")
    n_head = n_items // 2 if n_items < len(score) else len(score)
    head = torch.topk(score, n_head).indices
    is_head = torch.zeros(len(score), dtype=torch.bool).index_fill_(0, head, True)
    if n_head == len(score):
        none = torch.zeros(0, dtype=torch.long)
        return ItemDraws(head, none, none.to(score.dtype), is_head)
    rest = score.double().masked_fill(is_head, 0.0).numpy()
    probability = rest / rest.sum()
    tail = torch.from_numpy(rng.choice(len(score), n_items - n_head, p=probability))
    return ItemDraws(head, tail, torch.from_numpy(probability).to(score.dtype)[tail], is_head)


def pilot_score(state: Sensitivities, rate: float, users: Tensor, sources: Tensor, rng: np.random.Generator) -> Tensor:
    """Return what an item's second-order term is like, ``(I,)``, positive and summing to one.

    Half is the root mean square of ``pi_i (exp(dl_i) - 1 - dl_i)`` over a few users and sources: the odds that are best
    for the average pair. Own items of a source do not count: they are never drawn.
    """
    chosen = rng.permutation(users.numpy())[: max(1, PILOT_ROWS // state.n_samples)]
    target = rows_of(state, torch.from_numpy(chosen), top=False, flat=True)
    probabilities = torch.softmax(state.logits(torch.from_numpy(chosen)).flatten(0, 1), -1)
    weight, total = state.layers[-1].weight, torch.zeros(state.contents.n_items, dtype=state.dtype)
    for v in rng.permutation(sources.numpy())[:PILOT_SOURCES]:
        source = rows_of(state, torch.tensor([v]), top=True)
        code_kernel = target.inputs[0] @ source.inputs[0].transpose(1, 2) + bias_term(state.layers[0])
        factors, hidden = hidden_change(state, target, source, code_kernel, rate)
        change = factors[0] @ source.deltas[-1][0]
        if hidden is not None:
            change.addmm_(hidden[0], weight.T)
        terms = torch.expm1(change).sub_(change).mul_(probabilities)
        total += terms.square_().mean(0).index_fill_(0, own_items(state, int(v)), 0.0)
    norms = weight.square().sum(1)
    bounded = probabilities.square().mean(0).sqrt() * (norms + norms.mean()) + torch.finfo(state.dtype).tiny
    bounded /= bounded.sum()
    pilot = total.sqrt_()
    # Without a pilot (no step, no loss) there is nothing else to go by.
    return PILOT_SHARE * pilot / pilot.sum() + (1 - PILOT_SHARE) * bounded if bool(pilot.sum() > 0) else bounded


def moved_most(state: Sensitivities, moved: Tensor, pushed: Tensor, mean_probability: Tensor) -> Tensor:
    """Return the items whose second-order terms a source makes largest, ``(sources, MOVED_ITEMS)``.

    Parameters
    ----------
    moved, pushed
        ``(sources, a_L)`` and ``(sources, I)``: an average ``dh``, and ``sum_t k_t delta_t`` with it.
    mean_probability
        ``(I,)``.
    """
    change = torch.addmm(pushed, moved, state.layers[-1].weight.T)
    return torch.topk(change.square_().mul_(mean_probability), min(MOVED_ITEMS, change.shape[1])).indices


def own_items(state: Sensitivities, user: int) -> Tensor:
    """Return the items of a user."""
    return torch.from_numpy(state.weighted[[user]].indices.astype(np.int64))
