"""The read side of ``statements.json``: what a run's statements say, in words."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from typing import Any

from collabtheory.errors import DataError
from collabtheory.runs.folder import RunFolder

STATEMENTS_FILE = "statements.json"


@dataclass(frozen=True)
class StatementText:
    """One statement in words, with TeX between dollar signs.

    Parameters
    ----------
    title, source, text
        What it is called, where it comes from, and what it says.
    assumptions, limits
        What it presupposes, and what it does not say.
    unchecked
        Steps of its proof that no machine checks.
    kind
        ``theorem`` or ``empirical``.
    file
        Name of its file of checks.
    """

    title: str
    source: str
    text: str
    assumptions: tuple[str, ...]
    limits: tuple[str, ...]
    unchecked: tuple[str, ...]
    kind: str
    file: str


def statement_texts(run: RunFolder) -> dict[str, StatementText]:
    """Return the statements of a run by id; empty where an earlier version wrote the run, which kept titles alone.

    Raises
    ------
    DataError
        If the file is damaged.
    """
    path = run.path / STATEMENTS_FILE
    if not path.is_file():
        return {}
    try:
        held = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: not valid JSON ({error}); run `collabtheory verify` again") from error
    names = {field.name for field in fields(StatementText)}
    if not isinstance(held, dict) or any(not isinstance(one, dict) or set(one) != names for one in held.values()):
        raise DataError(f"{path}: its statements do not have the fields {', '.join(sorted(names))}; verify again")
    return {name: StatementText(**_frozen(one)) for name, one in held.items()}


def _frozen(fields_of: dict[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in fields_of.items()}
