"""Published results of studies: one small JSON file a data set, from which the tables of the documentation are made."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from collabtheory.errors import DataError
from collabtheory.report.study_schema import Study
from collabtheory.runs.files import write_text

DIGITS = 6


def read_study(path: Path | str) -> Study:
    """Return the study that a file holds.

    Raises
    ------
    DataError
        If the file is missing, is not JSON, or does not follow the schema; the line names the file and the first
        field that is wrong.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read: {error}") from error
    return _validated(text, str(path))


def read_studies(folder: Path | str) -> tuple[Study, ...]:
    """Return the studies of a folder (``*.json``) by the name of their data set; none if the folder has none.

    Raises
    ------
    DataError
        If a file is wrong, or two are about the same data set.
    """
    found: dict[str, tuple[Path, Study]] = {}
    for path in sorted(Path(folder).glob("*.json")):
        study = read_study(path)
        if study.data.name in found:
            raise DataError(f"{path}: data.name: {study.data.name!r} is that of {found[study.data.name][0]} as well")
        found[study.data.name] = path, study
    return tuple(study for _, (_, study) in sorted(found.items()))


def make_study(content: Mapping[str, Any], where: str = "study") -> Study:
    """Return a study from its content (numpy's scalars are taken as numbers); raises as :func:`read_study` does."""
    try:
        text = json.dumps(content, default=_plain)
    except (TypeError, ValueError) as error:
        raise DataError(f"{where}: {error}") from error
    return _validated(text, where)


def write_study(path: Path | str, study: Study | Mapping[str, Any]) -> Study:
    """Write a study to its file, atomically: keys sorted, numbers rounded to 6 significant digits.

    Equal studies give equal bytes, so that a difference between two versions of a file is a difference of results.
    Returns what :func:`read_study` will read.

    Raises
    ------
    DataError
        If the content does not follow the schema. Nothing is written then.
    OutputError
        If the file cannot be written.
    """
    made = study if isinstance(study, Study) else make_study(study, str(path))
    text = canonical_text(made)
    checked = _validated(text, str(path))
    write_text(Path(path), text)
    return checked


def canonical_text(study: Study) -> str:
    """Return the file's text: sorted keys, an indent of one, 6 significant digits, a newline at the end."""
    content = _rounded(study.model_dump(mode="json", by_alias=True))
    return json.dumps(content, sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def round_significant(value: float, digits: int = DIGITS) -> float:
    """Return a number rounded to that many significant digits.

    Examples
    --------
    >>> round_significant(0.42041234567), round_significant(-1234567.0), round_significant(1.0)
    (0.420412, -1234570.0, 1.0)
    """
    return float(f"{value:.{digits}g}")


def _validated(text: str, where: str) -> Study:
    try:
        return Study.model_validate_json(text)
    except ValidationError as error:
        raise DataError(f"{where}: {_first_fault(error)}") from error


def _first_fault(error: ValidationError) -> str:
    faults = error.errors(include_url=False, include_input=False)
    words = str(faults[0]["msg"]).removeprefix("Value error, ")
    place = ""
    for step in faults[0]["loc"]:
        place += f"[{step}]" if isinstance(step, int) else f".{step}" if place else step
    more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
    return f"{place}: {words}{more}" if place else f"{words}{more}"


def _plain(value: Any) -> Any:
    if hasattr(value, "item") and getattr(value, "ndim", None) == 0:
        return value.item()
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_rounded(entry) for entry in value]
    return round_significant(value) if isinstance(value, float) else value
