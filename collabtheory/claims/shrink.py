"""The smallest case that still breaks an inequality: fewest users, items, dimensions, then shortest decimals."""

from __future__ import annotations

import numpy as np

from collabtheory.claims.inequality import Case, Inequality
from collabtheory.rigor.compare import Decision

DECIMALS = (0, 1, 2, 3, 4, 6)
MOST_DECISIONS = 3000


def shrink(inequality: Inequality, case: Case) -> Case:
    """Return a smaller case that certainly breaks the inequality.

    Indices of every axis are left out one by one, then entries are set to 0 or 1 and rounded to as few decimals as
    possible, as long as the violation stays certain; until nothing more can be left out or rounded.

    Parameters
    ----------
    inequality
        What is broken.
    case
        A case that :meth:`Inequality.decide` finds ``FALSE``.
    """
    left = [MOST_DECISIONS]

    def breaks(smaller: Case) -> bool:
        left[0] -= 1
        # The float test is a quick first look; only the rigorous one counts.
        return left[0] > 0 and inequality.slack(smaller) <= 0 and inequality.decide(smaller).decision is Decision.FALSE

    while left[0] > 0:
        before = case
        for axis in inequality.axes:
            case = _fewer(inequality, case, axis, breaks)
        for name, variable in inequality.variables.items():
            if variable.kind in ("real", "positive"):
                case = _shorter(inequality, case, name, breaks)
            else:
                case = _simpler(inequality, case, name, breaks)
        if _same(before, case):
            break
    return case


def _fewer(inequality: Inequality, case: Case, axis: str, breaks) -> Case:  # type: ignore[no-untyped-def]
    index = inequality.lengths(case).get(axis, 0) - 1
    while index >= 0 and inequality.lengths(case)[axis] > inequality.axes[axis][0]:
        candidate = {
            name: _without(
                np.asarray(value), [p for p, a in enumerate(inequality.variables[name].axes) if a == axis], index
            )
            for name, value in case.items()
        }
        if breaks(candidate):
            case = candidate
        index -= 1
    return case


def _without(value: np.ndarray, positions: list[int], index: int) -> np.ndarray:
    for position in positions:
        value = np.delete(value, index, axis=position)
    return value


def _shorter(inequality: Inequality, case: Case, name: str, breaks) -> Case:  # type: ignore[no-untyped-def]
    variable, value = inequality.variables[name], np.asarray(case[name], dtype=np.float64)
    for decimals in DECIMALS:
        rounded = {**case, name: np.clip(np.round(value, decimals), variable.low, variable.high)}
        if breaks(rounded):
            case = rounded
            break
    for index in np.ndindex(value.shape):
        for simple in (0.0, 1.0, *(float(np.round(case[name][index], decimals)) for decimals in DECIMALS)):
            if case[name][index] == simple:
                break
            if not variable.low <= simple <= variable.high:
                continue
            changed = np.array(case[name])
            changed[index] = simple
            if breaks({**case, name: changed}):
                case = {**case, name: changed}
                break
    return case


def _simpler(inequality: Inequality, case: Case, name: str, breaks) -> Case:  # type: ignore[no-untyped-def]
    """Lower whole numbers as far as they go, by halves and then by ones."""
    variable = inequality.variables[name]
    for index in np.ndindex(np.shape(case[name])):
        step = np.ceil((case[name][index] - variable.low) / 2)
        while step >= 1:
            changed = np.array(case[name])
            changed[index] = max(changed[index] - step, variable.low)
            if changed[index] != case[name][index] and breaks({**case, name: changed}):
                case = {**case, name: changed}
            else:
                step = step // 2
    return case


def _same(a: Case, b: Case) -> bool:
    return all(np.array_equal(a[name], b[name]) for name in a)
