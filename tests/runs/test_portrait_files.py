import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from collabtheory.errors import DataError
from collabtheory.runs import portrait_files

_specification = importlib.util.spec_from_file_location(
    "synthetic_portraits", Path(__file__).parents[1] / "synthetic_portraits.py"
)
synthetic = importlib.util.module_from_spec(_specification)
_specification.loader.exec_module(synthetic)


@pytest.fixture
def bare_run(make_run):
    return make_run(seeds=(), stages=())


@pytest.fixture
def portrayed(bare_run):
    synthetic.write_portraits(bare_run.path, n_users=12)
    return bare_run


def test_settings_come_in_the_papers_order_and_only_those_that_are_there(bare_run):
    synthetic.write_portraits(bare_run.path, n_users=6, settings=("pia", "clean"))
    assert portrait_files.settings(bare_run) == ("clean", "pia")


def test_tables_come_back_as_they_were_written(portrayed):
    folder = portrayed.path / "portraits" / "pia"
    pd.testing.assert_frame_equal(portrait_files.users(portrayed, "pia"), pd.read_parquet(folder / "users.parquet"))
    pairs = portrait_files.setting_pairs(portrayed, "pia", ("v", "cosine"))
    pd.testing.assert_frame_equal(pairs, pd.read_parquet(folder / "pairs" / "pairs.parquet")[["v", "cosine"]])
    held = portrait_files.posteriors(portrayed, "pia")
    with np.load(folder / "posteriors.npz") as written:
        np.testing.assert_array_equal(held.mu, written["mu"])
        np.testing.assert_array_equal(held.sigma, written["sigma"])
        np.testing.assert_array_equal(held.explained, written["explained"])
    assert portrait_files.contents(portrayed, "pia").n_users == 12


@pytest.mark.parametrize(
    ("read", "where"),
    [
        (lambda run: portrait_files.ladder(run, "beta"), "ladders/beta/ladder.parquet"),
        (portrait_files.masking_grid, "laws/masking/masking_grid.parquet"),
        (lambda run: portrait_files.compromise(run, "trained"), "laws/compromise/trained/compromise.parquet"),
        (portrait_files.bounds, "bounds.parquet"),
    ],
)
def test_laws_ladders_and_bounds_are_read_from_their_places_and_missed_in_one_line(bare_run, read, where):
    with pytest.raises(DataError, match=where) as caught:
        read(bare_run)
    assert "\n" not in str(caught.value)
    frame = pd.DataFrame({"value": [0.5, 1.0]})
    (bare_run.path / where).parent.mkdir(parents=True, exist_ok=True)
    frame.to_parquet(bare_run.path / where, index=False)
    pd.testing.assert_frame_equal(read(bare_run), frame)


def test_weights_of_ease_are_read(bare_run):
    with pytest.raises(DataError, match="no weights of EASE"):
        portrait_files.item_weights(bare_run)
    synthetic.write_weights(bare_run.path, l2=7.0)
    assert portrait_files.item_weights(bare_run)["l2"] == 7.0


@pytest.mark.parametrize("text", ["{", json.dumps([1])])
def test_damaged_weights_are_refused(bare_run, text):
    synthetic.write_weights(bare_run.path)
    (bare_run.path / "laws" / "item_weights" / "item_weights.json").write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=r"item_weights\.json: "):
        portrait_files.item_weights(bare_run)


def test_what_a_run_lacks_is_told_with_the_setting(bare_run, portrayed):
    with pytest.raises(DataError, match="no portrait of the model given"):
        portrait_files.users(portrayed, "given")


def test_a_run_without_portraits_is_refused_with_the_command_that_makes_them(make_run):
    with pytest.raises(DataError, match="run `collabtheory verify`"):
        portrait_files.settings(make_run(seeds=(), stages=()))


def test_a_missing_column_and_damaged_files_are_named(portrayed):
    with pytest.raises(DataError, match="no column 'weather'"):
        portrait_files.setting_pairs(portrayed, "clean", ("u", "weather"))
    folder = portrayed.path / "portraits" / "clean"
    (folder / "users.parquet").write_bytes(b"not parquet")
    (folder / "posteriors.npz").write_bytes((folder / "posteriors.npz").read_bytes()[:200])
    with pytest.raises(DataError, match=r"users\.parquet: not a readable Parquet file"):
        portrait_files.users(portrayed, "clean")
    with pytest.raises(DataError, match=r"posteriors\.npz: not readable"):
        portrait_files.posteriors(portrayed, "clean")


def test_reading_portraits_and_loading_figures_needs_no_torch(portrayed):
    code = f"""
import sys
from pathlib import Path
from collabtheory.report.figure_files import load_figures
from collabtheory.runs import portrait_files
from collabtheory.runs.folder import open_run
run = open_run({str(portrayed.path)!r})
portrait_files.users(run, "clean"), portrait_files.posteriors(run, "pia"), portrait_files.contents(run, "masked")
for figure in load_figures():
    try:
        figure.module.data(run)
    except portrait_files.DataError:
        pass
assert "torch" not in sys.modules, "torch was imported"
"""
    subprocess.run([sys.executable, "-c", code], check=True)
