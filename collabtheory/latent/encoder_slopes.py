"""Slopes of an encoder that are seen, not bounded: single flips, pairs, and exact Jacobians."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from collabtheory.errors import InvalidInput
from collabtheory.latent._kinds import Contents, content_rows, dense_rows, matrix
from collabtheory.latent.encoder_parts import EncoderParts

_FLIPS_AT_ONCE = 4096


@dataclass(frozen=True, eq=False)
class Flips:
    """All ways to flip one item of a content so that its size stays between ``n_min`` and ``n_max``."""

    parts: EncoderParts
    normalise: bool
    n_min: int
    n_max: int | None
    input_scale: float

    def largest(self, contents: Contents) -> float:
        """Return the largest W_2 that one flip of one of the contents causes; 0 without contents."""
        n_rows = int(np.shape(contents)[0])
        rows = content_rows(contents, n_rows, self.parts.first.n_inputs)
        slopes = [self._at((dense_rows(rows, row, row + 1)[0] > 0).to(torch.float64)) for row in range(n_rows)]
        return max(slopes, default=0.0)

    def _at(self, x: Tensor) -> float:
        weight, size = self.parts.first.weight, x.sum()
        flip = 1 - 2 * x
        sizes = size + flip
        here = self._embed((weight @ x)[None], size[None])
        fits = torch.minimum(size, sizes) >= self.n_min
        if self.n_max is not None:
            fits &= torch.maximum(size, sizes) <= self.n_max
        allowed, best = fits.nonzero().flatten(), 0.0
        for start in range(0, len(allowed), _FLIPS_AT_ONCE):
            items = allowed[start : start + _FLIPS_AT_ONCE]
            there = self._embed(weight @ x + flip[items, None] * weight.T[items], sizes[items])
            best = max(best, float((there - here).norm(dim=1).max()))
        return best

    def _embed(self, sums: Tensor, sizes: Tensor) -> Tensor:
        """Map ``W x`` of contents of the given sizes to ``[mu, sigma]``."""
        lengths = torch.sqrt(sizes.clamp(min=1)) if self.normalise else torch.ones_like(sizes)
        bias = self.parts.first.bias
        pre = sums * (self.input_scale / lengths)[:, None]
        return self.parts.embed(pre if bias is None else pre + bias)


def largest_ratio(distances: ArrayLike, input_distances: ArrayLike) -> float:
    """Empirical Lipschitz constant: the largest ``distance / input distance`` over pairs that differ in their input.

    Parameters
    ----------
    distances
        Latent distances of the pairs, ``(pairs,)``.
    input_distances
        ``||x - y||_1`` of the same pairs, ``(pairs,)``; pairs at 0 are left out.

    Returns
    -------
    float
        0 if no pair is left.

    Raises
    ------
    InvalidInput
        If the shapes differ or an entry is not finite.

    Examples
    --------
    >>> largest_ratio([1.0, 3.0, 0.0], [2, 4, 0])
    0.75
    """
    latent, inputs = np.asarray(distances, dtype=np.float64), np.asarray(input_distances, dtype=np.float64)
    if latent.shape != inputs.shape:
        raise InvalidInput(f"distances and input_distances differ in shape: {latent.shape} and {inputs.shape}")
    if not (np.isfinite(latent).all() and np.isfinite(inputs).all()):
        raise InvalidInput("distances and input_distances must be finite")
    apart = inputs > 0
    return float((latent[apart] / inputs[apart]).max(initial=0.0))


def encoder_jacobian_norms(
    trunk: nn.Module, mean_head: nn.Linear, log_variance_head: nn.Linear, inputs: ArrayLike | Tensor
) -> np.ndarray:
    """Exact local l1-to-l2 constant of ``input -> (mu, sigma)`` at each input: the largest column norm of its Jacobian.

    Parameters
    ----------
    trunk, mean_head, log_variance_head
        As in :func:`~collabtheory.latent.encoder_lipschitz.encoder_lipschitz`.
    inputs
        What the trunk sees (after normalisation and masking), ``(rows, n_items)``.

    Returns
    -------
    numpy.ndarray
        ``(rows,)`` float64.

    Notes
    -----
    The certified bound covers these on the cube ``[0, 1]^I`` when the input is not normalised. A normalised encoder is
    bounded between binary contents only, which this derivative in real inputs may exceed.
    """
    parts = EncoderParts.read(trunk, mean_head, log_variance_head)
    rows = matrix("inputs", inputs, parts.first.n_inputs)
    return np.array([float(parts.jacobian(row).norm(dim=0).max()) for row in rows], dtype=np.float64)
