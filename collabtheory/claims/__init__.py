"""Claims: statements, evidence, verdicts, and the runner that brings them together."""

from typing import TYPE_CHECKING, Any

from collabtheory.claims.evidence import Coverage, Evidence, Number, Part, at_most, equal
from collabtheory.claims.inequality import Inequality, Variable
from collabtheory.claims.proof import Step, step_part
from collabtheory.claims.statement import Check, Statement, check, negative_control
from collabtheory.claims.subject import Subject
from collabtheory.claims.verdict import Rigor, Verdict

if TYPE_CHECKING:
    from collabtheory.claims.discovery import discover
    from collabtheory.claims.runner import verify, verify_model

# Imported on first use: files of statements import this package, the runner imports them.
_LATE = {"discover": "discovery", "verify": "runner", "verify_model": "runner"}

__all__ = [
    "Check",
    "Coverage",
    "Evidence",
    "Inequality",
    "Number",
    "Part",
    "Rigor",
    "Statement",
    "Step",
    "Subject",
    "Variable",
    "Verdict",
    "at_most",
    "check",
    "discover",
    "equal",
    "negative_control",
    "step_part",
    "verify",
    "verify_model",
]


def __getattr__(name: str) -> Any:
    """Import the runner and the discovery of statements when they are first asked for."""
    if name not in _LATE:
        raise AttributeError(f"module 'collabtheory.claims' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(f"collabtheory.claims.{_LATE[name]}"), name)
