"""Loading and drawing the project's figures."""

import importlib.util
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from collabtheory.report.figure_files import load_figure
from collabtheory.report.style import house_style

FIGURES = Path(__file__).parents[2] / "figures"

_specification = importlib.util.spec_from_file_location(
    "synthetic_portraits", Path(__file__).parents[1] / "synthetic_portraits.py"
)
synthetic = importlib.util.module_from_spec(_specification)
_specification.loader.exec_module(synthetic)


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


@pytest.fixture(scope="session")
def portraits():
    """The builders of portraits, users and pairs in a run folder."""
    return synthetic


@pytest.fixture
def bare_run(make_run):
    """A run that portrays nothing yet."""
    return make_run(seeds=(), stages=())
