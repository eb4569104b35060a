"""The command: exit code 1 for a broken model, JSON for machines, one line for misuse."""

import json
import sys

import numpy as np
import pytest

from collabtheory import cli
from collabtheory.conformance import CHECKS
from collabtheory.models.architectures import build
from collabtheory.models.checkpoints import save_model
from collabtheory.models.specification import ModelSpec

BROKEN = """
import numpy as np, torch
from collabtheory.conformance import VaeUnderTest

print("noise on standard output")
into = np.random.default_rng(0).standard_normal((30, 2))
mine = VaeUnderTest(lambda x: (x @ into, np.full((x.shape[0], 2), 0.5)), torch.nn.Linear(2, 30), latent=4)
"""


@pytest.fixture
def run(monkeypatch, capsys, tmp_path):
    def call(*arguments):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("COLUMNS", "120")
        monkeypatch.setattr(sys, "argv", ["collabtheory", "check-vae", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        output = capsys.readouterr()
        return ended.value.code or 0, output.out, output.err

    return call


def test_a_model_of_this_package_ends_with_0(run, tmp_path):
    model = build(ModelSpec(hidden=(8,), latent=3), 40, np.random.default_rng(0))
    save_model(tmp_path / "m.safetensors", model, {})
    code, out, _ = run("m.safetensors", "--json")
    findings = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    assert [finding["check"] for finding in findings] == list(CHECKS)


def test_a_broken_model_ends_with_1_and_says_why(run, tmp_path):
    (tmp_path / "mine.py").write_text(BROKEN)
    code, out, _ = run("mine.py:mine")
    assert code == 1
    assert "latent_size" in out
    assert "1 wrong, 0 suspicious" in out


def test_what_the_file_prints_is_no_json(run, tmp_path):
    (tmp_path / "mine.py").write_text(BROKEN)
    _, out, _ = run("mine.py:mine", "--json")
    assert len([json.loads(line) for line in out.splitlines()]) == len(CHECKS)


def test_a_target_that_is_none_is_one_line_and_exit_code_2(run):
    code, out, err = run("mine")
    assert code == 2
    assert out == ""
    assert "FILE.py:NAME" in err
    assert len(err.splitlines()) == 1
