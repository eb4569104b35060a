import time
from pathlib import Path

import pytest

from collabtheory.claims import Statement, Step
from collabtheory.claims.discovery import StatementFile, discover
from collabtheory.report.explanation import WIDTH, explain_statement
from collabtheory.rigor import Decision, Finding
from collabtheory.rigor.finding import Means


def file_with(*steps):
    statement = Statement(
        "toy", "A toy", "nowhere", r"$a \le b$ always", assumptions=("none",), proof=steps, limits=("much",)
    )
    return StatementFile(Path("toy.py"), statement, checks=())


def found(decision=Decision.TRUE, detail="it simplifies", **more):
    return lambda: Finding(Means.SYMBOLIC, decision, 1, detail, **more)


def explained(*steps, **options):
    return "\n".join(explain_statement(file_with(*steps), **options))


def test_each_step_is_shown_with_the_means_that_discharged_it():
    text = explained(Step("first", r"Trivially $x^2 \ge 0$.", found()), "By inspection.")
    assert "1. Trivially x² ≥ 0.\n       ✓ symbolic identity: it simplifies" in text
    assert "2. By inspection. [not machine-checked]" in text
    assert "1 of 2 steps discharged by machine." in text


def test_refuted_step_shows_its_counterexample():
    text = explained(Step("first", "Wrong.", found(Decision.FALSE, worst={"x": 3})))
    assert "✗ symbolic identity" in text
    assert "counterexample: x = 3" in text
    assert "0 of 1 step discharged" in text


def test_endless_details_are_cut_in_the_middle():
    text = explained(Step("first", "Long.", found(detail=" + ".join(["term"] * 400) + " = 0")))
    assert "…" in text
    assert text.count("term") < 60
    assert "= 0" in text


def test_slow_step_is_named_while_it_runs_and_a_quick_one_is_not():
    def slowly():
        time.sleep(0.3)
        return found()()

    messages = []
    explained(Step("quick", "Quick.", found()), Step("slow", "Slow.", slowly), on_slow=messages.append, patience=0.1)
    assert messages == ["step 2 of 2 (slow) is still running ..."]


def test_slow_step_is_named_on_standard_error(capsys):
    def slowly():
        time.sleep(0.2)
        return found()()

    explained(Step("slow", "Slow.", slowly), patience=0.02)
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err == "step 1 of 1 (slow) is still running ...\n"


@pytest.mark.parametrize("identifier", ["proposition_3_1", "theorem_2_5"])
def test_built_in_statements_fit_the_width(identifier):
    file = next(file for file in discover() if file.identifier == identifier)
    lines = [line for text in explain_statement(file) for line in text.splitlines()]
    assert all(len(line) <= WIDTH for line in lines)
    assert any("does not say" in line for line in lines)
