import io

import pytest

from collabtheory.report.terminal import print_verdicts, verdict_text


@pytest.mark.parametrize("width", [80, 100])
def test_the_verdicts_fit_the_width_and_nothing_is_cut(run, width):
    text = verdict_text(run, width)
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text
    assert "No counterexample" in text
    assert "Proposition" in text
    assert text.count("1/1") == 5


def test_rigor_is_shown_where_there_is_room(run):
    assert "Rigor" in verdict_text(run, 100)
    assert "Rigor" not in verdict_text(run, 80)


def test_no_colour_goes_to_a_file(run):
    stream = io.StringIO()
    print_verdicts(run, stream)
    assert "\x1b" not in stream.getvalue()


def test_square_brackets_in_titles_are_text_not_markup(run_of, parts):
    text = verdict_text(run_of([parts.record("a[red]b", "t", "holds", 1, 1, 0.0)]), 100)
    assert "A[red]b" in text
