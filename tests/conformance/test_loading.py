"""A model named on the command line is found, or one line says which file lacks what."""

import numpy as np
import pytest
import torch

import collabtheory as ct
from collabtheory.conformance import VaeUnderTest, check_vae, contents_for, load_under_test
from collabtheory.errors import CollabTheoryError
from collabtheory.models.architectures import build
from collabtheory.models.checkpoints import save_model
from collabtheory.models.specification import ModelSpec, TrainingSpec

SOURCE = """
import numpy as np, torch
from helper import WIDTH
from collabtheory.conformance import VaeUnderTest

into = np.random.default_rng(0).standard_normal((WIDTH, 2))
mine = VaeUnderTest(lambda x: (x @ into, np.full((x.shape[0], 2), 0.5)), torch.nn.Linear(2, WIDTH))
number = 3

def make():
    return mine

def fails():
    raise ValueError("no weights")
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "helper.py").write_text("WIDTH = 30")
    (tmp_path / "model.py").write_text(SOURCE)
    (tmp_path / "broken.py").write_text("import no_such_module")
    return tmp_path


@pytest.mark.parametrize("name", ["mine", "make"])
def test_an_object_or_a_function_of_a_file_is_checked_with_made_up_users(folder, name):
    target = f"{folder / 'model.py'}:{name}"
    model = load_under_test(target)
    assert isinstance(model, VaeUnderTest)
    contents = contents_for(target, model, None, np.random.default_rng(0))
    assert contents.shape[1] == 30
    assert check_vae(model, contents, rng=np.random.default_rng(0))[0].status == "fine"


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("model.py", "FILE.py:NAME"),
        ("absent.py:mine", "absent.py: no such file"),
        ("model.py:yours", "has no yours"),
        ("model.py:number", "number must be a VaeUnderTest"),
        ("model.py:fails", "no weights"),
        ("broken.py:mine", "no_such_module"),
        ("absent.safetensors", "absent.safetensors"),
    ],
)
def test_what_is_missing_is_one_line_that_names_the_file(folder, target, message):
    with pytest.raises(CollabTheoryError) as caught:
        load_under_test(str(folder / target))
    assert message in str(caught.value)
    assert target.partition(":")[0] in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.fixture
def checkpoint(tmp_path):
    data = ct.load("davis")
    model = build(ModelSpec(hidden=(8,), latent=3), data.n_items, np.random.default_rng(0))
    about = {"item_ids": data.item_ids.tolist()[::-1], "training": TrainingSpec(beta=0.7).model_dump(mode="json")}
    save_model(tmp_path / "m.safetensors", model, about)
    return str(tmp_path / "m.safetensors"), data


def test_a_checkpoint_comes_with_its_training_and_its_items_in_order(checkpoint):
    target, data = checkpoint
    model = load_under_test(target)
    assert model.beta_cap == 0.7
    assert (model.n_items, model.latent) == (data.n_items, 3)
    contents = contents_for(target, model, data, np.random.default_rng(0))
    np.testing.assert_array_equal(contents.toarray(), data.matrix.toarray()[:, ::-1])
    assert not [f for f in check_vae(model, contents, rng=np.random.default_rng(0)) if f.status == "wrong"]


def test_data_of_other_items_are_refused(checkpoint):
    target, data = checkpoint
    model = load_under_test(target)
    other = data.select_items(np.arange(5))
    with pytest.raises(CollabTheoryError, match="lacks"):
        contents_for(target, model, other, np.random.default_rng(0))


def test_a_decoder_that_does_not_say_its_width_needs_n_items():
    model = VaeUnderTest(lambda x: (x, x), torch.nn.Identity())
    with pytest.raises(CollabTheoryError, match="n_items"):
        contents_for("own.py:mine", model, None, np.random.default_rng(0))
