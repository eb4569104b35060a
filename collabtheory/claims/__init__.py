"""Claims: statements, evidence, verdicts, and the runner that brings them together."""

from collabtheory.claims.evidence import Coverage, Evidence, Number, Part, at_most, equal
from collabtheory.claims.statement import Check, Statement, check, negative_control
from collabtheory.claims.subject import Subject
from collabtheory.claims.verdict import Rigor, Verdict

__all__ = [
    "Check",
    "Coverage",
    "Evidence",
    "Number",
    "Part",
    "Rigor",
    "Statement",
    "Subject",
    "Verdict",
    "at_most",
    "check",
    "equal",
    "negative_control",
]
