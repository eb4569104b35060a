"""Run folders of random numbers, and one to read that all tests share."""

import importlib.util
from pathlib import Path
from types import SimpleNamespace

import pytest
from matplotlib.figure import Figure

from collabtheory.report.figure_files import load_figure
from collabtheory.report.style import house_style
from collabtheory.runs.folder import RunFolder

_path = Path(__file__).parents[1] / "report" / "synthetic_run.py"
_specification = importlib.util.spec_from_file_location("synthetic_run", _path)
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
        number=synthetic.number,
        make_pairs=synthetic.make_pairs,
        write_lines=synthetic.write_lines,
    )


FIGURES = Path(__file__).parents[2] / "figures"


@pytest.fixture(scope="session")
def figure():
    """Return a function that loads one of the project's figure files by name."""
    return lambda name: load_figure(FIGURES / f"{name}.py")


@pytest.fixture(scope="session")
def drawn():
    """Return a function that draws each panel of a figure's data and renders it; it returns the axes."""

    def draw(module, data):
        axes = []
        for part in module.panels(data) if hasattr(module, "panels") else (data,):
            with house_style():
                canvas = Figure()
                ax = canvas.add_subplot()
                module.draw(part, ax)
                canvas.draw_without_rendering()
            axes.append(ax)
        return axes

    return draw
