"""Random masking of the input, and its two published orders with normalisation."""

from __future__ import annotations

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from collabtheory.models.devices import CPU, send
from collabtheory.models.specification import Masking


def encoder_input(
    rows: sparse.csr_array,
    masking: Masking,
    *,
    keep_probability: float = 1.0,
    rng: np.random.Generator | None = None,
    dtype: torch.dtype = torch.float32,
    device: torch.device = CPU,
) -> Tensor:
    r"""Return what the encoder sees for the given users, as a sparse COO ``(users, items)`` tensor.

    ``normalise_then_mask``: :math:`(x / ||x||_2) \odot b / \rho`; ``mask_then_normalise``:
    :math:`(x \odot b) / ||x \odot b||_2`; ``mask_only``: :math:`x \odot b`; with :math:`b \sim Bern(\rho)^I`.
    Without ``rng`` nothing is masked (``b = 1`` and no scaling): the input at test time.

    Parameters
    ----------
    rows
        Binary contents, ``(users, items)``.
    masking
        The convention, see :class:`~collabtheory.models.specification.ModelSpec`.
    keep_probability
        ``rho`` in (0, 1].
    rng
        Source of the mask; ``None`` at test time.
    dtype, device
        Those of the result; the mask is drawn before it goes there.

    Notes
    -----
    A user whose items are all masked has the zero vector as input (``0/0`` is taken as 0).
    """
    values = np.asarray(rows.data, dtype=np.float64)
    sizes = np.diff(rows.indptr)
    scale = 1.0
    kept = np.ones(values.shape, dtype=bool)
    if rng is not None and keep_probability < 1.0:
        kept = rng.random(values.shape) < keep_probability
        scale = 1.0 / keep_probability if masking == "normalise_then_mask" else 1.0
    if masking == "mask_only":
        norms = np.ones(len(sizes))
    else:
        counted = values * values * (kept if masking == "mask_then_normalise" else 1.0)
        norms = np.sqrt(np.add.reduceat(np.append(counted, 0.0), np.minimum(rows.indptr[:-1], values.size)))
        norms[(sizes == 0) | (norms == 0)] = 1.0
    values = values * kept * scale / np.repeat(norms, sizes)
    positions = np.stack([np.repeat(np.arange(len(sizes)), sizes), rows.indices])
    return torch.sparse_coo_tensor(
        send(torch.from_numpy(positions.astype(np.int64)), device),
        send(torch.from_numpy(values).to(dtype), device),
        size=rows.shape,
        is_coalesced=True,
        check_invariants=False,
    )
