"""Run folders of random numbers, and one to read that all tests share."""

import importlib.util
from pathlib import Path
from types import SimpleNamespace

import pytest

from collabtheory.runs.folder import RunFolder

_specification = importlib.util.spec_from_file_location("synthetic_run", Path(__file__).parent / "synthetic_run.py")
synthetic = importlib.util.module_from_spec(_specification)
_specification.loader.exec_module(synthetic)


@pytest.fixture(scope="session")
def make_run(tmp_path_factory):
    """Return a function that writes a run folder and opens it."""

    def make(**options):
        return RunFolder(synthetic.build_run(tmp_path_factory.mktemp("run"), **options))

    return make


@pytest.fixture(scope="session")
def run(make_run):
    """A run of two seeds and four stages; read it, do not change it."""
    return make_run()


@pytest.fixture(scope="session")
def parts():
    """The builders of single records, numbers and pair tables."""
    return SimpleNamespace(
        record=synthetic.record,
        control=synthetic.control,
        number=synthetic.number,
        make_pairs=synthetic.make_pairs,
        write_lines=synthetic.write_lines,
    )


@pytest.fixture
def run_of(tmp_path, parts):
    """Return a function that opens a run with exactly these records."""

    def make(records, meta="{}"):
        parts.write_lines(tmp_path / "claims.jsonl", records)
        (tmp_path / "run.json").write_text(meta, encoding="utf-8")
        return RunFolder(tmp_path)

    return make
