"""A run in the terminal: the answer and the table of verdicts, in 80 columns or more."""

from __future__ import annotations

import io
from pathlib import Path
from typing import IO

from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.table import Table as RichTable
from rich.text import Text

from collabtheory.report.headline import headline
from collabtheory.report.table import Table
from collabtheory.report.verdicts import coverage_tables, verdict_table
from collabtheory.report.words import VERDICTS
from collabtheory.runs.folder import RunFolder, open_run

_STYLES = {"good": "green", "bad": "bold red", "doubt": "yellow", "empty": "dim"}
WIDEST = 100
ROOMY = 96


def print_verdicts(
    run: RunFolder | Path | str, file: IO[str] | None = None, *, width: int | None = None, coverage: bool = True
) -> None:
    """Print the answer of a run and its tables; colours only where ``file`` is a terminal.

    Parameters
    ----------
    run
        The run folder.
    file
        Where to print; default standard output.
    width
        Columns; default the terminal's own, at most 100.
    coverage
        Print the tables of the two radii as well.
    """
    opened = open_run(run)
    console = Console(file=file, width=width, highlight=False)
    if width is None:
        console = Console(file=file, width=min(console.width, WIDEST), highlight=False)
    answer = headline(opened)
    console.print(Text(answer.answer, style=_STYLES[answer.tone] if console.is_terminal else ""))
    for sentence in (answer.tally, *answer.sentences):
        console.print(Text(sentence))
    console.print(to_rich(verdict_table(opened, brief=True), console.width))
    for table in coverage_tables(opened) if coverage else ():
        console.print(to_rich(table, console.width))


def verdict_text(run: RunFolder | Path | str, width: int = WIDEST) -> str:
    """Return what :func:`print_verdicts` prints, as plain text of that width."""
    stream = io.StringIO()
    print_verdicts(run, stream, width=width)
    return "\n".join(line.rstrip() for line in stream.getvalue().splitlines()) + "\n"


def to_rich(table: Table, width: int = WIDEST) -> Padding:
    """Return a table as rich renders it: text too long is folded, never cut off.

    Intervals are left to the files. Columns marked ``spare`` are shown only where there is room for them.
    """
    shown = [j for j, column in enumerate(table.columns) if width >= ROOMY or not column.spare]
    grid = table.grid(blank_repeats=True, intervals=False)
    made = RichTable(title=table.title, box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, title_justify="left")
    made.title_style, made.caption_justify = "bold", "left"
    for j in shown:
        column = table.columns[j]
        right = column.align == "right"
        cells = [row[j] for row in grid]
        # A heading never makes a column of numbers wider than its numbers and its own words.
        label = "\n".join(column.label.split()) if right and len(column.label) > max(map(len, cells)) else column.label
        cells = [label, *cells]
        made.add_column(
            Text(label),
            justify="right" if right else "left",
            overflow="fold",
            no_wrap=right,
            # No word is ever broken, and no label column squeezed away by numbers.
            min_width=max(len(word) for cell in cells for word in cell.split() or [""]),
        )
    for row in grid:
        made.add_row(*(Text(row[j], style=_tone(row[j])) for j in shown))
    if any(cell.endswith("*") for row in grid for cell in row):
        made.caption = "* not defined in every seed; mean over the others"
    return Padding(made, (1, 0, 0, 0))


def _tone(cell: str) -> str:
    found = next((words for words in VERDICTS.values() if words.label == cell.split(",")[0]), None)
    return _STYLES[found.tone] if found else ""
