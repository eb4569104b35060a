"""How a loss term is reduced over users, found out by calling it on single users and on a batch of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from scipy import sparse

from collabtheory.conformance.under_test import to_array

How = Literal["one value a user", "mean", "sum", "other"]


@dataclass(frozen=True, eq=False)
class Reduced:
    """A term's values of single users ``(users,)`` (None if of one user it is no number) and what a batch gives."""

    values: np.ndarray | None
    how: How
    shape: tuple[int, ...] = ()


def reduce_by_user(term: Callable[..., Any], contents: sparse.csr_array, *aligned: np.ndarray) -> Reduced:
    """Call ``term(contents, *aligned)`` on each user alone and on all together."""
    single = [to_array(term(contents[u : u + 1], *(a[u : u + 1] for a in aligned))) for u in range(contents.shape[0])]
    if any(value.size != 1 for value in single):
        return Reduced(None, "other", single[0].shape)
    values = np.array([value.item() for value in single])
    batch = to_array(term(contents, *aligned))
    return Reduced(values, _how(batch, values), batch.shape)


def _how(batch: np.ndarray, values: np.ndarray) -> How:
    near = 1e-3 * float(np.abs(values).max())
    if batch.size == 1:
        if abs(batch.item() - values.mean()) <= near:
            return "mean"
        return "sum" if abs(batch.item() - values.sum()) <= near * len(values) else "other"
    if batch.size == len(values) and np.abs(batch.ravel() - values).max() <= near:
        return "one value a user"
    return "other"
