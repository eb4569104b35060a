import matplotlib as mpl
import pytest

from collabtheory.errors import DataError
from collabtheory.report.figure_files import find_figures, load_figure, write_figures
from collabtheory.report.style import house_style, new_figure

FIGURE = """
from collabtheory.errors import DataError
TITLE = "Mine"
CAPTION = "A line."
def data(run):
    if not run.records:
        raise DataError("no records here")
    return [1, 2, 3]
def draw(data, ax):
    ax.plot(data, label="three")
"""
NAMES = ["influence_against_distance", "coverage_by_stage", "decay_with_distance", "training_curve"]


def test_the_figures_of_this_installation_are_found():
    assert set(NAMES) <= {path.stem for path in find_figures()}


def test_all_figures_are_drawn_in_reading_order_and_reported(make_run):
    titles = []
    run = make_run(seeds=(0,), stages=("initial", "trained"), n_pairs=300)
    everything = write_figures(run, progress=titles.append)
    drawn = [one for one in everything if one.name in NAMES]
    assert [one.name for one in drawn] == NAMES
    assert [one.title for one in everything] == titles
    for one in drawn:
        assert one.skipped == ""
        assert one.png.read_bytes().startswith(b"\x89PNG")
        assert one.svg.stat().st_size < 1_000_000
        assert "T00:00" not in one.svg.read_text(encoding="utf-8")


def test_equal_data_give_equal_files(make_run, tmp_path):
    run = make_run(seeds=(0,), stages=("initial",), n_pairs=200)
    first = [[path.read_bytes() for path in one.files] for one in write_figures(run)]
    assert sum(map(len, first)) >= 3 * len(NAMES)
    mpl.rcParams["font.size"] = 31.0  # the user's own settings do not matter
    try:
        second = [[path.read_bytes() for path in one.files] for one in write_figures(run)]
    finally:
        mpl.rcdefaults()
    assert first == second


def test_a_users_folder_is_drawn_and_files_with_an_underscore_are_not(tmp_path, run_of, parts):
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "line.py").write_text(FIGURE, encoding="utf-8")
    (folder / "_shared.py").write_text("raise RuntimeError", encoding="utf-8")
    (one,) = write_figures(run_of([parts.record("a", "A", "holds", 1, 1, 0.0)]), folder)
    assert (one.name, one.title, one.description) == ("line", "Mine", "A line.")
    assert one.png == tmp_path / "figures" / "line.png"


def test_a_figure_without_its_data_is_skipped_with_the_reason_and_its_old_image_removed(tmp_path, run_of):
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "line.py").write_text(FIGURE, encoding="utf-8")
    old = tmp_path / "figures" / "line.png"
    old.parent.mkdir()
    old.write_bytes(b"old")
    (one,) = write_figures(run_of([]), folder)
    assert one.skipped == "no records here"
    assert one.png is None
    assert not old.exists()


def test_files_that_are_no_figures_are_refused(tmp_path):
    with pytest.raises(DataError, match="is not a folder"):
        find_figures(tmp_path / "nowhere")
    with pytest.raises(DataError, match="holds no figure file"):
        find_figures(tmp_path)
    lacking = tmp_path / "lacking.py"
    lacking.write_text("TITLE = 'x'\nCAPTION = 'y'\ndef data(run): ...\n", encoding="utf-8")
    with pytest.raises(DataError, match="it has no draw"):
        load_figure(lacking)
    broken = tmp_path / "broken.py"
    broken.write_text("def (:", encoding="utf-8")
    with pytest.raises(DataError, match=r"broken\.py cannot be imported"):
        load_figure(broken)
    with pytest.raises(DataError, match="is not a Python file"):
        load_figure(tmp_path / "missing.py")


def test_the_house_style_gives_the_users_settings_back():
    before = dict(mpl.rcParams)
    with house_style():
        assert mpl.rcParams["svg.hashsalt"] == "collabtheory"
    assert dict(mpl.rcParams) == before


def test_figures_never_touch_pyplot(make_run):
    import subprocess
    import sys

    run = make_run(seeds=(0,), stages=("initial",), n_pairs=60)
    code = (
        f"import sys; from collabtheory.report import write_figures; write_figures({str(run.path)!r}); "
        "print('matplotlib.pyplot' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_a_figure_needs_a_panel():
    with pytest.raises(ValueError, match="n_panels and most_per_row must be at least 1; they are 0 and 2"):
        new_figure(0)
