"""No statement is certified through sampling: not by its type, source or records, not when its checks are run."""

import json
import random
import re
from pathlib import Path

import numpy as np
import pytest
import torch

import collabtheory
from collabtheory.claims import Coverage, Part, Rigor, Verdict, at_most, equal, step_part
from collabtheory.claims.discovery import load_statement
from collabtheory.claims.record import run_checks, to_line
from collabtheory.claims.subject import Subject
from collabtheory.errors import InvalidInput
from collabtheory.rigor import Decision, Finding, Means

PACKAGE = Path(collabtheory.__file__).parent
STATEMENTS = sorted((PACKAGE.parent / "proofs_checks").glob("[!_]*.py"))
SOURCES = [path for path in sorted(PACKAGE.rglob("*.py")) if "_bundled" not in path.parts] + STATEMENTS
RIGOROUS = {Rigor.PROVED.value, Rigor.CERTIFIED.value}
CERTIFYING = {means.value for means in Means if means.certifies}
# Functions only: others ask whether an object is of the classes beside them.
SOURCES_OF_CHANCE = {
    random: ("random", "randint", "choice", "shuffle", "sample", "uniform", "gauss"),
    np.random: (
        "default_rng", "random", "rand", "randn", "standard_normal", "uniform", "randint", "choice", "permutation",
        "shuffle", "seed",
    ),
    torch: ("manual_seed", "rand", "randn", "randint", "randperm", "normal", "bernoulli", "multinomial"),
}  # fmt: skip


class WatchedSubject(Subject):
    """A subject without a model that remembers whether anything was drawn from it."""

    drawn = False

    def rng(self, *words):
        object.__setattr__(self, "drawn", True)
        return super().rng(*words)


@pytest.fixture
def draws(monkeypatch):
    """Record generators that are made anywhere, and draws from global ones."""
    made = []

    def recorded(original):
        def make(*arguments, **options):
            made.append(original)
            return original(*arguments, **options)

        return make

    for module, names in SOURCES_OF_CHANCE.items():
        for name in names:
            monkeypatch.setattr(module, name, recorded(getattr(module, name)))
    return made


@pytest.mark.parametrize("rigor", [Rigor.CHECKED, Rigor.STATISTICAL])
def test_a_part_that_was_checked_or_sampled_refuses_to_be_certified(rigor):
    with pytest.raises(InvalidInput, match="cannot be certified"):
        Part("p", "", Verdict.CERTIFIED, rigor, Coverage(1, 1))


@pytest.mark.parametrize("means", Means)
def test_a_step_is_certified_by_every_means_but_a_property_test(means):
    part = step_part("s", "", Finding(means, Decision.TRUE, 10, "found"))
    assert (part.verdict is Verdict.CERTIFIED) == (means is not Means.PROPERTY)
    assert part.verdict in (Verdict.CERTIFIED, Verdict.HOLDS)
    assert step_part("s", "", Finding(means, Decision.UNDECIDED, 0, "")).verdict is Verdict.INCONCLUSIVE
    assert step_part("s", "", Finding(means, Decision.FALSE, 1, "")).verdict is Verdict.VIOLATED


def test_comparisons_of_floats_never_certify_however_many_cases_they_have():
    left = np.zeros(10_000)
    for part in (
        at_most("p", "", left, left + 1, cases={"case": np.arange(10_000)}),
        equal("p", "", left, left, cases={"case": np.arange(10_000)}),
    ):
        assert part.verdict is Verdict.HOLDS
        assert part.rigor is Rigor.CHECKED


def test_one_place_in_the_source_hands_out_the_verdict():
    # These rank verdicts or turn them into words; claims/proof.py alone gives one.
    readers = {"claims/verdict.py", "claims/evidence.py", "claims/proof.py"}
    found = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        if "_bundled" not in path.parts
        and re.search(r"Verdict\.CERTIFIED|Verdict\(\s*['\"]certified", path.read_text())
    }
    assert {path for path in found if not path.startswith("report/")} <= readers
    assert "claims/proof.py" in found
    for path in STATEMENTS:
        assert not re.search(r"Verdict\.CERTIFIED|['\"]certified['\"]\)", path.read_text()), path.name


def test_chance_is_drawn_from_modules_that_can_be_watched():
    unwatched = re.compile(
        r"^\s*from (numpy\.random|random|torch) import .*\b(rand|default_rng|Random|Generator)", re.M
    )
    assert unwatched.search("    from numpy.random import default_rng")
    assert [path.name for path in SOURCES if unwatched.search(path.read_text())] == []


def unfounded(record):
    """Return why a record must not be certified: the rule that all records of a run have to pass."""
    found = []
    if record["verdict"] == "certified":
        if record["rigor"] not in RIGOROUS:
            found.append(f"certified by what was {record['rigor']}")
        if record["model"] is not None:
            found.append("certified on a model, whose codes are sampled")
        found += [f"{part['name']} is {part['verdict']}" for part in record["parts"] if part["verdict"] != "certified"]
        if not record["parts"]:
            found.append("certified without a part")
    for part in record["parts"]:
        if part["verdict"] == "certified":
            if part["rigor"] not in RIGOROUS or part["means"] not in CERTIFYING or not part["detail"]:
                found.append(f"{part['name']} is certified by {part['means']} ({part['rigor']}): {part['detail']}")
            if not 0 < part["coverage"]["met"] == part["coverage"]["tried"]:
                found.append(f"{part['name']} is certified on {part['coverage']}")
    return found


PART = {
    "name": "p", "verdict": "certified", "rigor": "proved", "means": "symbolic identity", "detail": "x = x",
    "coverage": {"met": 1, "tried": 1},
}  # fmt: skip
RECORD = {"verdict": "certified", "rigor": "proved", "model": None, "parts": [PART]}


@pytest.mark.parametrize(
    "forged",
    [
        {"rigor": "checked"},
        {"rigor": "statistical"},
        {"model": "0123"},
        {"parts": []},
        {"parts": [PART, {**PART, "verdict": "holds"}]},
        {"parts": [{**PART, "rigor": "checked"}]},
        {"parts": [{**PART, "means": "property test"}]},
        {"parts": [{**PART, "means": None}]},
        {"parts": [{**PART, "detail": None}]},
        {"parts": [{**PART, "coverage": {"met": 0, "tried": 0}}]},
        {"parts": [{**PART, "coverage": {"met": 9, "tried": 10}}]},
        {"verdict": "holds", "parts": [{**PART, "means": "property test"}]},
    ],
)
def test_a_forged_record_does_not_pass_the_walk(forged):
    assert unfounded(RECORD) == []
    assert unfounded({**RECORD, **forged})


def _without_a_model(path, *, written):
    """Return the checks of a file that need no model, its controls aside: those written out, or all of them."""
    checks = [one for one in load_statement(path).checks if one.stages == "none" and not one.control]
    return [one for one in checks if one.label is None] if written else checks


def _record(check, seed):
    """Run one check as a run does, and return its record with whether it drew anything from its subject."""
    subject = WatchedSubject(seed=seed)
    (record,) = run_checks([check], subject, data=None, model=None)
    return json.loads(to_line(record)), subject.drawn


def _walk(checks, draws):
    """Walk the records of checks and the code that made them; return how many of them are certified."""
    certified = 0
    for check in checks:
        draws.clear()
        record, drawn = _record(check, seed=0)
        assert record["verdict"] in ("certified", "holds"), record
        assert unfounded(record) == [], record["id"]
        names = [part["name"] for part in record["parts"] if part["verdict"] == "certified"]
        assert not (names and (drawn or draws)), f"{record['id']}: {names} are certified by a check that draws"
        certified += record["verdict"] == "certified"
    return certified


@pytest.mark.parametrize("path", STATEMENTS, ids=lambda path: path.stem)
def test_checks_that_draw_certify_nothing(path, draws):
    _walk(_without_a_model(path, written=True), draws)


@pytest.mark.slow
@pytest.mark.parametrize("path", STATEMENTS, ids=lambda path: path.stem)
def test_records_that_certify_come_from_code_that_draws_nothing(path, draws):
    statement = load_statement(path).statement
    certified = _walk(_without_a_model(path, written=False), draws)
    assert certified or statement.kind == "empirical", "a theorem of which nothing is certified"
    assert statement.steps or statement.kind == "empirical", "a theorem without a step that is checked by machine"


@pytest.mark.slow
@pytest.mark.parametrize("path", STATEMENTS, ids=lambda path: path.stem)
def test_what_is_certified_does_not_depend_on_the_seed(path):
    for check in _without_a_model(path, written=False):
        record, _ = _record(check, seed=0)
        if record["verdict"] == "certified":
            assert {**record, "seed": 1} == _record(check, seed=1)[0]
