"""One table model for every output: what is shown, apart from how it is drawn."""

from __future__ import annotations

from dataclasses import dataclass

from collabtheory.errors import InvalidInput
from collabtheory.report.formats import Scalar, share, without_unit, write_scalar
from collabtheory.report.words import count_words


@dataclass(frozen=True)
class Estimate:
    """A number with an interval; equal or missing ends show the number alone.

    Examples
    --------
    >>> Estimate(0.84, 0.83, 0.85).text("share"), Estimate(0.5).text("share")
    ('84.0 % [83.0, 85.0]', '50.0 %')
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    form: str | None = None  # overrides the column's format, for tables whose rows are different quantities
    note: str = ""  # written after the number

    def text(self, form: str, *, interval: bool = True) -> str:
        """Return the number and its interval and note as written text; without intervals a note is a mere ``*``."""
        form = self.form or form
        text = write_scalar(self.value, form)
        if (
            interval
            and self.value is not None
            and self.low is not None
            and self.high is not None
            and self.low != self.high
        ):
            low, high = (without_unit(write_scalar(end, form)) for end in (self.low, self.high))
            # An interval that is narrower than the digits shown would only repeat the number.
            text = text if low == high == without_unit(text) else f"{text} [{low}, {high}]"
        if not self.note:
            return text
        return f"{text} ({self.note})" if interval else f"{text}*"


@dataclass(frozen=True)
class Count:
    """How many cases met the premise, out of those tried.

    Examples
    --------
    >>> Count(7, 65280).text("share"), Count(0, 0).text("share"), Count(3, 3).text("integer")
    ('0.011 % of 65,280', 'none tried', '3/3')
    >>> Count(9, 9, "step").text("share"), Count(8, 9, "step").text("share")
    ('9 steps', '8 of 9 steps')
    """

    met: int
    tried: int
    noun: str = ""  # what is counted, where a share of it would say little
    plural: str = ""

    @property
    def share(self) -> float | None:
        """The share met, or None where nothing was tried."""
        return self.met / self.tried if self.tried else None

    def text(self, form: str) -> str:
        """Return "k/n" (format ``integer``) or the share and the number tried (every other format)."""
        if not self.tried:
            return "none tried"
        if self.noun:
            counted = count_words(self.tried, self.noun, self.plural or None)
            return counted if self.met == self.tried else f"{self.met:,} of {counted}"
        if form == "integer":
            return f"{self.met:,}/{self.tried:,}"
        return f"{share(self.met / self.tried)} of {self.tried:,}"


Cell = Scalar | Estimate | Count


@dataclass(frozen=True)
class Column:
    """One column: its label, unit, number format, alignment (``left`` or ``right``) and, where it has one, its n."""

    label: str
    unit: str = ""
    form: str = "text"
    align: str = "left"
    n: int | None = None
    spare: bool = False  # left out where there is little room
    group: bool = False  # a value equal to the one above is left blank where people read (never in CSV)
    once: bool = False  # one value for all rows of a group: where people read, written in its first row only

    @property
    def heading(self) -> str:
        """Label with unit and n."""
        extra = [part for part in (self.unit, f"n = {self.n:,}" if self.n is not None else "") if part]
        return f"{self.label} ({', '.join(extra)})" if extra else self.label


@dataclass(frozen=True)
class Table:
    """A table: title, columns, rows, caption.

    Parameters
    ----------
    title
        What it shows, in one line.
    columns
        The columns, in order; at least one.
    rows
        Cells, one tuple a row, as many as there are columns: text, numbers, ``None`` (not measured), an
        :class:`Estimate` with interval or a :class:`Count`.
    caption
        How to read it: what n, what interval.

    Raises
    ------
    InvalidInput
        If there is no column or a row has another number of cells; the message names the row.

    Examples
    --------
    >>> table = Table("Shares", (Column("stage"), Column("helping", form="share")), (("trained", 0.5),))
    >>> table.grid()
    (('trained', '50.0 %'),)
    """

    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    caption: str = ""

    def __post_init__(self) -> None:
        if not self.columns:
            raise InvalidInput(f"table {self.title!r} has no column")
        for number, row in enumerate(self.rows):
            if len(row) != len(self.columns):
                raise InvalidInput(
                    f"table {self.title!r}, row {number}: {len(row)} cells for {len(self.columns)} columns"
                )

    @property
    def headings(self) -> tuple[str, ...]:
        """The column headings, with units."""
        return tuple(column.heading for column in self.columns)

    def grid(self, *, blank_repeats: bool = False, intervals: bool = True) -> tuple[tuple[str, ...], ...]:
        """Return every cell as written text; all outputs for people are made of this one grid."""
        written = [
            tuple(
                write_cell(cell, column.form, interval=intervals)
                for cell, column in zip(row, self.columns, strict=True)
            )
            for row in self.rows
        ]
        if not blank_repeats:
            return tuple(written)
        return tuple(_blank(row, written[i - 1] if i else None, self.columns) for i, row in enumerate(written))


def write_cell(cell: Cell, form: str, *, interval: bool = True) -> str:
    """Return one cell as written text."""
    if isinstance(cell, Estimate):
        return cell.text(form, interval=interval)
    return cell.text(form) if isinstance(cell, Count) else write_scalar(cell, form)


def _blank(row: tuple[str, ...], above: tuple[str, ...] | None, columns: tuple[Column, ...]) -> tuple[str, ...]:
    if above is None:
        return row
    repeats = True
    cells = []
    for text, before, column in zip(row, above, columns, strict=True):
        # A group ends where a column to its left changes.
        repeats = repeats and text == before
        cells.append("" if (column.group and repeats) or (column.once and row[0] == above[0]) else text)
    return tuple(cells)
