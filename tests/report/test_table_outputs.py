import csv
import io
import re
from html.parser import HTMLParser

import pytest
from rich.console import Console

from collabtheory.errors import InvalidInput
from collabtheory.report.formats import share, write_scalar
from collabtheory.report.render import to_csv, to_html, to_latex, to_markdown
from collabtheory.report.table import Column, Count, Estimate, Table
from collabtheory.report.terminal import to_rich
from collabtheory.report.verdicts import all_tables


class Cells(HTMLParser):
    """The text of each cell of an HTML table body, by row."""

    def __init__(self):
        super().__init__()
        self.rows, self.inside, self.body = [], False, False

    def handle_starttag(self, tag, attributes):
        self.body = self.body or tag == "tbody"
        if self.body and tag == "tr":
            self.rows.append([])
        if self.body and tag in ("td", "th"):
            self.inside = True
            self.rows[-1].append("")

    def handle_endtag(self, tag):
        if tag in ("td", "th"):
            self.inside = False

    def handle_data(self, data):
        if self.inside:
            self.rows[-1][-1] += data


def html_rows(table):
    parser = Cells()
    parser.feed(str(to_html(table)))
    return [tuple(row) for row in parser.rows]


def markdown_rows(table):
    lines = [line for line in to_markdown(table).splitlines() if line.startswith("| ")][1:]
    cells = [re.split(r"(?<!\\) \| ", line[2:-2]) for line in lines]
    return [tuple(cell.replace("\\|", "|").replace("&lt;", "<").replace("\\\\", "\\") for cell in row) for row in cells]


def latex_rows(table):
    body = to_latex(table).split("\\midrule\n")[1].split("\\bottomrule")[0]
    rows = [line.removesuffix(r" \\").split(" & ") for line in body.splitlines()]
    plain = {r"\%": "%", r"\_": "_", r"\textgreater{}": ">", r"\textless{}": "<"}
    return [tuple(re.sub("|".join(map(re.escape, plain)), lambda m: plain[m[0]], c) for c in row) for row in rows]


def csv_rows(table):
    """Read the CSV back and write its numbers with the table's own formats."""
    rows = []
    for fields, row in zip(list(csv.reader(io.StringIO(to_csv(table))))[1:], table.rows, strict=True):
        cells, left = [], iter(fields)
        for j, (cell, column) in enumerate(zip(row, table.columns, strict=True)):
            kinds = {type(other[j]) for other in table.rows}
            if isinstance(cell, Estimate):
                ends = [None if f == "" else float(f) for f in (next(left), next(left), next(left))]
                cells.append(Estimate(*ends, cell.form, cell.note).text(column.form))
            elif isinstance(cell, Count):
                cells.append(Count(int(next(left)), int(next(left))).text(column.form))
            else:
                field = next(left)
                value = None if field == "" else field.removeprefix("'") if isinstance(cell, str) else float(field)
                cells.append(write_scalar(value, column.form))
                skip = 2 if Estimate in kinds else 1 if Count in kinds else 0
                assert [next(left) for _ in range(skip)] == [""] * skip
        rows.append(tuple(cells))
    return rows


@pytest.mark.parametrize("name", ["verdicts", "controls", "numbers_theorem_2_3", "numbers_aligned_radius"])
def test_every_format_shows_the_same_numbers(run, name):
    table = all_tables(run)[name]
    expected = list(table.grid())
    blanked = list(table.grid(blank_repeats=True))
    assert len(expected) > 2
    assert markdown_rows(table) == expected
    assert csv_rows(table) == expected
    assert html_rows(table) == blanked
    assert latex_rows(table) == blanked


def test_the_terminal_shows_the_numbers_without_intervals(run):
    table = all_tables(run)["numbers_aligned_radius"]
    stream = io.StringIO()
    Console(file=stream, width=100).print(to_rich(table, 100))
    for row in table.grid(intervals=False):
        assert any(all(cell in line for cell in row[1:]) for line in stream.getvalue().splitlines()), row


def test_a_share_is_never_rounded_to_nothing_or_everything():
    assert share(1 / 65280) == "0.0015 %"
    assert share(1 - 1e-6) == "99.9999 %"
    assert share(0.0) == "0 %"
    assert share(1.0) == "100 %"
    assert share(1e-9) == "0.00000010 %"


@pytest.mark.parametrize(
    ("value", "form", "text"),
    [
        (None, "share", "n/a"),
        (float("nan"), "correlation", "undefined"),
        (float("-inf"), "number", "-infinity"),
        (0.0, "number", "0"),
        (-0.001, "correlation", "+0.00"),
        ("text", "share", "text"),
        (True, "text", "yes"),
    ],
)
def test_values_that_are_no_ordinary_number_are_written_in_words(value, form, text):
    assert write_scalar(value, form) == text


def test_unknown_formats_and_ragged_rows_are_refused():
    with pytest.raises(InvalidInput, match="unknown format 'percent'"):
        write_scalar(1.0, "percent")
    with pytest.raises(InvalidInput, match="row 1: 1 cells for 2 columns"):
        Table("T", (Column("a"), Column("b")), (("x", "y"), ("z",)))
    with pytest.raises(InvalidInput, match="has no column"):
        Table("T", (), ())


def test_headings_name_unit_and_n():
    assert Column("distance", unit="latent units", n=12345).heading == "distance (latent units, n = 12,345)"


def test_repeated_groups_are_blanked_only_below_the_same_group():
    columns = (Column("a", group=True), Column("b", group=True), Column("c"))
    table = Table("T", columns, (("x", "1", "p"), ("x", "1", "q"), ("y", "1", "r")))
    assert table.grid(blank_repeats=True) == (("x", "1", "p"), ("", "", "q"), ("y", "1", "r"))


def test_data_cannot_break_out_of_any_format():
    evil = '<script>alert("x")</script> | a & b_c \\ {'
    table = Table(evil, (Column(evil), Column("b")), ((evil, "=1+1"),), evil)
    assert "<script" not in str(to_html(table))
    assert "<script" not in to_markdown(table)
    assert markdown_rows(table) == [(evil, "=1+1")]  # the bar inside did not make a third cell
    assert r"\& b\_c \textbackslash{} \{" in to_latex(table)
    assert list(csv.reader(io.StringIO(to_csv(table))))[1] == [evil, "'=1+1"]


def test_an_empty_table_renders_everywhere():
    table = Table("Nothing", (Column("a"),), ())
    assert html_rows(table) == []
    assert markdown_rows(table) == []
    assert to_csv(table) == "a\n"
    assert "\\bottomrule" in to_latex(table)
