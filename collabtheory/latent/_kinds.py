"""In and out of float64 tensors: results follow the kind of the input."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import ArrayLike
from scipy import sparse
from torch import Tensor

from collabtheory.errors import InvalidInput
from collabtheory.models.posterior import Array, DiagonalGaussian

Contents: TypeAlias = ArrayLike | Tensor | sparse.csr_array | sparse.csr_matrix


def parameters(name: str, posterior: DiagonalGaussian, device: torch.device | None = None) -> tuple[Tensor, Tensor]:
    """Return ``(mu, sigma)`` as detached float64 tensors."""
    if not isinstance(posterior, DiagonalGaussian):
        raise InvalidInput(f"{name} must be a DiagonalGaussian; it is a {type(posterior).__name__}")
    mu, sigma = (torch.as_tensor(part).detach() for part in (posterior.mu, posterior.sigma))
    return mu.to(device, torch.float64), sigma.to(device, torch.float64)


def is_torch(*values: object) -> bool:
    """Whether any of the arrays or posteriors was given as torch tensors."""
    inner = (value.mu if isinstance(value, DiagonalGaussian) else value for value in values)
    return any(isinstance(value, Tensor) for value in inner)


def give_back(result: Tensor, as_torch: bool) -> Array:
    """Return the tensor, or the NumPy array that shares its memory."""
    return result if as_torch else np.asarray(result.cpu().numpy())


def matrix(name: str, values: ArrayLike | Tensor, n_columns: int) -> Tensor:
    """Return ``values`` as a detached float64 tensor ``(rows, n_columns)``, refusing anything else."""
    try:
        tensor = torch.as_tensor(values if isinstance(values, Tensor) else np.asarray(values)).detach()
        tensor = tensor.to(torch.float64)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InvalidInput(f"{name} must be a rectangular array of numbers: {error}") from error
    if tensor.ndim != 2 or tensor.shape[1] != n_columns:
        raise InvalidInput(f"{name} must have shape (rows, {n_columns}); its shape is {tuple(tensor.shape)}")
    if not torch.isfinite(tensor).all():
        row = int((~torch.isfinite(tensor)).any(1).nonzero()[0, 0])
        raise InvalidInput(f"{name} must be finite; row {row} is not")
    return tensor


def content_rows(x: Contents, n_rows: int, n_items: int) -> sparse.csr_array | Tensor:
    """Return the contents, checked: ``(n_rows, n_items)``, finite, never negative."""
    if sparse.issparse(x):
        rows = sparse.csr_array(x)
        shape, values = rows.shape, rows.data
    else:
        rows = matrix("x", x, n_items)
        shape, values = tuple(rows.shape), rows.cpu().numpy()
    if shape != (n_rows, n_items):
        raise InvalidInput(f"x must have shape ({n_rows}, {n_items}), one row a code; its shape is {shape}")
    if not np.isfinite(values).all() or (values < 0).any():
        raise InvalidInput("x must hold finite interaction counts, never negative")
    return rows


def dense_rows(x: sparse.csr_array | Tensor, start: int, stop: int) -> Tensor:
    """Return rows ``start:stop`` of checked contents as a dense float64 tensor."""
    if isinstance(x, Tensor):
        return x[start:stop]
    return torch.from_numpy(x[start:stop].toarray().astype(np.float64))
