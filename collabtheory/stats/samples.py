"""Checks and groupings that every test and interval of this package makes at its door."""

from __future__ import annotations

import numpy as np

from collabtheory.errors import InvalidInput


def finite_vector(values: np.ndarray, name: str) -> np.ndarray:
    """Return values as a float64 vector of at least two finite entries.

    Raises
    ------
    InvalidInput
        If they are not one-dimensional, fewer than two, or not finite; the message names the first bad row.
    """
    vector = np.asarray(values, dtype=np.float64)
    if vector.ndim != 1 or len(vector) < 2:
        raise InvalidInput(f"{name} must be a vector of at least 2 values; its shape is {vector.shape}")
    if not np.isfinite(vector).all():
        row = int(np.flatnonzero(~np.isfinite(vector))[0])
        raise InvalidInput(f"{name} must be finite; row {row} is {vector[row]}")
    return vector


def numbered(labels: np.ndarray | None, n: int, name: str) -> np.ndarray:
    """Return labels as numbers 0, 1, ... in sorted order, ``(n,)``; all 0 where there are none.

    Raises
    ------
    InvalidInput
        If there is not one label a row, or a label is NaN.
    """
    if labels is None:
        return np.zeros(n, dtype=np.int64)
    given = np.asarray(labels)
    if given.shape != (n,):
        raise InvalidInput(f"{name} must have one entry for each of the {n} rows; its shape is {given.shape}")
    missing = given != given
    if np.any(missing):
        raise InvalidInput(f"{name} must not be NaN; row {int(np.flatnonzero(missing)[0])} is")
    return np.asarray(np.unique(given, return_inverse=True)[1], dtype=np.int64)


def groups_of(codes: np.ndarray) -> list[np.ndarray]:
    """Return the rows of each code, ascending, as numbered by :func:`numbered`."""
    order = np.argsort(codes, kind="stable")
    return np.split(order, np.cumsum(np.bincount(codes))[:-1])


def check_strata(codes: np.ndarray, name: str = "stratum") -> None:
    """Refuse strata of one member.

    Raises
    ------
    InvalidInput
        If a stratum has one member: resampled within itself it never varies, so its noise would go missing silently.
    """
    single = np.flatnonzero(np.bincount(codes) == 1)
    if len(single):
        row = int(np.flatnonzero(codes == single[0])[0])
        raise InvalidInput(f"the {name} of row {row} has no other member; merge it with another {name}")


def check_draws(level: float, resamples: int) -> None:
    """Refuse a confidence level outside (0, 1), or too few resamples to see its tails."""
    if not 0 < level < 1:
        raise InvalidInput(f"level must be between 0 and 1, such as 0.95; it is {level}")
    if resamples < 99:
        raise InvalidInput(f"resamples must be at least 99; it is {resamples}")


def average_within(values: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Return the mean of the values of each code, as numbered by :func:`numbered`."""
    return np.asarray(np.bincount(codes, weights=values) / np.bincount(codes))


def one_label_each(labels: np.ndarray, codes: np.ndarray, name: str) -> np.ndarray:
    """Return the label of each code.

    Raises
    ------
    InvalidInput
        If one code has two labels (a user in two strata).
    """
    first = np.unique(codes, return_index=True)[1]
    label: np.ndarray = labels[first]
    if np.any(label[codes] != labels):
        row = int(np.flatnonzero(label[codes] != labels)[0])
        raise InvalidInput(f"a user must be in one {name} only; the user of row {row} is in two")
    return label


def blocks(total: int, width: int, budget: int = 1 << 20) -> list[int]:
    """Return sizes of blocks that sum to ``total``, each of at most ``budget`` entries of rows ``width`` wide."""
    size = max(1, budget // width)
    return [size] * (total // size) + ([total % size] if total % size else [])
