"""What a machine check of one step found, and by which means."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from collabtheory.rigor.compare import Decision


class Means(StrEnum):
    """How a step was discharged, strongest first. None of them is a formal proof."""

    SYMBOLIC = "symbolic identity"
    POLYNOMIAL = "polynomial inequality"
    EXACT = "exact arithmetic on a grid"
    ENCLOSURE = "interval enclosure"
    PROPERTY = "property test"

    @property
    def certifies(self) -> bool:
        """Whether nothing was sampled: a property test tries examples and certifies nothing."""
        return self is not Means.PROPERTY


@dataclass(frozen=True)
class Finding:
    """The outcome of one machine check.

    ``cases`` counts what was decided: identities, cases of a grid, boxes, examples; ``detail`` says in words how it was
    decided. ``worst`` is a counterexample (``FALSE``), what could not be decided (``UNDECIDED``), or the closest case.
    """

    means: Means
    decision: Decision
    cases: int
    detail: str
    worst: Mapping[str, float | int | str] | None = None
    margin: float | None = None
