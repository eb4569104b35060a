import dataclasses
import json
import shutil
import subprocess
import sys

import pytest

from collabtheory.errors import DataError, InvalidInput
from collabtheory.report.figure_check import check_figures
from collabtheory.report.figure_files import draw_figures, load_figures
from collabtheory.report.figure_side_files import read_side_file, sha256_of
from collabtheory.report.venues import REPORT, get_venue
from collabtheory.runs.folder import RunFolder

LINE = """
from collabtheory.errors import DataError
TITLE, CAPTION, SUPPORTS, NEEDS = "A line", "It rises.", ("theorem_2_3",), "collabtheory verify"
def data(run):
    if not run.records:
        raise DataError(f"{run.path} has no records")
    return {"margins": [record["margin"] for record in run.records]}
def describe(data): return f"{len(data['margins'])} margins"
def draw(data, ax): ax.plot(data["margins"], marker="o")
"""
CONSTANT = 'TITLE, CAPTION = "One", "Always there."\ndef data(run): return 1\ndef draw(data, ax): ax.plot([1, data])\n'


@pytest.fixture
def folder(tmp_path):
    """A folder with one figure file."""
    place = tmp_path / "figures"
    place.mkdir()
    (place / "line.py").write_text(LINE, encoding="utf-8")
    return place


@pytest.fixture
def source(tmp_path, parts):
    """A function that writes a run of these margins and opens it."""

    def make(*margins, name="run"):
        path = tmp_path / name
        records = [parts.record("a", "A", "holds", 1, 1, margin) for margin in margins]
        parts.write_lines(path / "claims.jsonl", records)
        meta = {"identity": "4f" * 32, "data": {"name": "davis"}, "profile": "quick", "seeds": [0]}
        (path / "run.json").write_text(json.dumps(meta), encoding="utf-8")
        return RunFolder(path)

    return make


def state(run, folder, out, venue=REPORT, formats=()):
    (checked,) = check_figures([run], load_figures(folder), out, venue, formats)
    return checked


def test_the_side_file_says_what_the_figure_shows_and_whence(folder, source, tmp_path):
    run = source(0.1, 0.2)
    (drawn,) = draw_figures([run], load_figures(folder), tmp_path / "out", get_venue("iclr-half"), ("png", "pdf"))
    about = read_side_file(tmp_path / "out" / "line.json")
    assert (about.figure, about.title, about.caption, about.description) == (
        "line",
        "A line",
        "It rises.",
        "2 margins",
    )
    assert about.supports == ("theorem_2_3",)
    assert about.venue == "iclr-half"
    assert about.run == {"folder": "run", "identity": "4f" * 32, "data": "davis", "profile": "quick", "seeds": [0]}
    assert about.source_sha256 == sha256_of(folder / "line.py")
    assert about.files == {name: sha256_of(tmp_path / "out" / name) for name in ("line.png", "line.pdf")}
    assert [path.name for path in drawn.files] == ["line.png", "line.pdf", "line.json"]
    assert str(tmp_path) not in (tmp_path / "out" / "line.json").read_text(encoding="utf-8")


def test_fresh_images_are_fine_and_those_of_a_moved_run_stay_so(folder, source, tmp_path):
    run, out = source(0.1, 0.2), tmp_path / "out"
    assert state(run, folder, out).reasons == ("never drawn here",)
    draw_figures([run], load_figures(folder), out)
    assert state(run, folder, out) == dataclasses.replace(state(run, folder, out), reasons=(), undrawable="")
    shutil.copytree(run.path, tmp_path / "moved")
    assert not state(RunFolder(tmp_path / "moved"), folder, out).stale


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda out, folder: (out / "line.png").unlink(), "line.png is missing"),
        (lambda out, folder: (out / "line.svg").write_text("<svg/>"), "line.svg was changed by another hand"),
        (
            lambda out, folder: (folder / "line.py").write_text(LINE.replace('"o"', '"s"'), encoding="utf-8"),
            "line.py changed",
        ),
        (lambda out, folder: (out / "line.json").write_text("{"), "not valid JSON"),
        (lambda out, folder: (out / "line.json").write_text("{}"), "not a side file of this version"),
        (lambda out, folder: (out / "line.json").unlink(), "never drawn here"),
    ],
)
def test_what_was_changed_since_makes_an_image_stale(folder, source, tmp_path, spoil, says):
    run, out = source(0.1, 0.2), tmp_path / "out"
    draw_figures([run], load_figures(folder), out)
    spoil(out, folder)
    (reason,) = state(run, folder, out).reasons
    assert says in reason


def test_other_data_venue_format_or_style_make_an_image_stale(folder, source, tmp_path, monkeypatch):
    run, out = source(0.1, 0.2), tmp_path / "out"
    draw_figures([run], load_figures(folder), out)
    assert state(source(0.1, 0.3), folder, out).reasons == ("the data changed",)
    run = source(0.1, 0.2)
    assert state(run, folder, out, get_venue("slides")).reasons == ("drawn for report, not for slides",)
    assert state(run, folder, out, formats=("svg", "pdf")).reasons == ("not drawn as pdf",)
    monkeypatch.setattr("collabtheory.report.figure_check.drawing_fingerprint", lambda: "another")
    assert state(run, folder, out).reasons == ("the house style changed",)


def test_a_figure_without_data_is_stale_only_where_its_image_is_left(folder, source, tmp_path):
    out = tmp_path / "out"
    empty = source(name="empty")
    assert not state(empty, folder, out).stale
    assert "has no records" in state(empty, folder, out).undrawable
    draw_figures([source(0.1)], load_figures(folder), out)
    assert state(empty, folder, out).reasons == ("the runs no longer have its data",)


def test_each_figure_comes_from_the_first_run_that_has_its_data(folder, source, tmp_path):
    (folder / "one.py").write_text(CONSTANT, encoding="utf-8")
    runs = [source(name="empty"), source(0.5, name="full"), source(0.7, name="later")]
    drawn = {one.name: one for one in draw_figures(runs, load_figures(folder), tmp_path / "out", formats=("svg",))}
    assert drawn["line"].run == runs[1].path
    assert drawn["one"].run == runs[0].path
    (skipped,) = draw_figures(
        [runs[0], source(name="also_empty")], load_figures(folder, ["line"]), tmp_path / "out", formats=("svg",)
    )
    assert (skipped.skipped, skipped.needs) == ("a run has no records", "collabtheory verify")


def test_bad_requests_are_refused(folder, source, tmp_path):
    with pytest.raises(InvalidInput, match="no figure is called 'curve'; there are line"):
        load_figures(folder, ["curve"])
    with pytest.raises(InvalidInput, match="unknown format 'gif'; choose among png, svg, pdf"):
        draw_figures([source(0.1)], load_figures(folder), tmp_path, formats=("gif",))
    with pytest.raises(InvalidInput, match="no run is given"):
        draw_figures([], load_figures(folder), tmp_path)
    with pytest.raises(DataError, match="cannot read"):
        read_side_file(tmp_path / "nothing.json")


def test_two_processes_give_the_same_bytes_in_every_format_without_torch_or_pyplot(make_run, tmp_path):
    run = make_run(seeds=(0,), stages=("initial",), n_pairs=60)
    said = set()
    for seed in ("1", "2"):
        out = tmp_path / seed
        code = (
            "import sys; from pathlib import Path; from collabtheory.report.figure_files import *; "
            "from collabtheory.report.figure_files import draw_figures, load_figures; "
            "from collabtheory.report.numbers_tex import write_numbers; "
            "from collabtheory.report.venues import get_venue; "
            f"run = open_run({str(run.path)!r}); names = ['influence_against_distance', 'coverage_by_stage']; "
            f"draw_figures([run], load_figures(None, names), Path({str(out)!r}), get_venue('iclr-half'), "
            f"('png', 'svg', 'pdf')); write_numbers([run], Path({str(out)!r}, 'numbers.tex')); "
            "print([name for name in ('torch', 'matplotlib.pyplot') if name in sys.modules])"
        )
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PYTHONHASHSEED": seed}
        )
        said.add(done.stdout.strip())
    assert said == {"[]"}
    names = sorted(path.name for path in (tmp_path / "1").iterdir())
    assert len(names) == 9  # three images and a side file of two figures, and the numbers
    for name in names:
        assert (tmp_path / "1" / name).read_bytes() == (tmp_path / "2" / name).read_bytes(), name
