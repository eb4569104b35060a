import base64
import hashlib
import json
import re
from html.parser import HTMLParser

import pytest

from collabtheory.report.figure_files import DrawnFigure, draw_figures, load_figures
from collabtheory.report.html import (
    LARGE_IMAGE,
    figure_image,
    provenance_table,
    render_report,
    write_report,
    write_tables,
)
from collabtheory.report.render import RENDERERS
from collabtheory.report.verdicts import all_tables

VOID = {"meta", "img", "br", "link", "input", "hr"}


class Page(HTMLParser):
    """Tags, references and balance of a page."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.references, self.open, self.ids = [], [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.tags.append((tag, found))
        self.references += [(tag, found[name]) for name in ("src", "href", "srcset", "data", "action") if name in found]
        self.ids += [found["id"]] if "id" in found else []
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


FIGURES = ("training_curve",)


@pytest.fixture(scope="module")
def figures(portrayed):
    return draw_figures([portrayed], load_figures(None, FIGURES), portrayed.path / "figures")


@pytest.fixture(scope="module")
def report(portrayed, figures):
    path = write_report(portrayed, figures)
    return path, path.read_text(encoding="utf-8")


def test_the_report_is_one_offline_file(report):
    path, text = report
    page = Page(text)
    assert page.open == []
    outside = [value for tag, value in page.references if not value.startswith(("data:image/", "#"))]
    assert outside == ["https://arxiv.org/abs/2511.06781"]
    assert not {"link", "iframe", "object"} & {tag for tag, _ in page.tags}
    assert "@import" not in text
    assert "url(" not in text
    assert path.stat().st_size < 4_000_000


def test_only_the_script_of_the_explorer_may_run(report):
    text = report[1]
    scripts = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    assert len(scripts) == 1
    digest = base64.b64encode(hashlib.sha256(scripts[0].encode()).digest()).decode()
    assert f"default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src 'sha256-{digest}'" in text
    assert not re.search(r"\b(eval|Function|fetch|XMLHttpRequest|innerHTML)\b", scripts[0])
    assert not re.search(r"<[^>]+ on[a-z]+=", text)


def test_links_within_the_page_lead_somewhere(report):
    page = Page(report[1])
    inner = [value[1:] for _, value in page.references if value.startswith("#")]
    assert len(inner) > 5
    assert set(inner) <= set(page.ids)


def test_a_run_without_portraits_has_neither_script_nor_explorer(run):
    text = render_report(run, [])
    assert "<script" not in text
    assert "explorer" not in text
    assert "script-src" not in text


def test_the_tables_and_the_junit_file_come_with_the_report(report):
    folder = report[0].parent
    assert (folder / "junit.xml").read_text(encoding="utf-8").startswith("<?xml")
    assert (folder / "tables" / "numbers_aligned_radius.tex").is_file()


def test_the_report_can_be_read_by_machine_and_ear(report):
    page = Page(report[1])
    images = [found for tag, found in page.tags if tag == "img"]
    assert len(images) == len(FIGURES)
    assert all(len(found["alt"]) > 40 for found in images)
    assert all(found.get("scope") in ("col", "row", "colgroup") for tag, found in page.tags if tag == "th")
    assert len(page.ids) == len(set(page.ids))
    named = [found["aria-labelledby"] for _, found in page.tags if "aria-labelledby" in found]
    assert set(named) <= set(page.ids)
    assert [tag for tag, _ in page.tags].count("h1") == 1


def test_the_report_explains_every_verdict_and_answers_first(report):
    text = report[1]
    order = (
        "No counterexample",
        "Verdicts at a glance",
        "Explore:",
        "Statement by statement",
        "What this does not say",
    )
    places = [text.index(part) for part in order]
    assert places == sorted(places)
    legend = text[text.index('id="legend"') : text.index('id="controls"')]
    for label in (
        "certified",
        "holds",
        "vacuous",
        "assumption fails",
        "violated",
        "error",
        "supported",
        "inconclusive",
    ):
        assert label in legend


def test_dark_mode_phones_and_print_are_served(report):
    for rule in ("prefers-color-scheme: dark", "max-width: 560px", "@media print", "width=device-width"):
        assert rule in report[1]


def luminance(colour):
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_text_has_enough_contrast_in_both_schemes(report):
    blocks = re.findall(r":root \{([^}]*)\}", report[1])[:2]
    assert len(blocks) == 2
    for block in blocks:
        colours = dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", block))
        pairs = [("ink", "page"), ("ink", "card"), ("soft", "page"), ("soft", "card"), ("accent", "card")]
        pairs += [(tone, f"{tone}-bg") for tone in ("good", "bad", "doubt", "empty")]
        pairs += [("card", "good"), ("page", "ink"), *((tone, "card") for tone in ("good", "doubt", "empty"))]
        for front, back in pairs:
            light, dark = sorted((luminance(colours[front]), luminance(colours[back])), reverse=True)
            assert (light + 0.05) / (dark + 0.05) >= 4.5, (front, back)


def test_names_from_data_are_escaped_everywhere(run_of, parts):
    evil = "<script>alert(1)</script>"
    part = {"name": evil, "text": evil, "verdict": "holds", "rigor": "checked", "coverage": {"met": 1, "tried": 1}}
    number = parts.number(0.5, label=evil, unit=evil)
    records = [
        parts.record(evil, evil, "violated", 1, 1, -1.0, stage=evil, seed=0, notes=[evil], worst={evil: evil})
        | {"parts": [part], "numbers": {evil: number}, "data": evil},
        {**parts.control(evil, evil, evil), "caught": False},
    ]
    run = run_of(records, json.dumps({"data": {"name": evil}, "provenance": {evil: [evil]}}))
    skipped = DrawnFigure("x", evil, evil, skipped=evil)
    text = render_report(run, [skipped])
    assert "<script" not in text
    assert text.count("&lt;script&gt;") > 10
    assert "is false here" not in text  # an uncaught control comes first
    assert "Do not trust this run" in text


def test_a_figure_that_was_not_drawn_is_named_with_its_reason(make_run):
    run = make_run(seeds=(0,), stages=("initial",), n_pairs=50, with_pairs=False)
    skipped = draw_figures([run], load_figures(None, ["influence_against_distance"]), run.path / "figures")
    skipped.append(DrawnFigure("y", "Another", "", skipped=f"{run.path} has none", needs="collabtheory compare"))
    text = render_report(run, skipped)
    place = text[text.index('id="not-drawn"') :]
    assert "this run has no pair table with rows" in place
    assert "Made by <code>collabtheory compare</code>" in place
    assert str(run.path) not in text


def test_a_run_without_anything_still_gives_a_report(run_of):
    text = write_report(run_of([]), figures=[]).read_text(encoding="utf-8")
    assert "Nothing was checked." in text
    assert "Verdicts at a glance" not in text
    assert "No negative control was run." in text


def test_a_large_figure_is_shown_in_its_smaller_format(tmp_path):
    paths = {kind: tmp_path / f"x.{kind}" for kind in ("svg", "png")}
    for (kind, path), size in zip(paths.items(), (LARGE_IMAGE + 1, 10), strict=True):
        path.write_bytes(kind.encode() * size)
    figure = DrawnFigure("x", "X", "", png=paths["png"], svg=paths["svg"])
    assert figure_image(figure).startswith("data:image/png")
    paths["svg"].write_bytes(b"<svg/>")
    assert figure_image(figure).startswith("data:image/svg+xml")


def test_the_same_run_gives_the_same_report(report, figures):
    path, text = report
    assert write_report(path.parent, figures).read_text(encoding="utf-8") == text


def test_a_report_that_fails_leaves_the_old_one(run_of, parts, tmp_path):
    run = run_of([parts.record("a", "A", "no_such_verdict", 1, 1, 0.0)])
    (tmp_path / "report.html").write_text("old", encoding="utf-8")
    with pytest.raises(ValueError, match="unknown verdict"):
        write_report(run, figures=[])
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == "old"
    assert [path.name for path in tmp_path.glob("*report*")] == ["report.html"]


def test_tables_are_written_in_every_format(make_run):
    run = make_run(seeds=(0,), stages=("initial",), n_pairs=50, with_pairs=False)
    written = write_tables(run)
    tables = {f"{name}.{kind}" for name in all_tables(run) for kind in RENDERERS}
    assert {path.name for path in written} == {*tables, "numbers.tex"}
    assert (run.path / "tables" / "verdicts.csv").read_text(encoding="utf-8").startswith("Statement,Stage,Verdict")


def test_provenance_flattens_the_specification(run):
    rows = dict(provenance_table(run).rows)
    assert rows["specification.model.hidden"] == "200"
    assert rows["stages"] == "initial, epoch_3, epoch_10, trained"
    assert rows["seconds: train seed 0"] == "12.50"
