"""Files that are whole or absent: written beside their place, then moved there in one step."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from collabtheory.errors import OutputError

CHECKPOINT_FORMAT = "collabtheory-checkpoint-1"
"""The one metadata entry of a checkpoint; it holds its description as JSON."""


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Call ``write(temporary)`` and move the result to ``path``; nothing is left behind if that fails.

    Raises
    ------
    OutputError
        If the folder cannot be created or written, or the disk is full.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=path.suffix)
        os.close(descriptor)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from error
    temporary = Path(name)
    try:
        write(temporary)
        _grant_default_mode(temporary)
        os.replace(temporary, path)
    except OutputError:
        raise
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write ``text`` as UTF-8 to ``path``, atomically."""
    write_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def _grant_default_mode(path: Path) -> None:
    # mkstemp makes files private; results are as readable as the user's umask says.
    mask = os.umask(0)
    os.umask(mask)
    path.chmod(0o666 & ~mask)
