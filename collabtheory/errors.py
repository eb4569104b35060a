"""Every error that collabtheory raises on purpose.

Misuse raises one of these at the door, with one line that names the file, row or argument and says what to do.
An expected numerical outcome (a vacuous premise, an empty radius) is a value, never an error.
"""

from __future__ import annotations


class CollabTheoryError(Exception):
    """Base of all errors of this package; the command line prints its message and exits with ``exit_code``."""

    exit_code = 2


class WorkerDied(CollabTheoryError):
    """A worker process ended without a word (out of memory, killed)."""

    exit_code = 4


class InvalidInput(CollabTheoryError, ValueError):
    """An argument has the wrong shape, type, range or content (NaN, zero standard deviation, ...)."""


class DataError(CollabTheoryError, ValueError):
    """A data file is missing, unreadable, malformed, or empty after its filters."""


class PremiseNotMet(CollabTheoryError):
    """A statement was asked of a model that does not meet its premise (a decoder without Lipschitz bound, say)."""


class NumericalFailure(CollabTheoryError, ArithmeticError):
    """A computation left the finite numbers (training diverged, an iteration did not converge)."""


class OutputError(CollabTheoryError, OSError):
    """An output folder cannot be written, is full, or is in use by another run."""
