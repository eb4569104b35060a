r"""The three forms of the content mismatch that proofs of Theorem 2.3 may use, from tight to loose.

.. math:: \Big\| \frac1S \sum_s \Delta(z_{vs}) \Big\| \le \frac1S \sum_s \|\Delta(z_{vs})\|
   \le \max_s \|\Delta(z_{vs})\|, \qquad \Delta(z) = G(x_u, z) - G(x_v, z)

Any of them makes the theorem true; the tightest makes the largest radius.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from collabtheory.models.likelihoods import Likelihood
from collabtheory.transfer.codes import Matrix, as_kind_of, read_codes
from collabtheory.transfer.kernels import TransferKernels


@dataclass(frozen=True, eq=False)
class MismatchForms:
    """Content mismatches of every ordered pair under v's codes, ``(N, N)`` each, ``tight <= mean_norm <= largest``.

    Parameters
    ----------
    tight
        Norm of the expectation, the ``D_x`` of this project.
    mean_norm
        Expectation of the norm.
    largest
        Supremum of the norm over v's codes. Over the whole latent space it is infinite where the first layer is
        trained (:mod:`collabtheory.latent.gradient_growth`).
    """

    tight: Matrix
    mean_norm: Matrix
    largest: Matrix


def content_mismatch_forms(
    decoder: nn.Module,
    likelihood: str | Likelihood,
    x: Any,
    codes: Any,
    *,
    scale: str = "user",
    dtype: torch.dtype = torch.float64,
) -> MismatchForms:
    """Return all three forms of the content mismatch.

    Parameters
    ----------
    decoder, likelihood, x, codes, scale, dtype
        As in :class:`TransferKernels`; ``x`` is ``(N, I)``, ``codes`` ``(N, S, d)``.

    Returns
    -------
    MismatchForms
        Nats per parameter unit; torch if ``x`` or ``codes`` is. All three are zero for equal contents, and equal with
        one sample.

    Raises
    ------
    InvalidInput
        As :class:`TransferKernels`.

    Notes
    -----
    The looser two take one pass for each of the ``S`` samples.

    Examples
    --------
    >>> decoder = nn.Linear(1, 2, bias=False)
    >>> forms = content_mismatch_forms(decoder, "gaussian", [[3, 4], [0, 0]], [[[1.0], [1.0]], [[2.0], [-1.0]]])
    >>> forms.tight[0, 1], forms.mean_norm[0, 1], forms.largest[0, 1]
    (np.float64(2.5), np.float64(7.5), np.float64(10.0))
    """
    points = read_codes(codes, dtype)
    tight = TransferKernels(decoder, likelihood, x, codes, scale=scale, dtype=dtype).content_mismatch()
    total = largest = torch.zeros(len(points), len(points), dtype=dtype)
    for sample in range(points.shape[1]):
        one = TransferKernels(decoder, likelihood, x, points[:, sample : sample + 1], scale=scale, dtype=dtype)
        norms = torch.as_tensor(one.content_mismatch())
        total, largest = total + norms, torch.maximum(largest, norms)
    kind = tight if isinstance(tight, Tensor) else None
    return MismatchForms(tight, as_kind_of(kind, total / points.shape[1]), as_kind_of(kind, largest))
