"""The result store: one folder a task, complete or absent.

Several attempts at one task may be under way at a time (a worker that a scheduler gave up may still be alive), each in
a folder of its own. The first to finish is the result; all would be the same.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import shutil
import socket
import time
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path

from collabtheory.errors import OutputError
from collabtheory.runs.task import Task

ATTEMPT_FILE = "attempt.json"
"""In the folder of an attempt until it is finished: who works on it."""
STEPS_FILE = "steps.jsonl"
PARTIAL, SCRATCH, DROPPED = ".partial-", ".scratch-", ".dropped-"


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
        return self.root / f"{SCRATCH}{task.folder_name}"

    def begin(self, task: Task) -> Path:
        """Return a new folder to write the result of ``task`` to, for one attempt at it."""
        attempt = self.root / f"{PARTIAL}{task.folder_name}-{uuid.uuid4().hex[:12]}"
        with _writing(attempt):
            attempt.mkdir(parents=True)
            self.scratch(task).mkdir(exist_ok=True)
            about = {"step": task.label, "host": socket.gethostname(), "process": os.getpid()}
            (attempt / ATTEMPT_FILE).write_text(json.dumps(about) + "\n", encoding="utf-8")
        return attempt

    def finish(self, task: Task, attempt: Path) -> None:
        """Make the result of an attempt visible in one step, unless that of another is there already: both are equal.

        Raises
        ------
        OutputError
            If the folder cannot be written, or the attempt was given up by :meth:`sweep` and its first files are gone.
        """
        if not (attempt / ATTEMPT_FILE).exists():
            raise OutputError(f"{attempt}: this attempt was given up while it was at work; nothing of it is kept")
        with _writing(self.path(task)):
            (attempt / ATTEMPT_FILE).unlink()
            try:
                os.replace(attempt, self.path(task))
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                    raise
                shutil.rmtree(attempt)

    def await_result(self, task: Task, *, patience: float = 30.0) -> Path:
        """Return the result folder of a task that has finished; a network file system may show it late.

        Raises
        ------
        OutputError
            If it is not there after ``patience`` seconds.
        """
        deadline = time.monotonic() + patience
        while not self.has(task):
            if time.monotonic() > deadline:
                raise OutputError(
                    f"{self.path(task)}: '{task.label}' has finished but its result is not here; choose a run folder "
                    "on a file system that all workers share"
                )
            time.sleep(0.05)
        return self.path(task)

    def sweep(self) -> None:
        """Remove what attempts left that came to nothing, and the unfinished work of tasks that have finished.

        Only for the process that holds the run folder, while none of its tasks is at work. An attempt of an earlier
        run that is still alive somewhere cannot finish after this.
        """
        with _writing(self.root):
            for path in sorted(self.root.glob(f"{PARTIAL}*")):
                # Moved first: what is being removed must not become a result half-way.
                path.rename(self.root / path.name.replace(PARTIAL, DROPPED, 1))
            for path in sorted(self.root.glob(f"{SCRATCH}*")):
                if (self.root / path.name.removeprefix(SCRATCH)).is_dir():
                    shutil.rmtree(path, ignore_errors=True)
            for path in sorted(self.root.glob(f"{DROPPED}*")):
                shutil.rmtree(path, ignore_errors=True)

    def note(self, task: Task, seconds: float) -> None:
        """Log that ``task`` was run and took so many seconds."""
        # Only the process that holds the run folder writes here: appending is not safe across a network file system.
        with _writing(self.root / STEPS_FILE), (self.root / STEPS_FILE).open("a", encoding="utf-8") as log:
            log.write(json.dumps({"step": task.label, "key": task.key, "seconds": round(seconds, 3)}) + "\n")

    def times(self, tasks: Iterable[Task]) -> dict[str, float]:
        """Return the seconds that each of these tasks took when it was run, by label."""
        log = self.root / STEPS_FILE
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
