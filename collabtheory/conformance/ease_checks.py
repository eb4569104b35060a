"""Checks of EASE weights against the closed form (arXiv:1905.03375)."""

from __future__ import annotations

import numpy as np
from scipy import linalg, sparse

from collabtheory.conformance.finding import Finding, Outcome, fine, not_checked, wrong
from collabtheory.errors import InvalidInput

TOLERANCE = 1e-3


def check_ease(weights: np.ndarray, matrix: sparse.csr_array, l2: float) -> tuple[Finding, ...]:
    r"""Compare EASE weights with :math:`B_{ij} = -P_{ij} / P_{jj}`, :math:`P = (X^T X + \lambda I)^{-1}`.

    Parameters
    ----------
    weights
        ``B``, ``(items, items)``: scores are ``x @ B``.
    matrix
        What the weights were fitted to, ``(users, items)``; with ratings, where there are any, so that a Gram matrix
        of raw ratings can be recognised.
    l2
        ``lambda > 0``.

    Returns
    -------
    tuple of Finding
        ``ease_diagonal``, ``ease_negative_weights``, ``ease_gram``, ``ease_solution``. It takes some
        ``4 * 8 * items ** 2`` bytes: 13 GB for 20,000 items.

    Raises
    ------
    InvalidInput
        If shapes do not fit, an entry is not finite, or ``l2`` is not positive.

    Examples
    --------
    >>> x = sparse.csr_array(np.array([[1.0, 1, 0], [0, 1, 1], [1, 1, 0]]))
    >>> [finding.status.value for finding in check_ease(np.zeros((3, 3)), x, 1.0)][-1]
    'wrong'
    """
    given = np.asarray(weights, dtype=np.float64)
    n_items = matrix.shape[1]
    if given.shape != (n_items, n_items) or not np.isfinite(given).all():
        raise InvalidInput(f"weights must be finite, ({n_items}, {n_items}); their shape is {given.shape}")
    if not l2 > 0:
        raise InvalidInput(f"l2 must be positive; it is {l2}")
    ratings = sparse.csr_array(matrix, dtype=np.float64)
    binary = ratings.copy()
    binary.data = np.ones_like(binary.data)
    truth = _closed_form(binary, l2)
    raw = None if np.array_equal(ratings.data, binary.data) else _closed_form(ratings, l2)
    outcomes = {
        "ease_diagonal": _diagonal(given),
        "ease_negative_weights": _negative(given, truth),
        "ease_gram": _gram(given, truth, raw),
        "ease_solution": _solution(given, truth, raw),
    }
    return tuple(outcome.named(name) for name, outcome in outcomes.items())


def _closed_form(contents: sparse.csr_array, l2: float) -> np.ndarray:
    gram = (contents.T @ contents).toarray()
    gram[np.diag_indices_from(gram)] += l2
    inverse = linalg.inv(gram, overwrite_a=True, check_finite=False)
    weights: np.ndarray = -inverse / np.diag(inverse)[None, :]
    np.fill_diagonal(weights, 0.0)
    return weights


def _diagonal(given: np.ndarray) -> Outcome:
    largest = float(np.abs(np.diag(given)).max())
    if largest <= TOLERANCE * max(np.abs(given).max(), 1e-300):
        return fine("zero", largest=largest)
    return wrong("the diagonal is not zero: an item recommends itself. Set it to 0.", largest=largest)


def _negative(given: np.ndarray, truth: np.ndarray) -> Outcome:
    there, due = float((given < 0).mean()), float((truth < 0).mean())
    numbers = {"share": there, "closed_form": due}
    if due == 0:
        return not_checked("the closed form has no negative weight on these data", **numbers)
    if there > 0:
        return fine("negative weights are kept", **numbers)
    return wrong(
        "no weight is negative: they were set to zero, which costs accuracy and is not the fit under B >= 0.", **numbers
    )


def _off_diagonal(matrix: np.ndarray) -> np.ndarray:
    return matrix[~np.eye(len(matrix), dtype=bool)]


def _equal(given: np.ndarray, expected: np.ndarray) -> bool:
    """Return whether weights agree off the diagonal; zeroed negative ones count as equal, as they are told apart."""
    first, second = _off_diagonal(given), _off_diagonal(expected)
    near = TOLERANCE * float(np.abs(second).max())
    clipped = not (first < 0).any()
    return bool(np.abs(first - (np.maximum(second, 0) if clipped else second)).max() <= near)


def _gram(given: np.ndarray, truth: np.ndarray, raw: np.ndarray | None) -> Outcome:
    if raw is None:
        return not_checked("the matrix is binary: give the ratings that it was made from")
    if _equal(given, truth):
        return fine("the Gram matrix is that of the binary contents")
    if _equal(given, raw):
        return wrong("the Gram matrix is that of raw ratings: make the contents binary first.")
    return not_checked("the weights are the closed form of neither the ratings nor the binary contents")


def _solution(given: np.ndarray, truth: np.ndarray, raw: np.ndarray | None) -> Outcome:
    apart = float(np.abs(_off_diagonal(given) - _off_diagonal(truth)).max() / np.abs(_off_diagonal(truth)).max())
    if _equal(given, truth) or (raw is not None and _equal(given, raw)):
        return fine("the closed form, off the diagonal", apart=apart)
    if _equal(given.T, truth):
        return wrong("the weights are transposed: divide column j by P_jj.", apart=apart)
    return wrong("the weights are not the closed form at this l2.", apart=apart)
