"""A table as Markdown, HTML, LaTeX, CSV."""

from __future__ import annotations

import csv
import io

from markupsafe import Markup, escape

from collabtheory.report.table import Cell, Count, Estimate, Table

_LATEX = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        "&": r"\&",
        "%": r"\%",
        "$": r"\$",
        "#": r"\#",
        "_": r"\_",
        "{": r"\{",
        "}": r"\}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
    }
)
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def to_markdown(table: Table) -> str:
    r"""Return the table as GitHub Markdown, with title and caption.

    Examples
    --------
    >>> from collabtheory.report.table import Column, Table
    >>> print(to_markdown(Table("T", (Column("a"), Column("b", form="number", align="right")), (("x|y", 2.0),))))
    **T**
    <BLANKLINE>
    | a | b |
    |:--|--:|
    | x\|y | 2.000 |
    <BLANKLINE>
    """
    lines = [f"**{_markdown(table.title)}**", "", _markdown_row(table.headings)]
    lines.append("|" + "|".join("--:" if column.align == "right" else ":--" for column in table.columns) + "|")
    lines += [_markdown_row(row) for row in table.grid()]
    if table.caption:
        lines += ["", _markdown(table.caption)]
    return "\n".join(lines) + "\n"


def to_html(table: Table) -> Markup:
    """Return the table as HTML: scoped headers, a caption, every value escaped."""
    classes = ["number" if column.align == "right" else "text" for column in table.columns]
    head = "".join(
        f'<th scope="col" class="{kind}">{escape(text)}</th>'
        for text, kind in zip(table.headings, classes, strict=True)
    )
    body = "".join(f"<tr>{_html_row(row, classes)}</tr>\n" for row in table.grid(blank_repeats=True))
    caption = f"<caption>{escape(table.title)}<small>{escape(table.caption)}</small></caption>"
    # Keyboard users must be able to scroll a wide table, so its box takes the focus.
    return Markup(
        f'<div class="scroll" role="region" tabindex="0" aria-label="{escape(table.title)}"><table>{caption}\n'
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody></table></div>"
    )


def to_latex(table: Table) -> str:
    """Return the table as a LaTeX ``table`` that needs the package booktabs."""
    shape = "".join("r" if column.align == "right" else "l" for column in table.columns)
    lines = [r"\begin{table}", r"\centering", rf"\caption{{{latex_text(f'{table.title}. {table.caption}'.strip())}}}"]
    lines += [rf"\begin{{tabular}}{{{shape}}}", r"\toprule", _latex_row(table.headings), r"\midrule"]
    lines += [_latex_row(row) for row in table.grid(blank_repeats=True)]
    lines += [r"\bottomrule", r"\end{tabular}", r"\end{table}"]
    return "\n".join(lines) + "\n"


def to_csv(table: Table) -> str:
    """Return the table as CSV for machines: numbers in full precision, intervals and counts in columns of their own.

    A missing value is an empty field. Text that a spreadsheet would take for a formula gets a leading apostrophe.
    """
    kinds = [_kind(table, j) for j in range(len(table.columns))]
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(
        name for column, kind in zip(table.columns, kinds, strict=True) for name in _csv_headings(column.heading, kind)
    )
    for row in table.rows:
        writer.writerow(field for cell, kind in zip(row, kinds, strict=True) for field in _csv_fields(cell, kind))
    return stream.getvalue()


RENDERERS = {"md": to_markdown, "tex": to_latex, "csv": to_csv}


def latex_text(text: str) -> str:
    r"""Return text with every character that LaTeX treats specially escaped.

    Examples
    --------
    >>> latex_text("50 % of x_u")
    '50 \\% of x\\_u'
    """
    return text.translate(_LATEX)


def _markdown(text: str) -> str:
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")


def _markdown_row(cells: tuple[str, ...]) -> str:
    return "| " + " | ".join(_markdown(cell) for cell in cells) + " |"


def _html_row(cells: tuple[str, ...], classes: list[str]) -> str:
    first = f'<th scope="row" class="{classes[0]}">{escape(cells[0])}</th>'
    rest = zip(cells[1:], classes[1:], strict=True)
    return first + "".join(f'<td class="{kind}">{escape(cell)}</td>' for cell, kind in rest)


def _latex_row(cells: tuple[str, ...]) -> str:
    return " & ".join(latex_text(cell) for cell in cells) + r" \\"


def _kind(table: Table, j: int) -> str:
    cells = [row[j] for row in table.rows]
    if any(isinstance(cell, Estimate) for cell in cells):
        return "estimate"
    return "count" if any(isinstance(cell, Count) for cell in cells) else "scalar"


def _csv_headings(heading: str, kind: str) -> tuple[str, ...]:
    if kind == "estimate":
        return heading, f"{heading} low", f"{heading} high"
    return (f"{heading} met", f"{heading} tried") if kind == "count" else (heading,)


def _csv_fields(cell: Cell, kind: str) -> tuple[object, ...]:
    if isinstance(cell, Estimate):
        return cell.value, cell.low, cell.high
    if isinstance(cell, Count):
        return cell.met, cell.tried
    first = f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA_STARTS) else cell
    return (first, *((None,) * ({"estimate": 2, "count": 1, "scalar": 0}[kind])))
