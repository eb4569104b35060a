"""What one conformance check found: a status that never calls unseen what was not looked at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Status(StrEnum):
    """How a check ended, worst first."""

    WRONG = "wrong"
    SUSPICIOUS = "suspicious"
    NOT_CHECKED = "not checked"
    FINE = "fine"


@dataclass(frozen=True)
class Finding:
    """The outcome of one check.

    Parameters
    ----------
    name
        The check.
    status
        ``wrong``: an error. ``suspicious``: may be meant, but changes what the numbers mean. ``not checked``: what it
        takes was not given, or the contents do not show it; never a pass. ``fine``: looked for and not found.
    words
        What was found, what it means, and how to mend it.
    numbers
        The evidence, by name.
    """

    name: str
    status: Status
    words: str
    numbers: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """A finding without the name of its check, as the check itself returns it."""

    status: Status
    words: str
    numbers: Mapping[str, float] = field(default_factory=dict)

    def named(self, name: str) -> Finding:
        """Return the finding of the check of that name."""
        return Finding(name, self.status, self.words, self.numbers)


def wrong(words: str, **numbers: float) -> Outcome:
    """Return an error found."""
    return Outcome(Status.WRONG, words, numbers)


def suspicious(words: str, **numbers: float) -> Outcome:
    """Return a finding that may be meant."""
    return Outcome(Status.SUSPICIOUS, words, numbers)


def not_checked(words: str, **numbers: float) -> Outcome:
    """Return that nothing was looked at, and why."""
    return Outcome(Status.NOT_CHECKED, words, numbers)


def fine(words: str, **numbers: float) -> Outcome:
    """Return that an error was looked for and not found."""
    return Outcome(Status.FINE, words, numbers)


def exit_code(findings: tuple[Finding, ...]) -> int:
    """Return 1 if something is wrong, else 0.

    Examples
    --------
    >>> exit_code((fine("as it should be").named("kl_form"), suspicious("odd").named("seen_items")))
    0
    """
    return int(any(finding.status is Status.WRONG for finding in findings))
