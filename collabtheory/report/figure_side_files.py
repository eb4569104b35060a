"""The side file of a figure: what it shows, from which run and data, drawn by which code, for which venue."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import matplotlib as mpl
import numpy as np

import collabtheory
from collabtheory.errors import DataError
from collabtheory.report import figure_layout, figure_text, image_files, style, venues
from collabtheory.report.venues import Venue
from collabtheory.runs.files import write_text
from collabtheory.runs.folder import RunFolder

FORMAT = "collabtheory-figure-1"
_DRAWING = (style, figure_layout, figure_text, image_files, venues)


@dataclass(frozen=True)
class SideFile:
    """What the JSON file beside an image says.

    Attributes
    ----------
    figure, title, caption, description
        Name of the figure file, and what the figure is and shows, in words.
    supports
        Identifiers of the statements it bears on.
    venue
        Where it is to be seen.
    run
        The run whose results it shows: name of the folder, identity, data set, profile, seeds.
    data_sha256
        Fingerprint of what was drawn, see :func:`~collabtheory.report.data_hash.data_fingerprint`.
    source_sha256, drawing_sha256
        Fingerprints of the figure file, and of the house style and layout of this package.
    files
        SHA-256 of each image, by file name.
    versions
        Of the libraries on which the images depend.
    """

    figure: str
    title: str
    caption: str
    description: str
    supports: tuple[str, ...]
    venue: str
    run: dict[str, Any]
    data_sha256: str
    source_sha256: str
    drawing_sha256: str
    files: dict[str, str]
    versions: dict[str, str]


def make_side_file(
    path: Path,
    module: ModuleType,
    description: str,
    run: RunFolder,
    data_sha256: str,
    venue: Venue,
    images: Sequence[Path],
) -> SideFile:
    """Return what is to be said of a figure that was drawn into these images."""
    return SideFile(
        figure=path.stem,
        title=module.TITLE,
        caption=module.CAPTION,
        description=description,
        supports=tuple(getattr(module, "SUPPORTS", ())),
        venue=venue.name,
        run=_about_run(run),
        data_sha256=data_sha256,
        source_sha256=sha256_of(path),
        drawing_sha256=drawing_fingerprint(),
        files={image.name: sha256_of(image) for image in images},
        versions={"collabtheory": collabtheory.__version__, "matplotlib": mpl.__version__, "numpy": np.__version__},
    )


def write_side_file(path: Path, about: SideFile) -> None:
    """Write a side file; no date is in it, so that equal figures have equal side files."""
    content = {"format": FORMAT, **dataclasses.asdict(about)}
    write_text(path, json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False) + "\n")


def read_side_file(path: Path) -> SideFile:
    """Read a side file.

    Raises
    ------
    DataError
        If it is missing, not JSON, or not a side file of this version.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from error
    except ValueError as error:
        raise DataError(f"{path}: not valid JSON ({error}); draw the figure again") from error
    if not isinstance(content, dict) or content.pop("format", None) != FORMAT:
        raise DataError(f"{path}: not a side file of this version ({FORMAT}); draw the figure again")
    names = {field.name for field in dataclasses.fields(SideFile)}
    if set(content) != names:
        field = min(set(content) ^ names)
        raise DataError(f"{path}: field {field!r} is missing or unknown; draw the figure again")
    return SideFile(**{**content, "supports": tuple(content["supports"])})


def listed_files(path: Path) -> tuple[str, ...]:
    """Return the images that a side file lists; none where there is no such file, or one that is not ours."""
    try:
        return tuple(read_side_file(path).files)
    except DataError:
        return ()


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


@functools.cache
def drawing_fingerprint() -> str:
    """Return the fingerprint of the code that lays figures out, of all house style and venues."""
    sources = [Path(str(module.__file__)).read_bytes() for module in _DRAWING]
    return hashlib.sha256(b"\0".join(sources)).hexdigest()


def _about_run(run: RunFolder) -> dict[str, Any]:
    data = run.meta.get("data")
    return {
        "folder": run.path.resolve().name,
        "identity": run.meta.get("identity"),
        "data": data.get("name") if isinstance(data, dict) else None,
        "profile": run.meta.get("profile"),
        "seeds": list(run.seeds),
    }
