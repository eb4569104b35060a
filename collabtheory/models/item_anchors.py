r"""Personalised item alignment (PIA): latent codes are drawn to the anchors of the user's own items.

Proposition 3.1, here with a weight :math:`w_i \ge 0` for each of the user's items (1 in the paper),
:math:`W = \sum w_i` and the weighted centroid :math:`\bar e = \frac{1}{W} \sum w_i e_i`:

.. math:: L_A(x_h, x) = \frac{1}{W} \sum_{i \in S_x} w_i E_{z \sim q(z|x_h)} ||z - e_i||^2
          = ||\mu(x_h) - \bar e||^2 + \mathrm{tr} \Sigma(x_h) + \frac{1}{W} \sum_{i \in S_x} w_i ||e_i - \bar e||^2

The right-hand side is what training evaluates: one sparse product instead of ``n_x`` distances.
"""

from __future__ import annotations

import torch
from torch import Tensor


def alignment_loss(mu: Tensor, sigma: Tensor, contents: Tensor, anchors: Tensor) -> Tensor:
    """Return the PIA loss of each user, ``(users,)``.

    Parameters
    ----------
    mu, sigma
        Posterior of the (masked) input, ``(users, d)``.
    contents
        Unmasked contents, sparse or dense ``(users, items)``: binary, or a nonnegative weight for each of the user's
        items (see :mod:`collabtheory.models.anchor_weights`). The scale of a user's weights does not matter.
    anchors
        Item anchors ``e_i``, ``(items, d)``.

    Returns
    -------
    Tensor
        ``(users,)``, squared latent units. A user without items has no anchor and loss 0.

    References
    ----------
    [paper, Proposition 3.1], arXiv:2511.06781.

    Examples
    --------
    >>> anchors = torch.tensor([[0.0], [2.0]])
    >>> alignment_loss(torch.zeros(1, 1), torch.ones(1, 1), torch.ones(1, 2), anchors).tolist()
    [3.0]
    >>> alignment_loss(torch.zeros(1, 1), torch.ones(1, 1), torch.tensor([[3.0, 1.0]]), anchors).tolist()
    [2.0]
    """
    total, centroid = anchor_centroids(contents, anchors)
    mean_square = (contents @ anchors.square().sum(-1, keepdim=True)).squeeze(-1) / _divisor(total)
    spread = mean_square - centroid.square().sum(-1)
    loss = (mu - centroid).square().sum(-1) + sigma.square().sum(-1) + spread
    return torch.where(total > 0, loss, torch.zeros_like(loss))


def anchor_centroids(contents: Tensor, anchors: Tensor) -> tuple[Tensor, Tensor]:
    r"""Return each user's total weight ``W`` (its number of items, if binary) and centroid :math:`\bar e`.

    Parameters
    ----------
    contents, anchors
        As for :func:`alignment_loss`.

    Returns
    -------
    tuple of Tensor
        ``(users,)`` and ``(users, d)``; a user without items has total and centroid 0.
    """
    total = (contents @ anchors.new_ones(anchors.shape[0], 1)).squeeze(-1)
    return total, (contents @ anchors) / _divisor(total)[:, None]


def _divisor(total: Tensor) -> Tensor:
    return torch.where(total > 0, total, torch.ones_like(total))
