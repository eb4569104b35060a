"""What a run put into its folder for people to see: only that is ever removed again."""

from __future__ import annotations

import json
from pathlib import Path

from collabtheory.errors import OutputError

STORE = "store"
LIST = "published.jsonl"


def refuse_foreign_folder(folder: Path) -> None:
    """Raise unless ``folder`` is absent, empty, or a run folder of ours.

    Raises
    ------
    OutputError
        If it holds anything and no result store; nothing of the user's is ever mixed with a run or overwritten.
    """
    if folder.is_dir() and not (folder / STORE).is_dir() and any(path.name != ".lock" for path in folder.iterdir()):
        raise OutputError(f"cannot write {folder}: it is not empty and not a run folder; choose another --out")


def note_published(path: Path) -> None:
    """Remember that the run wrote ``path``; the nearest folder above with a store is the run's."""
    folder = next((parent for parent in path.absolute().parents if (parent / STORE).is_dir()), None)
    if folder is None:
        return
    entry = path.absolute().relative_to(folder).as_posix()
    if entry not in published(folder):
        with (folder / STORE / LIST).open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")


def published(folder: Path) -> list[str]:
    """Return what earlier runs published, relative to the folder."""
    listing = folder / STORE / LIST
    if not listing.exists():
        return []
    try:
        return [json.loads(line) for line in listing.read_text("utf-8").splitlines()]
    except json.JSONDecodeError as error:
        raise OutputError(f"{listing}: damaged ({error}); remove this run folder or choose another --out") from error


def forget_published(folder: Path) -> None:
    """Remove what earlier runs published in ``folder``, and nothing else; stored steps stay for reuse."""
    for entry in published(folder):
        (folder / entry).unlink(missing_ok=True)
    (folder / STORE / LIST).unlink(missing_ok=True)
