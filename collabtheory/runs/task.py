"""Tasks: a top-level function, a frozen specification and the tasks whose results it reads.

That a task is only this makes a laptop and a cluster the same: any engine with ``submit(function, ...)`` can run it.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import json
import platform
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import collabtheory
from collabtheory.runs.frozen import Frozen


@dataclass(frozen=True)
class Workspace:
    """Where a running task reads and writes."""

    output: Path
    """An empty folder for the results; it becomes visible as a whole when the task has finished."""
    scratch: Path
    """A folder that survives a kill, for resuming."""
    inputs: dict[str, Path]
    """The result folders of the tasks it needs, by the names it gave them."""
    progress: Callable[[float], None]
    """Call with the share done, from 0 to 1."""


@dataclass(frozen=True)
class Task:
    """A step of a run, identified by what it computes and from what."""

    label: str
    function: Callable[[Any, Workspace], None]
    """Takes the specification and the workspace; top-level, so that any process can import it."""
    spec: Frozen
    needs: tuple[tuple[str, Task], ...] = ()

    @functools.cached_property
    def key(self) -> str:
        """SHA-256 of function, specification, the keys of its needs and the package's source."""
        content = {
            "function": f"{self.function.__module__}.{self.function.__qualname__}",
            "spec": self.spec.model_dump(mode="json"),
            "needs": {name: task.key for name, task in self.needs},
            "source": source_fingerprint(),
            "versions": numerical_versions(),
        }
        return hashlib.sha256(canonical_json(content).encode()).hexdigest()

    @property
    def folder_name(self) -> str:
        """Name of its result folder in the store."""
        return f"{self.function.__name__}-{self.key[:20]}"


def canonical_json(value: object) -> str:
    """Return JSON with sorted keys and no spaces, for hashing."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


@functools.cache
def numerical_versions() -> dict[str, str]:
    """Return the versions of Python and of the libraries that numbers come from."""
    packages = ("torch", "numpy", "scipy", "pandas", "pot", "sympy", "python-flint", "hypothesis")
    return {"python": platform.python_version(), **{name: importlib.metadata.version(name) for name in packages}}


@functools.cache
def source_fingerprint() -> str:
    """Return the SHA-256 of the package's Python source: results of other code are never reused."""
    digest = hashlib.sha256()
    root = Path(collabtheory.__file__).parent
    for path in sorted(root.rglob("*.py")):
        relative = path.relative_to(root).as_posix()
        # How results are shown does not change them; the bundled checks carry fingerprints of their own.
        if relative.startswith(("report/", "_bundled/")) or relative == "cli.py":
            continue
        digest.update(relative.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()
