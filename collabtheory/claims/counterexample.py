"""Counterexamples as files: a small case, both sides as enclosures, and all that replaying it needs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from collabtheory.claims.inequality import Case, Inequality, Variable
from collabtheory.errors import DataError
from collabtheory.rigor.compare import Comparison, Decided, Decision, compare

if TYPE_CHECKING:
    from collabtheory.claims.discovery import StatementFile

FORMAT = 1
SIDE_DIGITS = 15


def describe(inequality: Inequality, case: Case, decided: Decided) -> dict[str, Any]:
    """Return a counterexample as plain JSON values: the case in decimals, both sides as enclosures."""
    left, relation, right = _worst_entry(decided)
    return {
        "format": FORMAT,
        "statement": inequality.statement.identifier,
        "inequality": inequality.name,
        "control": inequality.control,
        "text": inequality.text,
        "case": {name: _plain(value) for name, value in case.items()},
        "axes": {name: list(variable.axes) for name, variable in inequality.variables.items()},
        "lengths": inequality.lengths(case),
        "left": _side(left),
        "relation": relation,
        "right": _side(right),
        "precision": decided.precision,
        "arithmetic": "rational" if inequality.exact else "interval",
    }


def counterexample_name(found: dict[str, Any]) -> str:
    """Return the file name of a counterexample, without its ending."""
    return "-".join(str(found[key]) for key in ("statement", "control", "inequality") if found[key] is not None)


@dataclass(frozen=True)
class Replay:
    """A counterexample that was read from a file and decided again."""

    inequality: Inequality
    case: Case
    decided: Decided

    @property
    def confirmed(self) -> bool:
        """Whether the case certainly breaks the inequality."""
        return self.decided.decision is Decision.FALSE

    @property
    def exit_code(self) -> int:
        """0 if a false twin is refuted again or a statement is not; 1 otherwise, as for a run with this case."""
        return int(self.confirmed == (self.inequality.control is None))


def replay(path: Path, files: tuple[StatementFile, ...]) -> Replay:
    """Read a counterexample and decide it again in interval (or rational) arithmetic.

    Raises
    ------
    DataError
        If the file is missing, no counterexample, or of a statement or inequality that does not exist.
    """
    content = read_content(path)
    known = {file.identifier: file for file in files}
    if not isinstance(content["statement"], str) or content["statement"] not in known:
        raise DataError(f"{path}: unknown statement {content['statement']!r}; choose from {', '.join(known)}")
    inequalities = known[content["statement"]].inequalities
    wanted = content["inequality"], content["control"]
    found = [one for one in inequalities if (one.name, one.control) == wanted]
    if not found:
        raise DataError(f"{path}: statement {content['statement']!r} has no inequality {wanted[0]!r} ({wanted[1]})")
    case = _case(path, found[0], content["case"])
    return Replay(found[0], case, found[0].decide(case))


def sides(decided: Decided) -> str:
    """Return both sides of a decided comparison as text; of an array, the entry that decides."""
    left, relation, right = _worst_entry(decided)
    return f"{_side(left)} {relation} {_side(right)}"


def read_content(path: Path) -> dict[str, Any]:
    """Read a counterexample file as JSON, explicit or measured; DataError if it is none."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file") from error
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: not a counterexample ({error})") from error
    needed = {"format", "statement", "inequality", "control", "case"}
    if not isinstance(content, dict) or not needed <= set(content):
        raise DataError(f"{path}: not a counterexample; it must have {', '.join(sorted(needed))}")
    if content["format"] != FORMAT:
        raise DataError(f"{path}: format {content['format']!r} is not known; this version reads {FORMAT}")
    return content


def _case(path: Path, inequality: Inequality, values: Any) -> Case:
    if not isinstance(values, dict):
        raise DataError(f"{path}: the case must name its variables; it is a {type(values).__name__}")
    case, lengths = {}, {}  # type: Case, dict[str, int]
    for name, variable in inequality.variables.items():
        if name not in values:
            raise DataError(f"{path}: the case lacks {name!r}")
        case[name] = _array(path, name, variable, values[name])
        for axis, length in zip(variable.axes, case[name].shape, strict=True):
            low, high = inequality.axes[axis]
            if not low <= length <= high or lengths.setdefault(axis, length) != length:
                raise DataError(f"{path}: {name!r} has {length} {axis}; all must have the same, {low} to {high}")
    return case


def _array(path: Path, name: str, variable: Variable, value: Any) -> np.ndarray:
    try:
        array = np.array(value, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"{path}: {name!r} is not an array of decimals") from error
    if array.ndim != len(variable.axes) or not np.isfinite(array).all():
        raise DataError(f"{path}: {name!r} must be finite, with the axes ({', '.join(variable.axes)})")
    if ((array < variable.low) | (array > variable.high)).any():
        raise DataError(f"{path}: {name!r} must lie between {variable.low:g} and {variable.high:g}")
    if variable.kind in ("integer", "binary") and (array != np.round(array)).any():
        raise DataError(f"{path}: {name!r} must hold whole numbers")
    return array


def _plain(value: np.ndarray) -> Any:
    if np.ndim(value):
        return [_plain(entry) for entry in value]
    number = float(value)
    return int(number) if number == int(number) else repr(number)


def _worst_entry(decided: Decided) -> Comparison:
    """Return the entry that makes a comparison false, else the first."""
    entries: list[Comparison] = []
    for left, relation, right in decided.comparisons:
        pairs = np.broadcast(np.asarray(left, dtype=object), np.asarray(right, dtype=object))
        entries += [(a, relation, b) for a, b in pairs]
    false = [entry for entry in entries if compare(*entry) is Decision.FALSE]
    return (false or entries)[0]


def _side(value: Any) -> str:
    if isinstance(value, (int, Fraction)):
        return str(value)
    return str(value.str(SIDE_DIGITS, radius=True)) if hasattr(value, "str") else str(value)
