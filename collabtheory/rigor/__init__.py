"""Rigour: exact numbers, enclosures, the one three-valued comparison, and machine checks of single proof steps."""

from collabtheory.rigor.compare import (
    Comparison,
    Decided,
    Decision,
    Relation,
    combine,
    compare,
    compare_all,
    decide,
    working_precision,
)
from collabtheory.rigor.enclosures import enclose, enclosed, exact, rationals
from collabtheory.rigor.exhaustive import on_every_case
from collabtheory.rigor.finding import Finding, Means
from collabtheory.rigor.property_test import on_examples
from collabtheory.rigor.subdivision import everywhere
from collabtheory.rigor.symbolic import identities, identity, implied, sum_of_squares

__all__ = [
    "Comparison",
    "Decided",
    "Decision",
    "Finding",
    "Means",
    "Relation",
    "combine",
    "compare",
    "compare_all",
    "decide",
    "enclose",
    "enclosed",
    "everywhere",
    "exact",
    "identities",
    "identity",
    "implied",
    "on_every_case",
    "on_examples",
    "rationals",
    "sum_of_squares",
    "working_precision",
]
