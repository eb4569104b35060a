import json

import pytest

from collabtheory.claims.discovery import StatementFile
from collabtheory.claims.results import write_statements
from collabtheory.claims.statement import Statement
from collabtheory.errors import DataError
from collabtheory.report.figure_files import DrawnFigure
from collabtheory.report.html import render_report
from collabtheory.report.mathml import prose
from collabtheory.report.sections import place_figures
from collabtheory.runs.folder import RunFolder
from collabtheory.runs.statement_texts import statement_texts

TEXT = {
    "title": "T",
    "source": "a paper",
    "text": "So $a \\le b$.\nAnd <more>.",
    "assumptions": ["$x > 0$"],
    "limits": ["nothing of $y$"],
    "unchecked": ["by symmetry"],
    "kind": "theorem",
    "file": "t.py",
}


@pytest.fixture
def told(run_of, parts):
    run = run_of([parts.record("t", "T", "holds", 1, 1, 0.1, stage="search")])
    (run.path / "statements.json").write_text(json.dumps({"t": TEXT}), encoding="utf-8")
    return run


def drawn(tmp_path, name, supports):
    paths = {kind: tmp_path / f"{name}.{kind}" for kind in ("svg", "json")}
    paths["svg"].write_text("<svg/>", encoding="utf-8")
    fields = ("figure", "title", "caption", "description", "venue", "data_sha256", "source_sha256", "drawing_sha256")
    side = dict.fromkeys(fields, name) | {"supports": supports, "run": {}, "files": {}, "versions": {}}
    paths["json"].write_text(json.dumps(side | {"format": "collabtheory-figure-1"}), encoding="utf-8")
    return DrawnFigure(name, f"Title of {name}", "caption", svg=paths["svg"], files=tuple(paths.values()))


def test_section_says_what_the_statement_says_assumes_and_does_not_say(told):
    page = render_report(told, [])
    section = page[page.index('id="statement-t"') : page.index("</article>")]
    assert "<mo>&#x02264;</mo>" in section
    assert "And &lt;more&gt;." in section
    order = [section.index(part) for part in ("Assumes", "Does not say", "nothing of", "Source: a paper")]
    assert order == sorted(order)
    assert "by symmetry" in section
    assert "collabtheory explain t" in section
    assert "collabtheory attack t" in section


def test_statements_that_a_run_keeps_are_read_as_they_were_written(told):
    statement = Statement("t", "T", "a paper", "So\nit is.", ("$x > 0$",), ("by symmetry",), ("nothing",))
    write_statements(told.path, [StatementFile(told.path / "t.py", statement, ())])
    (one,) = statement_texts(told).values()
    assert (one.title, one.source, one.text, one.file) == ("T", "a paper", "So\nit is.", "t.py")
    assert (one.assumptions, one.unchecked, one.limits) == (("$x > 0$",), ("by symmetry",), ("nothing",))


def test_run_of_an_earlier_version_shows_titles_alone(run_of, parts):
    page = render_report(run_of([parts.record("t", "The title", "holds", 1, 1, 0.1)]), [])
    assert "kept no more of a statement than its title" in page
    assert "The title" in page


def test_damaged_statements_are_one_clear_line(told):
    path = told.path / "statements.json"
    for content in ("{", json.dumps({"t": {"title": "T"}}), "[]"):
        path.write_text(content, encoding="utf-8")
        with pytest.raises(DataError, match=r"statements\.json"):
            statement_texts(RunFolder(told.path))


def test_figure_stands_once_with_the_first_statement_that_it_supports(told, tmp_path):
    figures = [
        drawn(tmp_path, "one", ["other", "t"]),
        drawn(tmp_path, "two", []),
        DrawnFigure("x", "X", "", skipped="no"),
    ]
    placed = place_figures(figures, ("t", "u"))
    assert [figure.name for figure in placed.by_statement["t"]] == ["one"]
    assert [figure.name for figure in placed.others] == ["two"]
    assert [figure.name for figure in placed.skipped] == ["x"]
    page = render_report(told, figures)
    section = page[page.index('id="statement-t"') : page.index("</article>")]
    assert "Title of one" in section
    assert page.count('id="figure-one"') == 1
    assert page.index("More pictures") < page.index("Title of two")


def test_other_statements_point_to_a_figure_that_is_shown_elsewhere(run_of, parts, tmp_path):
    run = run_of([parts.record(name, name, "holds", 1, 1, 0.1) for name in ("t", "u")])
    page = render_report(run, [drawn(tmp_path, "one", ["t", "u"])])
    second = page[page.index('id="statement-u"') :]
    assert '<a href="#figure-one">Title of one</a>' in second


def test_formula_of_the_users_own_can_bring_in_no_tag():
    for tex in (r"\text{<script>alert(1)</script>}", r"a \text{<img src=x onerror=y>}"):
        shown = str(prose(f"see ${tex}$"))
        assert "<script" not in shown
        assert "<img" not in shown
