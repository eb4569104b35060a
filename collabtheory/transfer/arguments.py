"""Reading the small arguments of the kernels: options, learning rates, row numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from collabtheory.errors import InvalidInput, NumericalFailure

Rates = float | Sequence[float]


def one_of(name: str, value: str, allowed: tuple[str, ...]) -> None:
    """Refuse a word that is not one of those allowed."""
    if value not in allowed:
        raise InvalidInput(f"{name} must be one of {', '.join(map(repr, allowed))}; it is {value!r}")


def all_finite(values: Tensor) -> bool:
    """Tell whether no entry is NaN or infinite."""
    # One pass without temporaries; only where the sum itself overflowed are the entries looked at.
    return bool(torch.isfinite(values.sum())) or bool(torch.isfinite(values).all())


def read_rates(learning_rate: Any) -> list[float]:
    """Return finite nonnegative learning rates: one, or those of a 1-D sequence."""
    try:
        rates = np.asarray(learning_rate, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"learning_rate must be a number or a sequence of numbers: {error}") from error
    if rates.ndim > 1:
        raise InvalidInput(f"learning_rate must be a number or a 1-D sequence; its shape is {rates.shape}")
    flat: list[float] = rates.reshape(-1).tolist()
    for rate in flat:
        if not math.isfinite(rate) or rate < 0:
            raise InvalidInput(f"learning_rate must be finite and nonnegative; it is {rate}")
    return flat


def refuse_overflow(changes: Tensor, rates: list[float]) -> None:
    """Refuse loss changes that left the finite numbers, naming the learning rate; ``changes`` is ``(rates, ...)``."""
    for rate, change in zip(rates, changes, strict=True):
        if not all_finite(change):
            raise NumericalFailure(
                f"the loss after a step of learning rate {rate} is not finite; take a smaller learning rate"
            )


def read_rows(name: str, rows: Any, n_users: int) -> Tensor:
    """Return row numbers as an index tensor; all rows if None. Duplicates and empty lists are allowed."""
    if rows is None:
        return torch.arange(n_users)
    index = np.asarray(rows.detach().cpu().numpy() if isinstance(rows, Tensor) else rows)
    if index.ndim != 1 or (index.size and not np.issubdtype(index.dtype, np.integer)):
        raise InvalidInput(f"{name} must be a list of row numbers; its shape is {index.shape}, dtype {index.dtype}")
    outside = (index < 0) | (index >= n_users)
    if outside.any():
        raise InvalidInput(f"{name} has {index[outside][0]}, but the rows are 0 to {n_users - 1}")
    return torch.from_numpy(index.astype(np.int64))
