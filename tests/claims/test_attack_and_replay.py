"""Attacks break what is false, spare what is true, and leave a small case in a file that replays or is refused."""

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

import collabtheory
from collabtheory.claims import Inequality, Statement, Variable
from collabtheory.claims.attack import attack, attack_file
from collabtheory.claims.counterexample import describe, replay
from collabtheory.claims.discovery import StatementFile, load_statement
from collabtheory.claims.property_search import search_by_properties
from collabtheory.claims.search import draw_cases, search, search_for
from collabtheory.claims.searches import search_part
from collabtheory.claims.shrink import shrink
from collabtheory.claims.verdict import Verdict
from collabtheory.errors import DataError, InvalidInput
from collabtheory.rigor import Decision
from collabtheory.runs.seeds import derive

TOY = Statement("toy", "t", "s", "x", (), ())
BUILT_IN = sorted((Path(collabtheory.__file__).parents[1] / "proofs_checks").glob("[!_]*.py"))


def cauchy_schwarz(*, a, b):
    return (a * b).sum() ** 2, "<=", (a * a).sum() * (b * b).sum()


CAUCHY = Inequality(
    TOY,
    "cauchy_schwarz",
    "<a,b>^2 <= ||a||^2 ||b||^2",
    variables={"a": Variable(("item",)), "b": Variable(("item",))},
    axes={"item": (1, 5)},
    claim=cauchy_schwarz,
    exact=True,
)
HALVED = CAUCHY.false_twin(
    "halved", "half the right-hand side", lambda *, a, b: ((a * b).sum() ** 2, "<=", (a * a).sum() * (b * b).sum() / 2)
)
TOTAL = Inequality(
    TOY,
    "total",
    "counts of at least one user add up to at most 6",
    variables={"counts": Variable(("user", "item"), low=0, high=9, kind="integer")},
    axes={"user": (1, 4), "item": (1, 5)},
    claim=lambda *, counts: (counts.sum(), "<=", 6),
)
STRICT = Inequality(
    TOY,
    "strict",
    "overlap is less than both sizes",
    variables={"x": Variable(("item",), kind="binary"), "y": Variable(("item",), kind="binary")},
    axes={"item": (1, 4)},
    claim=lambda *, x, y: ((x * y).sum(), "<", x.sum() + y.sum()),
)
IRRATIONAL = Inequality(
    TOY,
    "irrational",
    "exp(x) <= 1 + x + x^2 / 2 while x <= limit (true up to 0)",
    variables={"x": Variable(low=-3.0, high=3.0), "limit": Variable(low=1.0, high=1.7, kind="positive")},
    claim=lambda *, x, limit: (np.exp(x), "<=", 1 + x + x * x / 2),
    premise=lambda *, x, limit: ((x, "<=", limit),),
)
INEQUALITIES = (CAUCHY, HALVED, TOTAL, STRICT, IRRATIONAL)
FILE = StatementFile(Path("toy.py"), TOY, (), INEQUALITIES)


def rng(*words):
    return derive(0, "test", *words)


def broken(inequality):
    result = search(inequality, rng(inequality.name), rounds=20)
    assert result.violation is not None
    return result.violation


@pytest.mark.parametrize("look", [search_for, search_by_properties])
def test_a_true_inequality_is_met_and_not_broken(look):
    look(CAUCHY, rng("warm"), 0.1)  # what is imported on first use takes no time from the search
    result = look(CAUCHY, rng("true"), 3.0)
    assert result.violation is None
    assert result.met > 10
    assert abs(result.slack) < 1e-6  # The search comes close to where it is attained.


@pytest.mark.parametrize("look", [search_for, search_by_properties])
@pytest.mark.parametrize("inequality", [HALVED, TOTAL, STRICT, IRRATIONAL], ids=lambda one: one.name)
def test_every_way_of_searching_breaks_what_is_false(look, inequality):
    result = look(inequality, rng("false"), 5.0)
    assert inequality.decide(result.violation).decision is Decision.FALSE


def test_the_same_generator_gives_the_same_search():
    first, second = (search(HALVED, rng("same"), rounds=2) for _ in range(2))
    assert first.tried == second.tried
    assert all(np.array_equal(first.violation[name], second.violation[name]) for name in first.violation)


def test_ranges_without_a_short_decimal_are_searched_too():
    narrow = Inequality(TOY, "narrow", "", {"x": Variable(low=0.01, high=0.05)}, lambda *, x: (0, "<", x))
    result = search_by_properties(narrow, rng("narrow"), 1.0)
    assert result.met > 0
    assert result.violation is None


def test_drawn_cases_keep_to_their_kinds_ranges_and_axes():
    for case in draw_cases(TOTAL, rng("draw"), 200):
        n_users, n_items = case["counts"].shape
        assert 1 <= n_users <= 4
        assert 1 <= n_items <= 5
        assert set(np.unique(case["counts"])) <= set(range(10))
    for case in draw_cases(STRICT, rng("draw"), 50):
        assert set(np.unique(case["x"])) <= {0.0, 1.0}
        assert case["x"].shape == case["y"].shape


def test_whole_numbers_shrink_to_one_user_one_item_and_the_least_count():
    assert shrink(TOTAL, broken(TOTAL))["counts"].tolist() == [[7.0]]


def test_strict_inequalities_are_broken_by_equality_and_shrink_to_nothing():
    assert {name: value.tolist() for name, value in shrink(STRICT, broken(STRICT)).items()} == {"x": [0.0], "y": [0.0]}


def test_real_numbers_shrink_to_short_decimals_that_still_break_it():
    case = shrink(HALVED, broken(HALVED))
    assert {name: value.size for name, value in case.items()} == {"a": 1, "b": 1}
    assert all(float(value[0]).is_integer() for value in case.values())
    found = shrink(IRRATIONAL, broken(IRRATIONAL))
    assert IRRATIONAL.decide(found).decision is Decision.FALSE
    assert len(repr(float(found["x"]))) <= 5


@pytest.mark.parametrize("inequality", [HALVED, TOTAL, STRICT], ids=lambda one: one.name)
def test_nothing_can_be_left_out_of_a_shrunken_case(inequality):
    case = shrink(inequality, broken(inequality))
    lengths = inequality.lengths(case)
    assert all(lengths[axis] == low for axis, (low, _) in inequality.axes.items())
    assert all(np.array_equal(case[name], value) for name, value in shrink(inequality, case).items())


def test_a_premise_is_decided_before_the_claim():
    outside = {"x": np.array(2.5), "limit": np.array(1.5)}
    assert np.isnan(IRRATIONAL.slack(outside))
    assert IRRATIONAL.decide(outside).decision is Decision.UNDECIDED
    on_the_border = {"x": np.array(1.5), "limit": np.array(1.5)}
    assert not np.isnan(IRRATIONAL.slack(on_the_border))
    inside = {"x": np.array(-1.0), "limit": np.array(1.7)}
    assert IRRATIONAL.decide(inside).decision is Decision.TRUE


def test_a_float_stands_for_its_decimal_when_a_case_is_decided():
    decimal = Inequality(
        TOY, "decimal", "3 x = 0.3", {"x": Variable()}, lambda *, x: (3 * x, "==", Fraction(3, 10)), exact=True
    )
    assert decimal.decide({"x": np.array(0.1)}).decision is Decision.TRUE


def test_axes_that_do_not_exist_are_refused():
    with pytest.raises(InvalidInput, match="unknown axis 'item'"):
        Inequality(TOY, "bad", "", {"x": Variable(("item",))}, cauchy_schwarz)


def test_a_search_never_certifies_what_it_does_not_break():
    held = search_part(CAUCHY, search(CAUCHY, rng("part")))
    assert held.verdict is Verdict.HOLDS
    refuted = search_part(HALVED, search(HALVED, rng("part"), rounds=20))
    assert refuted.verdict is Verdict.VIOLATED
    assert refuted.counterexample["case"].keys() == {"a", "b"}
    never = Inequality(
        TOY, "never", "", {"x": Variable()}, lambda *, x: (x, "<", 0), premise=lambda *, x: ((9, "<", x),)
    )
    assert search_part(never, search(never, rng("part"))).verdict is Verdict.VACUOUS
    assert attack(never, seconds=0.2).outcome == "premise never met"


def test_an_attack_says_what_was_expected():
    outcomes = {one.inequality.name + (one.inequality.control or ""): one for one in attack_file(FILE, seconds=1.0)}
    assert outcomes["cauchy_schwarz"].as_expected
    assert outcomes["cauchy_schwarzhalved"].as_expected
    assert outcomes["cauchy_schwarzhalved"].size == "1 item"
    assert not outcomes["total"].as_expected
    assert outcomes["total"].outcome == "broken"


@pytest.fixture(scope="module")
def attacked(tmp_path_factory):
    out = tmp_path_factory.mktemp("attacked")
    attack_file(StatementFile(Path("toy.py"), TOY, (), (HALVED, TOTAL)), seconds=5.0, out=out)
    return {path.name: path.read_text() for path in out.iterdir()}


@pytest.fixture
def saved(attacked, tmp_path):
    for name, text in attacked.items():
        (tmp_path / name).write_text(text)
    return {name: tmp_path / name for name in attacked}


def test_a_counterexample_file_round_trips_and_replays(saved):
    twin, statement = saved["toy-halved-cauchy_schwarz.json"], saved["toy-total.json"]
    found = replay(twin, (FILE,))
    assert found.confirmed
    assert found.inequality is HALVED
    assert found.exit_code == 0
    again = describe(found.inequality, found.case, found.decided)
    assert again == json.loads(twin.read_text())
    assert replay(statement, (FILE,)).confirmed
    assert replay(statement, (FILE,)).exit_code == 1


def test_a_case_that_breaks_nothing_is_not_confirmed(saved):
    path = saved["toy-total.json"]
    path.write_text(json.dumps(json.loads(path.read_text()) | {"case": {"counts": [[6]]}}))
    assert not replay(path, (FILE,)).confirmed
    assert replay(path, (FILE,)).exit_code == 0


MALFORMED = {
    "no JSON": ("{", "not a counterexample"),
    "a list": ("[1]", "must have"),
    "binary": (b"\xff\xfe\x00", "not a counterexample"),
    "no case": ({"case": ...}, "must have"),
    "another format": ({"format": 99}, "format 99 is not known"),
    "an unknown statement": ({"statement": "theorem_9"}, "unknown statement 'theorem_9'; choose from toy"),
    "a statement that is no name": ({"statement": ["toy"]}, "unknown statement"),
    "an unknown inequality": ({"inequality": "x"}, "has no inequality 'x'"),
    "the control of another": ({"control": "x"}, "has no inequality 'total'"),
    "a case that is a list": ({"case": [1]}, "must name its variables"),
    "a case that is a number": ({"case": 7}, "must name its variables"),
    "a missing variable": ({"case": {}}, "lacks 'counts'"),
    "words": ({"case": {"counts": [["many"]]}}, "not an array of decimals"),
    "a mapping": ({"case": {"counts": {"a": 1}}}, "not an array of decimals"),
    "ragged rows": ({"case": {"counts": [[1, 2], [3]]}}, "not an array of decimals"),
    "too few axes": ({"case": {"counts": [7]}}, "with the axes (user, item)"),
    "no number": ({"case": {"counts": [["nan"]]}}, "must be finite"),
    "infinity": ({"case": {"counts": [["1e999"]]}}, "must be finite"),
    "out of range": ({"case": {"counts": [[700]]}}, "between 0 and 9"),
    "half a count": ({"case": {"counts": [["7.5"]]}}, "whole numbers"),
    "nobody": ({"case": {"counts": [[]]}}, "has 0 item"),
    "too many users": ({"case": {"counts": [[7]] * 5}}, "has 5 user"),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_file_gives_one_clear_line(name, saved):
    change, message = MALFORMED[name]
    path = saved["toy-total.json"]
    if isinstance(change, bytes):
        path.write_bytes(change)
    elif isinstance(change, str):
        path.write_text(change)
    else:
        content = json.loads(path.read_text()) | change
        path.write_text(json.dumps({key: value for key, value in content.items() if value is not ...}))
    with pytest.raises(DataError) as caught:
        replay(path, (FILE,))
    text = str(caught.value)
    assert text.startswith(str(path))
    assert message in text
    assert "\n" not in text


def test_lengths_that_differ_between_variables_are_refused(saved):
    path = saved["toy-halved-cauchy_schwarz.json"]
    path.write_text(json.dumps(json.loads(path.read_text()) | {"case": {"a": [1, 1], "b": [1]}}))
    with pytest.raises(DataError, match="'b' has 1 item; all must have the same"):
        replay(path, (FILE,))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match=r"nowhere\.json: no such file"):
        replay(tmp_path / "nowhere.json", (FILE,))


@pytest.mark.slow
@pytest.mark.parametrize("path", BUILT_IN, ids=lambda path: path.stem)
def test_a_short_search_breaks_every_false_twin_of_every_statement(path):
    file = load_statement(path)
    for twin in (one for one in file.inequalities if one.control):
        violation = search(twin, rng(twin.name, twin.control), rounds=20).violation
        assert violation is not None, f"{twin.control} survives"
        assert twin.decide(violation).decision is Decision.FALSE
