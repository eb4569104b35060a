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
UNIFORM_SHARE = 0.1
"""Part of the draws that takes no notice of the pilot: no weight then exceeds 10 pi I, whatever the pilot missed."""


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
    uniform = (~is_head).double().numpy()
    probability = UNIFORM_SHARE * uniform / uniform.sum()
    # Without a pilot (no step, no loss) every item is as good as any other.
    probability += (1 - UNIFORM_SHARE) * (rest / rest.sum() if rest.sum() > 0 else uniform / uniform.sum())
    tail = torch.from_numpy(rng.choice(len(score), n_items - n_head, p=probability / probability.sum()))
    return ItemDraws(head, tail, torch.from_numpy(probability).to(score.dtype)[tail], is_head)


def pilot_score(state: Sensitivities, rate: float, users: Tensor, sources: Tensor, rng: np.random.Generator) -> Tensor:
    """Return the root mean square of ``pi_i (exp(dl_i) - 1 - dl_i)`` over a few users and sources, ``(I,)``.

    The odds that are best for the average pair. Own items of a source do not count: they are never drawn.
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
    return total.sqrt_()


def own_items(state: Sensitivities, user: int) -> Tensor:
    """Return the items of a user."""
    return torch.from_numpy(state.weighted[[user]].indices.astype(np.int64))
