"""What a data set or file holds and what is wrong with it, as lines to read."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from collabtheory.data.filters import FilterStep
from collabtheory.data.interactions import Interactions
from collabtheory.data.loading import load
from collabtheory.errors import DataError


@dataclass(frozen=True)
class DataReport:
    """What :func:`check` found.

    Parameters
    ----------
    name
        Of the data set or file.
    usable
        Whether it can be loaded.
    found
        Facts, one line each.
    filters
        What each filter left out.
    problems
        The reason why it cannot be loaded, or things to know before using it.
    """

    name: str
    usable: bool
    found: tuple[str, ...]
    filters: tuple[FilterStep, ...]
    problems: tuple[str, ...]

    @property
    def lines(self) -> tuple[str, ...]:
        """The report as text, one line each."""
        head = f"{self.name}: {'usable' if self.usable else 'not usable'}"
        steps = [f"  filter {step}" for step in self.filters]
        return (head, *(f"  {line}" for line in self.found), *steps, *(f"  ! {line}" for line in self.problems))

    def __str__(self) -> str:
        return "\n".join(self.lines)


def check(
    name_or_path: str | Path,
    *,
    min_rating: float | None = None,
    min_user_items: int | None = None,
    min_item_users: int | None = None,
    duplicates: str = "error",
    offline: bool = False,
    folder: str | Path | None = None,
) -> DataReport:
    """Load a data set (arguments as in :func:`load`) and report what was found; bad data are a report, not an error.

    Examples
    --------
    >>> print(check("davis").lines[0])
    davis: usable
    """
    try:
        data = load(
            name_or_path,
            min_rating=min_rating,
            min_user_items=min_user_items,
            min_item_users=min_item_users,
            duplicates=duplicates,
            offline=offline,
            folder=folder,
        )
    except DataError as error:
        return DataReport(str(name_or_path), False, (), (), (str(error),))
    return DataReport(str(name_or_path), True, _facts(data), data.filters, _problems(data))


def _facts(data: Interactions) -> tuple[str, ...]:
    sizes = data.sizes
    titles = "with titles" if data.item_titles is not None else "without titles"
    lines = [
        f"{data.n_users:,} users, {data.n_items:,} items ({titles}), {data.n_interactions:,} interactions, "
        f"density {data.density:.4%}",
        f"items per user: {sizes.min()} to {sizes.max()}, median {np.median(sizes):g}",
        f"users with exactly the items of another user: {_identical_users(data):,}",
        f"fingerprint {data.fingerprint}",
    ]
    if data.truth is not None:
        lines.append(f"planted truth: {', '.join(data.truth.columns)}")
    return tuple(lines)


def _problems(data: Interactions) -> tuple[str, ...]:
    problems = []
    if data.n_users < 20:
        problems.append(f"only {data.n_users} users: a split leaves a handful for testing")
    for step in data.filters:
        if step.interactions_after < 0.1 * step.interactions_before:
            problems.append(f"the filter '{step.name}' keeps less than a tenth of the interactions")
        if step.name.startswith("rating") and step.interactions_after == step.interactions_before:
            problems.append(f"the filter '{step.name}' changes nothing: are these ratings, and on this scale?")
    return tuple(problems)


def _identical_users(data: Interactions) -> int:
    indptr, indices = data.matrix.indptr, np.ascontiguousarray(data.matrix.indices)
    sets = [indices[start:stop].tobytes() for start, stop in itertools.pairwise(indptr)]
    counts: dict[bytes, int] = {}
    for items in sets:
        counts[items] = counts.get(items, 0) + 1
    return sum(count for count in counts.values() if count > 1)
