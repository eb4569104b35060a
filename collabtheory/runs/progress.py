"""Live progress of a run on stderr: bars on a terminal, one line a finished step elsewhere."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from collabtheory.runs.engine import Event
from collabtheory.runs.task import Task


@contextlib.contextmanager
def show_progress(
    console: Console, *, quiet: bool = False
) -> Iterator[tuple[Callable[[int], None], Callable[[Event], None]]]:
    """Yield ``(expect, on_event)``: call the first with the number of steps, the second with each event."""
    if quiet:
        yield (lambda steps: None), (lambda event: None)
    elif console.is_terminal:
        with _Bars(console) as bars:
            yield bars.expect, bars.on_event
    else:
        lines = _Lines(console)
        yield lines.expect, lines.on_event


class _Bars:
    """An overall bar, and one for each step at work."""

    def __init__(self, console: Console) -> None:
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=console,
            transient=True,
        )
        self.overall: TaskID | None = None
        self.running: dict[Task, TaskID] = {}

    def __enter__(self) -> _Bars:
        self.progress.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.progress.stop()

    def expect(self, steps: int) -> None:
        self.overall = self.progress.add_task("[bold]steps[/bold]", total=steps)

    def on_event(self, event: Event) -> None:
        if event.share < 1.0:
            if event.task not in self.running:
                self.running[event.task] = self.progress.add_task(event.task.label, total=100)
            self.progress.update(self.running[event.task], completed=int(100 * event.share))
            return
        if event.task in self.running:
            self.progress.remove_task(self.running.pop(event.task))
        if self.overall is not None:
            self.progress.advance(self.overall)


class _Lines:
    """A line for each finished step, for logs."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.started = time.monotonic()
        self.done = 0
        self.steps = 0

    def expect(self, steps: int) -> None:
        self.steps = steps

    def on_event(self, event: Event) -> None:
        if event.share < 1.0:
            return
        self.done += 1
        how = "found in the run folder" if event.reused else f"{event.seconds or 0.0:.1f} s"
        elapsed = time.monotonic() - self.started
        self.console.print(
            f"[{elapsed:6.1f} s] {self.done}/{self.steps} {event.task.label}: {how}", highlight=False, markup=False
        )
