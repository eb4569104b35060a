"""Statements and their checks: a claim is a description and a few decorated functions in one file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collabtheory.claims.evidence import Evidence
    from collabtheory.claims.proof import Step
    from collabtheory.claims.subject import Subject

Stages = Literal["every", "last", "ladder", "study", "none"]
LADDER, STUDY = "ladder", "study"


@dataclass(frozen=True)
class Statement:
    """What is claimed, in words that stand on their own, with TeX between dollar signs.

    ``identifier`` is the id used on the command line; ``limits`` says what the statement does NOT say. ``proof`` is a
    chain of steps, each discharged by machine in every run; a plain string is a step that nobody checks.
    """

    identifier: str
    title: str
    source: str
    text: str
    assumptions: tuple[str, ...]
    proof: tuple[Step | str, ...]
    limits: tuple[str, ...] = ()
    kind: Literal["theorem", "empirical"] = "theorem"
    position: int = 100
    """Statements are listed and reported in this order, then by file name."""

    @property
    def steps(self) -> tuple[Step, ...]:
        """The steps of the proof that are discharged by machine."""
        return tuple(step for step in self.proof if not isinstance(step, str))


@dataclass(frozen=True)
class Check:
    """A function that gathers evidence for a statement, or for a false twin of it (``control`` is then its name)."""

    statement: Statement
    function: Callable[[Subject], Evidence]
    stages: Stages
    control: str | None = None
    change: str | None = None
    """Controls: the one small change that makes the statement false."""
    label: str | None = None
    """What its records call their stage, where it is none of training: ``proof``, ``search``, ``ladder``, ``study``."""
    methods: tuple[str, ...] = ()
    """Studies: the methods that must have been fitted (see `collabtheory.studies.methods`)."""
    measured: tuple[str, ...] = ()
    """Studies: those of them whose posteriors must have been measured."""

    def __call__(self, subject: Subject) -> Evidence:
        """Gather the evidence."""
        return self.function(subject)


def check(
    statement: Statement, *, stages: Stages, methods: tuple[str, ...] = (), measured: tuple[str, ...] = ()
) -> Callable[[Callable[[Subject], Evidence]], Check]:
    """Make a function the check of a statement.

    Parameters
    ----------
    statement
        What it checks.
    stages
        ``"every"`` stage of training, the ``"last"`` one only, ``"ladder"`` once with the models that differ in one
        setting (:meth:`~collabtheory.claims.Subject.ladder`), ``"study"`` once with the results of several methods
        (:attr:`~collabtheory.claims.Subject.study`), or ``"none"`` where no model is involved.
    methods, measured
        Studies: the methods to fit, and those of them whose posteriors are to be measured.
    """
    return lambda function: Check(statement, function, stages, label=_label(stages), methods=methods, measured=measured)


def negative_control(
    statement: Statement,
    name: str,
    change: str,
    *,
    stages: Stages,
    methods: tuple[str, ...] = (),
    measured: tuple[str, ...] = (),
) -> Callable[[Callable[[Subject], Evidence]], Check]:
    """Make a function a negative control: a false twin of the statement that every run must refute.

    Parameters
    ----------
    statement
        The true statement.
    name
        Short name of the twin.
    change
        The one small change that makes it false, in words.
    stages, methods, measured
        As for :func:`check`.
    """
    return lambda function: Check(
        statement,
        function,
        stages,
        control=name,
        change=change,
        label=_label(stages),
        methods=methods,
        measured=measured,
    )


def _label(stages: Stages) -> str | None:
    return stages if stages in (LADDER, STUDY) else None
