r"""EASE under the constraint that no weight is negative, solved to its optimum, with a certificate.

Each column of the weights is a nonnegative least squares problem. A few Douglas-Rachford steps on all columns at once
(matrix products in float32) guess which weights are positive; block principal pivoting (Kim and Park, SIAM J. Sci.
Comput. 33, 2011) then exchanges wrong guesses between exact solves in float64. What is returned is judged by its
duality gap alone, so that nothing rests on the guess.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from pydantic import Field
from scipy import sparse
from scipy.linalg import lapack

from collabtheory.errors import InvalidInput, NumericalFailure
from collabtheory.models.ease import invert_in_place
from collabtheory.models.item_gram import (
    OnMemory,
    announce_memory,
    check_binary,
    co_occurrence_bytes,
    dense_co_occurrence,
)
from collabtheory.models.linear import LinearItemModel
from collabtheory.runs.frozen import Frozen

_BLOCK = 256
_PENALTY = 3.0  # Of 1, 3, 10 and 30 the fastest, or close to it, on ml-100k, ml-1m and msweb at l2 from 5 to 500.
_RELAXATION = 1.7
_PATIENCE = 3


class NonnegativeEaseSpec(Frozen):
    """What the model is, and how exactly it is fitted."""

    l2: float = Field(500.0, gt=0, allow_inf_nan=False)
    """Weight of the squared weights in the loss; its best value is not that of the unconstrained model."""
    tolerance: float = Field(1e-9, gt=0)
    """Largest duality gap, relative to the loss."""
    warm_up: int = Field(20, ge=0)
    """Steps of the guess; they change the time, not the result."""
    max_exchanges: int = Field(100, ge=0)
    """Exchanges of wrong guesses per item before the fit is given up."""


@dataclass(frozen=True)
class Optimality:
    """How far weights can be from the best nonnegative ones.

    Parameters
    ----------
    objective
        The loss ``||X - XB||^2 + l2 ||B||^2``.
    gap
        Upper bound on the loss above its minimum, by duality.
    l2
        As in the loss.
    """

    objective: float
    gap: float
    l2: float

    @property
    def relative_gap(self) -> float:
        """The gap over the loss; 0 where both are 0."""
        return self.gap / self.objective if self.gap > 0 else 0.0

    @property
    def weight_error(self) -> float:
        """Upper bound on the Frobenius distance to the best weights, as the loss is ``2 l2``-strongly convex."""
        return float(np.sqrt(self.gap / self.l2))


@dataclass(frozen=True, eq=False)
class NonnegativeEaseFit:
    """The model, and the certificate that was computed from its weights."""

    model: LinearItemModel
    optimality: Optimality


def fit_nonnegative_ease(
    matrix: sparse.csr_array,
    spec: NonnegativeEaseSpec | None = None,
    *,
    memory_limit: int | None = None,
    on_memory: OnMemory | None = None,
) -> NonnegativeEaseFit:
    r"""Fit EASE with nonnegative weights.

    .. math:: \min_B \|X - XB\|_F^2 + \lambda \|B\|_F^2, \quad \operatorname{diag}(B) = 0, \quad B \ge 0

    Parameters
    ----------
    matrix
        Binary ``(users, items)``.
    spec
        ``lambda`` and the accuracy; the defaults if None.
    memory_limit, on_memory
        As in :func:`~collabtheory.models.ease.fit_ease`; the peak is ``28 items^2`` bytes.

    Returns
    -------
    NonnegativeEaseFit
        Weights float64, and their certificate.

    Raises
    ------
    InvalidInput
        If ``matrix`` is not binary CSR, or the fit needs more than ``memory_limit``.
    NumericalFailure
        If the gap is above the tolerance after ``max_exchanges``, or a system is singular in float64.

    Notes
    -----
    This is not EASE with its negative weights set to 0 (``EaseSpec(clip_negative=True)``), whose loss is higher.

    Examples
    --------
    Users have one of two items, and the third with either: what predicts the third is the same as without the bound,
    but the first two, which exclude each other, no longer push each other away.

    >>> x = sparse.csr_array([[1, 0, 1], [0, 1, 1], [1, 0, 1], [0, 1, 1]])
    >>> fit = fit_nonnegative_ease(x, NonnegativeEaseSpec(l2=2.0))
    >>> fit.model.weights.round(3).tolist()
    [[0.0, 0.0, 0.5], [0.0, 0.0, 0.5], [0.333, 0.333, 0.0]]
    >>> fit.optimality.relative_gap < 1e-9
    True
    """
    spec = NonnegativeEaseSpec() if spec is None else spec
    check_binary(matrix)
    n_items = matrix.shape[1]
    announce_memory(n_items, predicted_bytes(n_items, matrix.nnz), memory_limit, on_memory)
    ridge = dense_co_occurrence(matrix)
    ridge[np.diag_indices(n_items)] += spec.l2
    positive = _guess(ridge, spec)
    weights = np.empty((n_items, n_items))
    for targets in _blocks(n_items):
        weights[:, targets] = _solve(ridge, targets, positive[targets], spec).T
    reached = _certificate(ridge, weights, spec.l2)
    if not reached.gap <= spec.tolerance * reached.objective:
        raise NumericalFailure(
            f"the nonnegative fit reached a relative duality gap of {reached.relative_gap:.1e} in "
            f"{spec.max_exchanges} exchanges, above {spec.tolerance:.1e}; raise max_exchanges or l2"
        )
    return NonnegativeEaseFit(LinearItemModel(weights), reached)


def predicted_bytes(n_items: int, n_interactions: int = 0) -> int:
    """Return the bytes that :func:`fit_nonnegative_ease` allocates at its peak."""
    counting = 8 * n_items * n_items + co_occurrence_bytes(n_items, n_interactions)
    guessing = (8 + 5 * 4) * n_items * n_items
    solving = (8 + 8 + 1) * n_items * n_items + 64 * _BLOCK * n_items
    return max(counting, guessing, solving)


def optimality(matrix: sparse.csr_array, weights: np.ndarray, l2: float) -> Optimality:
    r"""Return how far given weights can be from the best nonnegative ones.

    With :math:`Q = X^T X + \lambda I`, the half gradient :math:`r = Q b - g` of a column off the diagonal, and
    multipliers :math:`\max(r, 0)`, the Lagrangian dual gives

    .. math:: f(b) - \min f \le 2 b^T \max(r, 0) + \|\min(r, 0)\|^2 / \lambda,

    because no eigenvalue of :math:`Q` is below :math:`\lambda`. It is 0 exactly at the optimum.

    Parameters
    ----------
    matrix
        Binary ``(users, items)``.
    weights
        ``(items, items)``, no entry negative, zero diagonal.
    l2
        ``lambda``, positive.

    Raises
    ------
    InvalidInput
        If the weights are not of this kind.

    Examples
    --------
    >>> x = sparse.csr_array(np.ones((2, 2)))
    >>> optimality(x, np.array([[0, 0.5], [0.5, 0]]), 2.0).gap, optimality(x, np.zeros((2, 2)), 2.0).gap
    (0.0, 4.0)
    """
    check_binary(matrix)
    n_items = matrix.shape[1]
    if weights.shape != (n_items, n_items) or not (weights >= 0).all() or np.diag(weights).any() or not l2 > 0:
        raise InvalidInput(f"weights must be ({n_items}, {n_items}), not negative, with zero diagonal, and l2 positive")
    ridge = dense_co_occurrence(matrix)
    ridge[np.diag_indices(n_items)] += l2
    return _certificate(ridge, weights, l2)


def _blocks(n_items: int) -> list[np.ndarray]:
    return [np.arange(start, min(start + _BLOCK, n_items)) for start in range(0, n_items, _BLOCK)]


def _guess(ridge: np.ndarray, spec: NonnegativeEaseSpec) -> np.ndarray:
    r"""Return which weights are probably positive, boolean ``(targets, items)``.

    Douglas-Rachford splitting of the loss and the constraint, in the metric of the diagonal of ``ridge``, with one
    array as its state: its positive part is the constrained iterate, its negative part the scaled multiplier.
    """
    diagonal = np.diag(ridge)
    penalty = _PENALTY * diagonal
    inverse64 = ridge.copy()
    inverse64[np.diag_indices_from(inverse64)] += penalty
    invert_in_place(inverse64)
    inverse = inverse64.astype(np.float32)
    del inverse64
    # The gram matrix times the inverse, by the definition of the latter.
    unconstrained = inverse * -(spec.l2 + penalty).astype(np.float32)[:, None]
    np.fill_diagonal(unconstrained, 1 + np.diag(unconstrained))
    state, step, other = (np.zeros_like(inverse) for _ in range(3))
    for _ in range(spec.warm_up):
        np.abs(state, out=other)
        np.fill_diagonal(other, -np.diag(state))
        other *= penalty.astype(np.float32)
        np.matmul(other, inverse, out=step)
        step += unconstrained
        step *= np.float32(_RELAXATION)
        np.multiply(state, np.float32(1 - _RELAXATION), out=other)
        np.fill_diagonal(other, np.diag(state))
        np.minimum(state, other, out=state)
        state += step
    positive = state > 0
    np.fill_diagonal(positive, False)
    return positive


def _solve(ridge: np.ndarray, targets: np.ndarray, positive: np.ndarray, spec: NonnegativeEaseSpec) -> np.ndarray:
    """Return the weights of some targets, ``(targets, items)``, by block principal pivoting from a guess."""
    weights = np.zeros(positive.shape)
    pending = np.arange(len(targets))
    fewest = np.full(len(targets), len(ridge) + 1)
    patience = np.full(len(targets), _PATIENCE)
    for exchanges in range(spec.max_exchanges + 1):
        for row in pending:
            weights[row] = _solve_on(ridge, int(targets[row]), np.flatnonzero(positive[row]))
        found = weights[pending]
        gradient, gap, loss = _gaps(ridge, targets[pending], found, spec.l2)
        wrong = np.where(positive[pending], found < 0, gradient < 0)
        # The gap bounds the loss at nonnegative weights only.
        unfinished = (found < 0).any(1) | (gap > spec.tolerance * loss)
        pending, wrong = pending[unfinished], wrong[unfinished]
        if not len(pending) or exchanges == spec.max_exchanges:
            break
        count = wrong.sum(1)
        patience[pending] = np.where(count < fewest[pending], _PATIENCE, patience[pending] - 1)
        fewest[pending] = np.minimum(count, fewest[pending])
        positive[pending] ^= np.where((patience[pending] < 0)[:, None], _last(wrong), wrong)
    return np.maximum(weights, 0.0)


def _solve_on(ridge: np.ndarray, target: int, items: np.ndarray) -> np.ndarray:
    """Return the ridge regression of one target on some items, 0 elsewhere, ``(items,)``."""
    weights = np.zeros(len(ridge))
    if len(items):
        _, solution, failed = lapack.dposv(ridge[np.ix_(items, items)].T, ridge[items, target], overwrite_a=1)
        if failed:
            raise NumericalFailure(f"the regression of item {target} is singular (LAPACK code {failed}); raise l2")
        weights[items] = solution
    return weights


def _gaps(
    ridge: np.ndarray, targets: np.ndarray, weights: np.ndarray, l2: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the half gradients off the diagonal ``(targets, items)``, the gaps and the losses ``(targets,)``."""
    gram = ridge[targets]
    gradient = weights @ ridge - gram
    gradient[np.arange(len(targets)), targets] = 0.0
    loss = ridge[targets, targets] - l2 + np.sum(weights * (gradient - gram), 1)
    gap = 2 * np.sum(weights * np.maximum(gradient, 0), 1) + np.sum(np.minimum(gradient, 0) ** 2, 1) / l2
    return gradient, gap, loss


def _certificate(ridge: np.ndarray, weights: np.ndarray, l2: float) -> Optimality:
    gap = loss = 0.0
    for targets in _blocks(len(ridge)):
        _, gaps, losses = _gaps(ridge, targets, np.ascontiguousarray(weights[:, targets].T), l2)
        gap, loss = gap + float(gaps.sum()), loss + float(losses.sum())
    return Optimality(loss, gap, l2)


def _last(wrong: np.ndarray) -> np.ndarray:
    """Keep the last True of each row only: single exchanges in fixed order end in finitely many steps."""
    last = np.zeros_like(wrong)
    rows = np.flatnonzero(wrong.any(1))
    last[rows, wrong.shape[1] - 1 - np.argmax(wrong[rows, ::-1], axis=1)] = True
    return last
