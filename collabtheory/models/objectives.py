"""Reconstruction terms of training, evaluated on sparse contents: users x items is dense once, for the logits."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy import sparse
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from collabtheory.errors import InvalidInput
from collabtheory.models.devices import send
from collabtheory.models.likelihoods import Likelihood, get_likelihood

CACHED = 1 << 18
"""Logits that are worked on at a time; 1 MB of float32."""


@dataclass(frozen=True)
class Observed:
    """The items of a batch of users, as positions in their logits.

    Parameters
    ----------
    owners, items
        Row and column of each observed entry, ``(entries,)``, int64.
    n
        Number of items of each user, ``(users,)``.
    """

    owners: Tensor
    items: Tensor
    n: Tensor

    @classmethod
    def of(cls, rows: sparse.csr_array) -> Observed:
        """Return the positions of the entries of a binary CSR matrix."""
        owners = torch.from_numpy(np.repeat(np.arange(rows.shape[0]), np.diff(rows.indptr)))
        return cls.at(torch.stack([owners, torch.from_numpy(rows.indices.astype(np.int64))]), rows)

    @classmethod
    def at(cls, positions: Tensor, rows: sparse.csr_array) -> Observed:
        """Return the same from the positions that the encoder's input has already, ``(2, entries)``, on its device."""
        sizes = torch.from_numpy(np.diff(rows.indptr).astype(np.float32))
        return cls(positions[0], positions[1], send(sizes, positions.device))

    def sum_by_user(self, values: Tensor) -> Tensor:
        """Add up one value an entry to one a user."""
        return values.new_zeros(len(self.n)).index_add(0, self.owners, values)


def likelihood_loss(logits: Tensor, observed: Observed, likelihood: str, confidence: float = 1.0) -> Tensor:
    r"""Return the negative log-likelihood of each user without terms free of the logits, ``(users,)`` nats.

    Value and gradient come from one pass over the logits. With the Gaussian likelihood observed items weigh
    ``confidence``: :math:`\frac12 \sum_i c_i (\eta_i - x_i)^2`, :math:`c_i` = confidence if :math:`x_i = 1` else 1
    (arXiv:1802.05814, section 2.2). The gradient cannot be differentiated again: asking for it is an error.

    Parameters
    ----------
    logits
        ``(users, items)``, finite.
    observed
        The users' items; a user without items has the loss of an empty content.
    likelihood
        Name of the likelihood.
    confidence
        Weight of an observed item's squared error against 1 of every other; 1 but for the Gaussian likelihood.

    Raises
    ------
    InvalidInput
        If the likelihood is unknown, or has no squared error for ``confidence`` to weigh.

    Examples
    --------
    >>> observed = Observed.of(sparse.csr_array(np.array([[1.0, 0.0, 0.0, 1.0]])))
    >>> round(float(likelihood_loss(torch.zeros(1, 4), observed, "multinomial")), 4)  # 2 log 4
    2.7726
    """
    if confidence != 1.0 and likelihood != "gaussian":
        raise InvalidInput(f"confidence weighs squared errors; the {likelihood} likelihood has none, so leave it at 1")
    loss: Tensor = _LikelihoodLoss.apply(logits, observed, get_likelihood(likelihood), confidence)  # type: ignore[no-untyped-call]
    return loss


class _LikelihoodLoss(torch.autograd.Function):
    """``A(eta) - <eta, x>`` with its gradient ``mean - x`` made on the way forward, in one buffer."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, observed: Observed, likelihood: Likelihood, confidence: float) -> Tensor:
        gradient = logits.clone(memory_format=torch.contiguous_format)
        loss = loss_into_gradient(gradient, observed, likelihood, confidence)
        ctx.save_for_backward(gradient)
        return loss

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, None, None, None]:
        (gradient,) = ctx.saved_tensors
        return gradient * upstream[:, None], None, None, None


def loss_into_gradient(logits: Tensor, observed: Observed, likelihood: Likelihood, confidence: float = 1.0) -> Tensor:
    """Return the loss of each user, ``(users,)``, and overwrite the logits with its gradient.

    The logits may be columns of a wider buffer; see :func:`likelihood_loss` for the rest.
    """
    seen = logits[observed.owners, observed.items]
    if likelihood.name == "multinomial":
        partition = torch.cat([_softmax_(rows, n) for rows, n in _in_cache(logits, observed.n)])
    else:
        partition = likelihood.log_partition(logits, observed.n)
        logits.copy_(likelihood.mean(logits, observed.n))
    extra, slope = torch.zeros_like(seen), torch.full_like(seen, -1.0)
    if confidence != 1.0:
        extra = (confidence - 1.0) * (0.5 * seen * seen - seen)
        slope = slope + (confidence - 1.0) * (seen - 1.0)
    logits[observed.owners, observed.items] += slope
    return partition + observed.sum_by_user(extra - seen)


def _softmax_(logits: Tensor, n: Tensor) -> Tensor:
    """Overwrite logits with ``n softmax`` and return ``n logsumexp``, ``(users,)``."""
    top = logits.amax(-1, keepdim=True)
    total = logits.sub_(top).exp_().sum(-1, keepdim=True)
    logits *= n[:, None] / total
    return n * (top + total.log()).squeeze(-1)


def _in_cache(logits: Tensor, n: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the rows in blocks that stay in the processor's cache from pass to pass, and their ``n``.

    On a GPU all at once: there a block is a handful of launches, which cost more than its passes.
    """
    rows = max(1, CACHED // max(1, logits.shape[1])) if logits.device.type == "cpu" else max(1, len(n))
    yield from zip(torch.split(logits, rows), torch.split(n, rows), strict=True)


def sampled_softmax_loss(logits: Tensor, observed: Observed, negatives: int) -> Tensor:
    r"""Return the multinomial loss against a user's own items and the hardest unobserved ones, ``(users,)`` nats.

    .. math:: -\sum_{i \in S_x} \log \frac{e^{\eta_i}}{\sum_{j \in S_x \cup H} e^{\eta_j}}

    with ``H`` the ``negatives`` unobserved items of the largest logits. With every unobserved item in ``H`` it is the
    multinomial loss. Without users or items nothing is defined; a user without items has loss 0.
    """
    hidden = _without_observed(logits, observed)
    hardest = hidden.topk(min(negatives, logits.shape[1]), dim=1).values
    seen = logits[observed.owners, observed.items]
    top = torch.maximum(hardest.amax(-1), logits.detach().amax(-1)).detach()
    total = (hardest - top[:, None]).exp().sum(-1) + observed.sum_by_user((seen - top[observed.owners]).exp())
    return observed.n * (top + total.log()) - observed.sum_by_user(seen)


def bpr_loss(logits: Tensor, observed: Observed, negatives: int, generator: torch.Generator) -> Tensor:
    r"""Return the pairwise ranking loss (BPR, arXiv:1205.2618) with hard negatives, ``(users,)`` nats.

    .. math:: \sum_{i \in S_x} \log(1 + e^{\eta_j - \eta_i})

    ``j`` is, for each of the user's items anew, the hardest of ``negatives`` items drawn uniformly; drawn items that
    the user has are no negatives. Items whose draws are all observed contribute nothing.
    """
    drawn = send(torch.randint(logits.shape[1], (len(observed.items), negatives), generator=generator), logits.device)
    hidden = _without_observed(logits, observed)
    hardest = hidden[observed.owners[:, None], drawn].amax(-1)
    seen = logits[observed.owners, observed.items]
    pairs = torch.where(torch.isfinite(hardest), functional.softplus(hardest - seen), torch.zeros_like(seen))
    return observed.sum_by_user(pairs)


def _without_observed(logits: Tensor, observed: Observed) -> Tensor:
    return logits.index_put((observed.owners, observed.items), logits.new_full((), -torch.inf))
