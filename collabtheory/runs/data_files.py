"""The data of a run: its description, and its copy in the result store."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from collabtheory.runs.files import write_atomically

if TYPE_CHECKING:
    from collabtheory.data import Interactions


def describe(data: Interactions) -> dict[str, Any]:
    """Return name, sizes, filters and fingerprint of a data set, for the run's description."""
    return {
        "name": data.name,
        "n_users": data.n_users,
        "n_items": data.n_items,
        "n_interactions": data.n_interactions,
        "density": data.density,
        "fingerprint": data.fingerprint,
        "filters": [str(step) for step in data.filters],
    }


def data_path(root: Path, fingerprint: str) -> Path:
    """Return where the data with that fingerprint lies in the store below ``root``, or will lie."""
    return root / f"data-{fingerprint[:20]}.npz"


def keep_data(root: Path, data: Interactions) -> Path:
    """Write the data to the store below ``root`` unless they are there, and return the file."""
    path = data_path(root, data.fingerprint)
    if not path.exists():
        write_atomically(path, data.save)
    return path
