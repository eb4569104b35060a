"""The figures command, as a user meets it."""

import functools

import pytest

LINE = """
from collabtheory.errors import DataError
TITLE, CAPTION, SUPPORTS, NEEDS = "A line", "It rises.", ("theorem_2_3",), "collabtheory verify"
def data(run):
    if not run.claims:
        raise DataError("it has no records")
    return tuple(record["margin"] for record in run.claims)
def draw(data, ax): ax.plot(data, marker="o")
"""
SMALL = LINE.replace('marker="o")', 'marker="o"); ax.text(0.5, 0.5, "tiny", size=5, transform=ax.transAxes)')


@pytest.fixture
def figures(invoke, tmp_path):
    """Run ``collabtheory figures``; return exit code, stdout and stderr."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "line.py").write_text(LINE, encoding="utf-8")

    return functools.partial(invoke, "figures", "--figures", "mine")


@pytest.fixture
def small_run(run_of, parts):
    return run_of([parts.record("a", "A", "holds", 1, 1, 0.5), parts.control("a", "b", "c")]).path


def test_images_side_files_and_numbers_are_written_to_the_run(figures, small_run):
    code, out, err = figures("--run", small_run)
    folder = small_run / "figures"
    assert (code, err) == (0, "")
    assert out.splitlines() == [str(folder / name) for name in ("line.png", "line.svg", "numbers.tex")]
    assert (folder / "line.json").is_file()
    assert "ctAVerdict" in (folder / "numbers.tex").read_text(encoding="utf-8")


def test_a_venue_has_its_own_folder_and_formats(figures, small_run, tmp_path):
    assert figures("line", "--run", small_run, "--venue", "iclr-half")[0] == 0
    assert {path.name for path in (small_run / "figures" / "iclr-half").iterdir()} == {
        "line.json", "line.pdf", "line.png", "numbers.tex",
    }  # fmt: skip
    assert figures("--run", small_run, "--venue", "slides", "--format", "svg", "--out", tmp_path / "talk")[0] == 0
    assert {path.name for path in (tmp_path / "talk").iterdir()} == {"line.json", "line.svg", "numbers.tex"}


def test_check_says_what_is_stale_and_exits_with_1(figures, small_run, parts):
    assert figures("--run", small_run, "--check")[:2] == (1, "stale: line: never drawn here\n")
    figures("--run", small_run)
    assert figures("--run", small_run, "--check")[:2] == (0, "fine: line\n")
    parts.write_lines(small_run / "claims.jsonl", [parts.record("a", "A", "holds", 1, 1, 0.25)])
    code, out, _ = figures("--run", small_run, "--check")
    assert code == 1
    assert out.splitlines() == ["stale: line: the data changed", "stale: numbers.tex: the numbers changed"]


def test_what_cannot_be_drawn_is_named_with_the_command_that_it_needs(figures, small_run, run_of):
    run_of([])
    code, out, _ = figures("--run", small_run)
    assert code == 5
    assert out.splitlines()[0] == "not drawn: line: it has no records [needs: collabtheory verify]"
    assert figures("--run", small_run, "--check")[:2] == (0, "no data: line: it has no records\n")


def test_text_that_cannot_be_read_is_told_on_stderr(figures, small_run, tmp_path):
    (tmp_path / "mine" / "line.py").write_text(SMALL, encoding="utf-8")
    code, _, err = figures("--run", small_run, "--venue", "iclr-half")
    assert code == 0
    assert err == "hard to read: line: text 'tiny' has 3.89 points; 7 are the least\n"


def test_list_needs_no_run(figures):
    code, out, _ = figures("--list")
    assert code == 0
    assert "A line" in out
    assert "about: theorem_2_3" in out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "name the run folder to draw from: --run RUN"),
        (("--run", "nowhere"), "nowhere is not a folder"),
        (("--venue", "nips"), "unknown venue 'nips'; choose one of report,"),
        (("curve",), "no figure is called 'curve'; there are line"),
        (("--run", "RUN", "--format", "gif"), "unknown format 'gif'; choose among png, svg, pdf"),
        (("--run", "RUN", "--check", "--format", "gif"), "unknown format 'gif'; choose among png, svg, pdf"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(figures, small_run, arguments, says):
    code, out, err = figures(*(str(small_run) if word == "RUN" else word for word in arguments))
    assert (code, out) == (2, "")
    assert says in err
    assert err.count("\n") == 1
