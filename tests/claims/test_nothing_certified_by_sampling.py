"""No statement is certified through sampling: not by its type, not by its source, not when its checks are run."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch

import collabtheory
from collabtheory.claims import Coverage, Part, Rigor, Verdict, at_most, equal, step_part
from collabtheory.claims.discovery import load_statement
from collabtheory.claims.subject import Subject
from collabtheory.errors import InvalidInput
from collabtheory.rigor import Decision, Finding, Means

PACKAGE = Path(collabtheory.__file__).parent
STATEMENTS = sorted((PACKAGE.parent / "proofs_checks").glob("[!_]*.py"))


class WatchedSubject(Subject):
    """A subject without a model that remembers whether anything was drawn from it."""

    drawn = False

    def rng(self, *words):
        object.__setattr__(self, "drawn", True)
        return super().rng(*words)


@pytest.fixture
def draws(monkeypatch):
    """Record generators that are made anywhere, and the use of global ones."""
    made = []

    def recorded(original):
        def make(*arguments, **options):
            made.append(original)
            return original(*arguments, **options)

        return make

    monkeypatch.setattr(np.random, "default_rng", recorded(np.random.default_rng))
    monkeypatch.setattr(torch, "manual_seed", recorded(torch.manual_seed))
    for name in ("random", "standard_normal", "uniform", "randint", "choice", "seed"):
        monkeypatch.setattr(np.random, name, recorded(getattr(np.random, name)))
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


def _written(path):
    return [
        one for one in load_statement(path).checks if one.stages == "none" and one.label is None and not one.control
    ]


@pytest.mark.parametrize("path", STATEMENTS, ids=lambda path: path.stem)
def test_checks_that_draw_certify_nothing(path, draws):
    for check in _written(path):
        draws.clear()
        subject = WatchedSubject(seed=0)
        evidence = check(subject)
        certified = [part.name for part in evidence.parts if part.verdict is Verdict.CERTIFIED]
        assert not (certified and (subject.drawn or draws)), f"{certified} are certified by a check that draws"


@pytest.mark.slow
@pytest.mark.parametrize("path", STATEMENTS, ids=lambda path: path.stem)
def test_proof_steps_that_certify_draw_nothing(path, draws):
    statement = load_statement(path).statement
    assert statement.steps or statement.kind == "empirical", "a theorem without a step that is checked by machine"
    for step in statement.steps:
        draws.clear()
        finding = step.discharge()
        assert finding.decision is Decision.TRUE, step.name
        assert not (finding.means.certifies and draws), f"step {step.name} draws and certifies"
