import doctest
import re
from pathlib import Path

import pytest

from collabtheory.claims.discovery import discover
from collabtheory.report.statement_pages import index_page, prose, statement_page, verdicts_table, write_pages
from collabtheory.report.words import VERDICTS
from collabtheory.rigor import Decision, Finding
from collabtheory.rigor.finding import Means

DOCS = Path(__file__).parents[2] / "docs"
FILES = discover()
EXAMPLE = discover(DOCS / "examples")


def found(file, decision=Decision.TRUE, detail="a*b = b*a"):
    return {step.name: Finding(Means.SYMBOLIC, decision, 1, detail) for step in file.statement.steps}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.identifier)
def test_page_tells_all_that_the_statement_has(file):
    page = statement_page(file, found(file))
    one = file.statement
    for text in (*one.assumptions, *one.limits, *(step.text for step in one.steps)):
        assert prose(text) in page
    for check in file.checks:
        assert check.control is None or f"`{check.control}`" in page
    for inequality in file.inequalities:
        assert f"`{inequality.name}`" in page
    assert f"collabtheory verify {file.identifier}" in page
    assert page.count('<span class="discharged">') == len(one.steps)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.identifier)
def test_every_row_of_a_table_has_the_cells_of_its_heading(file):
    page = statement_page(file, found(file))
    rows = [line for line in page.splitlines() if line.startswith("|")]
    for block in re.findall(r"(?:^\|.*\n)+", page, re.MULTILINE):
        cells = {len(re.findall(r"(?<!\\)\|", row)) for row in block.splitlines()}
        assert len(cells) == 1, block
    assert rows or not file.inequalities


def test_what_was_not_discharged_is_not_called_so():
    (file,) = EXAMPLE
    refuted = statement_page(file, found(file, Decision.FALSE, "x < 1 & y_1 = $z$"))
    assert "0 of 2 steps discharged" in refuted
    assert '<span class="refuted">✗</span>' in refuted
    assert "x &lt; 1 &amp; y&#95;1 = &#36;z&#36;" in refuted
    assert "not machine-checked" in refuted


def test_index_lists_every_statement_once_with_its_counts():
    text = index_page([(file, found(file)) for file in FILES])
    for file in FILES:
        assert text.count(f"]({file.identifier}.md)") == 1
    assert "| 3/3 | 1 | 2 |" in text  # Proposition 3.1


def test_verdicts_come_from_best_to_worst_with_their_meanings():
    lines = verdicts_table().splitlines()[2:]
    assert [re.search(r"`(\w+)`", line)[1] for line in lines] == list(VERDICTS)[::-1]


def test_prose_is_escaped_and_formulas_are_not():
    assert prose(r"E_{q_u} <= 2 and $a_1 < b$") == r"E\_{q\_u} \<= 2 and $a_1 < b$"


def test_pages_that_are_gone_are_removed_and_the_same_are_left_alone(tmp_path):
    write_pages(EXAMPLE, tmp_path)
    page = tmp_path / "mean_of_squares.md"
    written = page.stat().st_mtime_ns
    (tmp_path / "old.md").write_text("gone")
    write_pages(EXAMPLE, tmp_path)
    assert not (tmp_path / "old.md").exists()
    assert page.stat().st_mtime_ns == written
    assert "1 of 2 steps discharged by machine" in page.read_text()


def test_statement_of_the_guide_stands_and_its_twin_falls():
    from collabtheory.claims.attack import attack_file

    (file,) = EXAMPLE
    assert all(one.as_expected for one in attack_file(file, seconds=0.5))


@pytest.mark.parametrize("page", ["guide", "rigor", "attack"])
def test_python_on_the_page_does_what_it_shows(page):
    flags = doctest.ELLIPSIS | doctest.IGNORE_EXCEPTION_DETAIL
    failed, tried = doctest.testfile(str(DOCS / f"{page}.md"), module_relative=False, optionflags=flags)
    assert tried > 3
    assert failed == 0


def test_links_between_pages_lead_somewhere():
    for page in DOCS.glob("*.md"):
        for target in re.findall(r"\]\(([\w/]+\.md)\)", page.read_text("utf-8")):
            generated = target.startswith("statements/")
            assert generated or (DOCS / target).is_file(), f"{page.name}: {target}"
