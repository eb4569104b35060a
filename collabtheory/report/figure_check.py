"""Are the images of a folder those that the runs would give now? Told from their side files, without drawing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from collabtheory.errors import DataError
from collabtheory.report.data_hash import data_fingerprint
from collabtheory.report.figure_files import FigureFile, figure_data
from collabtheory.report.figure_side_files import drawing_fingerprint, read_side_file, sha256_of
from collabtheory.report.image_files import check_formats
from collabtheory.report.venues import Venue
from collabtheory.runs.folder import RunFolder


@dataclass(frozen=True)
class Checked:
    """One figure in a folder of images.

    Attributes
    ----------
    name
        The figure file's name.
    reasons
        Why its images are stale or missing; none where they are those that would be drawn now.
    undrawable
        Why the runs cannot give it; empty where they can. Without images, such a figure is not stale.
    """

    name: str
    reasons: tuple[str, ...] = ()
    undrawable: str = ""

    @property
    def stale(self) -> bool:
        """Whether its images must be drawn anew (or removed)."""
        return bool(self.reasons)


def check_figures(
    runs: Sequence[RunFolder],
    figures: Sequence[FigureFile],
    out: Path,
    venue: Venue,
    formats: Sequence[str] = (),
) -> list[Checked]:
    """Return for each figure whether its images in a folder are stale, and why.

    Stale are images whose data, figure file, house style or venue are others than when they were drawn, that were
    changed by another hand, that are missing (in one of ``formats``, too), or whose data the runs no longer have.

    Raises
    ------
    InvalidInput
        If a format is unknown.
    """
    check_formats(formats)
    return [_check(runs, figure, out, venue, formats) for figure in figures]


def _check(runs: Sequence[RunFolder], figure: FigureFile, out: Path, venue: Venue, formats: Sequence[str]) -> Checked:
    side = out / f"{figure.name}.json"
    try:
        _, data = figure_data(runs, figure.module)
    except DataError as error:
        gone = ("the runs no longer have its data",) if side.is_file() else ()
        return Checked(figure.name, gone, str(error))
    if not side.is_file():
        return Checked(figure.name, ("never drawn here",))
    try:
        return Checked(figure.name, tuple(_reasons(side, data_fingerprint(data), figure, venue, formats)))
    except DataError as error:
        return Checked(figure.name, (str(error),))


def _reasons(side: Path, data: str, figure: FigureFile, venue: Venue, formats: Sequence[str]) -> Iterator[str]:
    about = read_side_file(side)
    if about.data_sha256 != data:
        yield "the data changed"
    if about.source_sha256 != sha256_of(figure.path):
        yield f"{figure.path.name} changed"
    if about.drawing_sha256 != drawing_fingerprint():
        yield "the house style changed"
    if about.venue != venue.name:
        yield f"drawn for {about.venue}, not for {venue.name}"
    for name, expected in about.files.items():
        image = side.parent / name
        if not image.is_file():
            yield f"{name} is missing"
        elif sha256_of(image) != expected:
            yield f"{name} was changed by another hand"
    for kind in formats:
        if f"{figure.name}.{kind}" not in about.files:
            yield f"not drawn as {kind}"
