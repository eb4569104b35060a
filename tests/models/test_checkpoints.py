"""Checkpoints round-trip exactly, and nothing that is not one is opened."""

import pickle

import numpy as np
import pytest
import torch

from collabtheory.errors import DataError
from collabtheory.models import ModelSpec, MultVAE, load_model, save_model
from collabtheory.models.checkpoints import load_tensors, save_tensors
from collabtheory.models.recommender import from_mult_vae
from collabtheory.runs.seeds import derive


@pytest.fixture
def model():
    return MultVAE(ModelSpec(hidden=(5,), latent=2, alignment_weight=0.1), 7, derive(0))


def test_a_model_comes_back_with_its_specification_and_bits(model, tmp_path):
    save_model(tmp_path / "m.safetensors", model, {"seed": 3})
    loaded = load_model(tmp_path / "m.safetensors")
    assert loaded.model.spec == model.spec
    assert loaded.about["seed"] == 3
    for name, tensor in model.state_dict().items():
        assert torch.equal(loaded.model.state_dict()[name], tensor)
    assert from_mult_vae(loaded.model).fingerprint() == from_mult_vae(model).fingerprint()


def test_the_file_does_not_depend_on_when_it_was_written(model, tmp_path):
    for name in ("a", "b"):
        save_model(tmp_path / name, model, {"seed": 3})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_what_is_no_checkpoint_is_refused(model, tmp_path):
    (tmp_path / "pickle").write_bytes(pickle.dumps({"a": 1}))
    torch.save({"a": torch.zeros(1)}, tmp_path / "torch")
    (tmp_path / "noise").write_bytes(b"\x07" * 100)
    save_model(tmp_path / "whole", model, {})
    (tmp_path / "cut").write_bytes((tmp_path / "whole").read_bytes()[:-20])
    save_tensors(tmp_path / "state", {"x": torch.zeros(2)}, {"identity": {}})
    for name, message in (
        ("pickle", "never opened"),
        ("torch", "never opened"),
        ("noise", "safetensors"),
        ("cut", "safetensors"),
        ("missing", "No such file"),
        ("state", "training state"),
    ):
        with pytest.raises(DataError, match=message):
            load_model(tmp_path / name)


def test_weights_that_are_not_finite_are_refused(model, tmp_path):
    with torch.no_grad():
        model.decoder[0].weight[0, 0] = float("nan")
    save_model(tmp_path / "m", model, {})
    with pytest.raises(DataError, match="not finite"):
        load_model(tmp_path / "m")


def test_a_header_that_begins_like_a_pickle_is_still_read(tmp_path):
    for size in range(200):
        save_tensors(tmp_path / "m", {"x": torch.zeros(1)}, {"padding": "x" * size})
        if (tmp_path / "m").read_bytes()[:1] == b"\x80":
            break
    else:
        pytest.fail("no such header was made")
    tensors, _ = load_tensors(tmp_path / "m")
    np.testing.assert_array_equal(tensors["x"].numpy(), 0)
