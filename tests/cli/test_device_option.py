"""``--device``: said aloud whatever was chosen, refused in one line where it is not there."""

import pytest
import torch

from collabtheory.models.checkpoints import load_model


@pytest.fixture
def run(invoke, monkeypatch):
    """Run a command in an empty folder of a machine without a GPU; return exit code, stdout and stderr."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    return invoke


TRAIN = ("train", "--data", "davis", "--out", "m.safetensors", "--epochs", "2")


def test_a_gpu_that_is_not_there_is_one_line_and_exit_code_2_and_nothing_is_written(run, tmp_path):
    for command in (TRAIN, ("evaluate", "m.safetensors", "--data", "davis")):
        code, out, err = run(*command, "--device", "cuda")
        assert (code, out) == (2, "")
        assert err.count("\n") == 1
        assert "device 'cuda' is not there" in err
    assert not list(tmp_path.iterdir())


def test_the_device_that_was_found_is_said_and_kept_in_the_checkpoint(run, tmp_path):
    code, _, err = run(*TRAIN, "--device", "auto")
    assert code == 0, err
    assert "device: cpu" in err.splitlines()
    assert load_model(tmp_path / "m.safetensors").about["device"] == "cpu"
    code, out, err = run("evaluate", "m.safetensors", "--data", "davis", "--device", "auto")
    assert code == 0, err
    assert "device: cpu" in err.splitlines()
    assert out == run("evaluate", "m.safetensors", "--data", "davis")[1]
