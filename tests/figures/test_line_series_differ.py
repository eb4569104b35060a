"""Without colour, too, every series of a figure can be told from the others."""

import pytest

from collabtheory.errors import DataError
from collabtheory.report.figure_files import load_figures


def looks(ax):
    """Marker, its filling and size, line style and width of every labelled series; rules have no label."""
    return [
        (
            line.get_marker(), line.get_markerfacecolor() == "white", line.get_markersize(),
            str(line.get_linestyle()), line.get_linewidth(),
        )
        for line in ax.get_lines()
        if not line.get_label().startswith("_")
    ]  # fmt: skip


@pytest.mark.parametrize("figure", load_figures(), ids=lambda figure: figure.name)
def test_labelled_lines_differ_in_marker_or_line_style(figure, run, drawn):
    try:
        data = figure.module.data(run)
    except DataError as error:
        pytest.skip(f"this run cannot give it: {error}")
    for ax in drawn(figure.module, data):
        found = looks(ax)
        assert len(found) == len(set(found)), found


def test_lines_that_differ_in_colour_alone_are_found():
    from matplotlib.figure import Figure

    ax = Figure().add_subplot()
    ax.plot([0, 1], color="red", label="one")
    ax.plot([1, 0], color="blue", label="other")
    found = looks(ax)
    assert len(found) == 2
    assert len(set(found)) == 1
