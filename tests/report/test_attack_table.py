import io
import json

import pytest
from rich.console import Console

from collabtheory.claims import Inequality, Statement, Variable
from collabtheory.claims.attack import Attack
from collabtheory.report.attack_table import print_attacks, summary


def claim(*, x):
    return x, "<=", x


def inequality(statement, name, control=None):
    one = Statement(statement, statement, "", "x <= x", assumptions=(), proof=())
    return Inequality(one, name, "x <= x", {"x": Variable()}, claim, control=control, change=control and "changed")


BROKEN = {"lengths": {"dimension": 2, "item": 1}}
ATTACKS = (
    Attack(inequality("lemma_2_4", "kappa"), 2000, 2000, -3.99e-16, None),
    Attack(inequality("lemma_2_4", "kappa", "kappa_of_the_much_larger_set"), 3, 3, -0.235, BROKEN),
    Attack(inequality("theorem_2_3", "radius"), 4000, 1000, 0.25, None),
    Attack(inequality("theorem_2_3", "radius", "without_mismatch"), 5, 4, -1.0, BROKEN),
)


def printed(attacks, width, **options):
    stream = io.StringIO()
    print_attacks(Console(file=stream, width=width), attacks, **options)
    return stream.getvalue()


@pytest.mark.parametrize("width", [80, 100, 120])
def test_names_are_whole_and_lines_fit(width):
    text = printed(ATTACKS, width)
    assert "…" not in text
    for name in ("kappa_of_the_much_larger_set", "without_mismatch", "Lemma 2.4", "Theorem 2.3"):
        assert name in text
    assert all(len(line) <= width for line in text.splitlines())


def test_deficit_at_rounding_level_is_a_tie_and_a_real_margin_is_not():
    lines = printed(ATTACKS, 120).splitlines()
    kappa = next(line for line in lines if line.startswith("  kappa"))
    radius = next(line for line in lines if line.startswith("  radius"))
    assert "0 (tie)" in kappa
    assert "+0.250" in radius
    assert "1,000 of 4,000" in radius


def test_twins_stand_below_their_inequality():
    names = [line.strip().split()[0] for line in printed(ATTACKS, 120).splitlines() if line.startswith("  ")]
    assert names == ["kappa", "kappa_of_the_much_larger_set", "radius", "without_mismatch"]


def test_summary_counts_and_names_what_is_not_as_it_should_be():
    assert summary(ATTACKS) == "2 of 2 inequalities met and not broken; 2 of 2 false twins broken."
    survived = Attack(inequality("theorem_2_3", "radius", "harmless"), 9, 9, 0.1, None)
    never_met = Attack(inequality("theorem_2_3", "empty"), 9, 0, None, None)
    text = summary((*ATTACKS, survived, never_met))
    assert "2 of 3 inequalities" in text
    assert "2 of 3 false twins" in text
    assert "theorem_2_3 harmless (not broken) and theorem_2_3 empty (premise never met)" in text


def test_json_has_one_line_an_inequality_with_its_statement():
    lines = [json.loads(line) for line in printed(ATTACKS, 80, as_json=True).splitlines()]
    assert [line["statement"] for line in lines] == ["lemma_2_4", "lemma_2_4", "theorem_2_3", "theorem_2_3"]
    assert all(line["as_expected"] for line in lines)
