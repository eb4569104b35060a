import importlib.util
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

pytest.importorskip("latex2mathml")
pytest.importorskip("sphinx")

from collabtheory.claims.discovery import discover

_path = Path(__file__).parents[2] / "docs" / "_extensions" / "mathml.py"
_specification = importlib.util.spec_from_file_location("docs_mathml", _path)
mathml = importlib.util.module_from_spec(_specification)
_specification.loader.exec_module(mathml)


def formulas():
    for file in discover():
        one = file.statement
        steps = [step if isinstance(step, str) else step.text for step in one.proof]
        inequalities = [inequality.text for inequality in file.inequalities]
        for text in [one.title, one.text, *one.assumptions, *one.limits, *steps, *inequalities]:
            yield from re.findall(r"\$([^$]+)\$", text)


def test_every_formula_of_the_statements_becomes_mathml_without_a_macro_left():
    found = sorted(set(formulas()))
    assert len(found) > 100
    for tex in found:
        for piece in mathml.pieces(tex):
            text = "".join(ElementTree.fromstring(mathml.mathml(piece)).itertext())
            assert "\\" not in text, f"{piece} became {text}"


def test_pieces_together_are_the_formula():
    for tex in set(formulas()):
        assert re.sub(r"\s", "", "".join(mathml.pieces(tex))) == re.sub(r"\s", "", tex)


def test_formula_is_broken_only_outside_brackets_and_never_after_a_sign():
    assert mathml.pieces(r"-(a + b) A^*(m) = -a A^*(x) - b A^*(y)") == ["-(a + b) A^*(m) =", "-a A^*(x) -", "b A^*(y)"]
    assert mathml.pieces("a + b = c") == ["a + b = c"]
