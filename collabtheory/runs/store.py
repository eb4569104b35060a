"""The result store: one folder a task, complete or absent."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from collabtheory.errors import OutputError
from collabtheory.runs.task import Task


class Store:
    """Results of tasks below ``root``, keyed by what they were computed from."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, task: Task) -> Path:
        """Return where the result of ``task`` is, or will be."""
        return self.root / task.folder_name

    def has(self, task: Task) -> bool:
        """Return whether the result is there."""
        return self.path(task).is_dir()

    def scratch(self, task: Task) -> Path:
        """Return the task's folder for unfinished work."""
        return self.root / f".scratch-{task.folder_name}"

    def begin(self, task: Task) -> Path:
        """Return an empty folder to write the result of ``task`` to."""
        partial = self.root / f".partial-{task.folder_name}"
        with _writing(partial):
            if partial.exists():
                shutil.rmtree(partial)
            partial.mkdir(parents=True)
            self.scratch(task).mkdir(exist_ok=True)
        return partial

    def finish(self, task: Task, seconds: float) -> None:
        """Make the result visible in one step, note the seconds it took, and drop the unfinished work."""
        with _writing(self.path(task)):
            os.replace(self.root / f".partial-{task.folder_name}", self.path(task))
            with (self.root / "steps.jsonl").open("a", encoding="utf-8") as log:
                log.write(json.dumps({"step": task.label, "key": task.key, "seconds": round(seconds, 3)}) + "\n")
            shutil.rmtree(self.scratch(task), ignore_errors=True)

    def times(self, tasks: Iterable[Task]) -> dict[str, float]:
        """Return the seconds that each of these tasks took when it was run, by label."""
        log = self.root / "steps.jsonl"
        entries = [json.loads(line) for line in log.read_text("utf-8").splitlines()] if log.exists() else []
        wanted = {task.key for task in tasks}
        return {entry["step"]: entry["seconds"] for entry in entries if entry["key"] in wanted}


@contextlib.contextmanager
def exclusive(folder: Path, *, patience: float = 3.0) -> Iterator[None]:
    """Hold a run folder for this process alone.

    Raises
    ------
    OutputError
        If it cannot be written, or another run holds it for longer than ``patience`` seconds (the workers of a run
        that was killed take about a second to notice).
    """
    with _writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / ".lock").open("w", encoding="utf-8")
    with lock:
        deadline = time.monotonic() + patience
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if time.monotonic() > deadline:
                    raise OutputError(
                        f"{folder}: another run is using this folder; wait for it or choose --out"
                    ) from error
                time.sleep(0.1)
        yield


@contextlib.contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from error
