"""Finding statements by path: the user adds a claim by adding a file."""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import collabtheory
from collabtheory.claims.inequality import Inequality
from collabtheory.claims.proof import proof_evidence
from collabtheory.claims.searches import search_evidence
from collabtheory.claims.statement import Check, Statement
from collabtheory.errors import InvalidInput


@dataclass(frozen=True)
class StatementFile:
    """One file of checks: its statement, its checks and controls, and the inequalities that can be attacked."""

    path: Path
    statement: Statement
    checks: tuple[Check, ...]
    inequalities: tuple[Inequality, ...] = ()

    @property
    def identifier(self) -> str:
        """The statement's id."""
        return self.statement.identifier

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the text of this file and of all others in its folder, which it may import."""
        digest = hashlib.sha256(self.path.name.encode())
        for path in sorted(self.path.parent.glob("*.py")):
            digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
        return digest.hexdigest()


def bundled_folder(name: str) -> Path:
    """Return the repository's folder of that name in a checkout, else the copy inside the installed package."""
    package = Path(collabtheory.__file__).parent
    bundled = package / "_bundled" / name
    return bundled if bundled.is_dir() else package.parent / name


def discover(folder: Path | None = None) -> tuple[StatementFile, ...]:
    """Load every statement of ``folder`` (default: the project's own), in the order of their positions.

    Raises
    ------
    InvalidInput
        If the folder is missing or holds no statement, a file cannot be imported, has no statement or no negative
        control, or two files share an id.
    """
    folder = folder or bundled_folder("proofs_checks")
    if not folder.is_dir():
        raise InvalidInput(f"{folder}: no such folder of checks")
    files = [load_statement(path) for path in sorted(folder.glob("*.py")) if not path.name.startswith("_")]
    if not files:
        raise InvalidInput(f"{folder}: holds no file with a statement")
    seen: dict[str, Path] = {}
    for file in files:
        if file.identifier in seen:
            raise InvalidInput(f"{file.path}: its id {file.identifier!r} is already that of {seen[file.identifier]}")
        seen[file.identifier] = file.path
    return tuple(sorted(files, key=lambda file: file.statement.position))


def load_statement(path: Path) -> StatementFile:
    """Load one file of checks."""
    # By content too: a worker that outlives a run must not answer with an earlier version of the file.
    content = path.read_bytes() if path.is_file() else b""
    name = f"_collabtheory_checks_{hashlib.sha256(str(path).encode() + content).hexdigest()[:16]}"
    module = sys.modules.get(name)
    if module is None:
        specification = importlib.util.spec_from_file_location(name, path)
        if specification is None or specification.loader is None:
            raise InvalidInput(f"{path}: not a Python file")
        module = importlib.util.module_from_spec(specification)
        sys.modules[name] = module
        try:
            specification.loader.exec_module(module)
        except Exception as error:
            del sys.modules[name]
            raise InvalidInput(f"{path}: cannot be imported ({type(error).__name__}: {error})") from error
    written = tuple(value for value in vars(module).values() if isinstance(value, Check))
    inequalities = tuple(value for value in vars(module).values() if isinstance(value, Inequality))
    statements = {
        one.identifier: one for one in [item.statement for item in written] + [item.statement for item in inequalities]
    }
    if len(statements) != 1:
        raise InvalidInput(f"{path}: must hold the checks of exactly one statement; it has {sorted(statements)}")
    statement = next(iter(statements.values()))
    checks = (*_proof(statement), *_searches(statement, inequalities), *written)
    if not any(item.control for item in checks) or all(item.control for item in checks):
        raise InvalidInput(
            f"{path}: needs at least one check and one negative control; a check that cannot fail proves nothing"
        )
    return StatementFile(path, statement, checks, inequalities)


def _proof(statement: Statement) -> tuple[Check, ...]:
    return (Check(statement, proof_evidence(statement), "none", label="proof"),) if statement.steps else ()


def _searches(statement: Statement, inequalities: tuple[Inequality, ...]) -> tuple[Check, ...]:
    """Return the searches that inequalities bring along: one for the true ones, one for each false twin.

    A control that is also written out runs in both forms: on data, and on explicit cases.
    """
    true = tuple(one for one in inequalities if one.control is None)
    twins = [one for one in inequalities if one.control is not None]
    checks = [Check(statement, search_evidence(true), "none", label="search")] if true else []
    return (*checks, *(Check(statement, search_evidence((one,)), "none", one.control, one.change) for one in twins))


def select(files: Iterable[StatementFile], identifiers: Iterable[str]) -> tuple[StatementFile, ...]:
    """Return the files with these ids (all if none is given).

    Raises
    ------
    InvalidInput
        If an id is unknown; the message lists those that exist.
    """
    files, wanted = tuple(files), tuple(dict.fromkeys(identifiers))
    known = {file.identifier: file for file in files}
    for identifier in wanted:
        if identifier not in known:
            raise InvalidInput(f"unknown statement {identifier!r}; choose from {', '.join(known)}")
    return tuple(known[identifier] for identifier in wanted) if wanted else files
