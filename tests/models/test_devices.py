"""Training on a device: what is refused, that nothing is mixed or left behind, and the same model as on the CPU.

A stand-in device holds ordinary tensors but calls itself ``meta`` and refuses, as a GPU does, any operation that mixes
its tensors with those of the CPU. Where torch finds a GPU, the same is tried on it.
"""

import importlib
from collections import Counter

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

from collabtheory.data import PlantedWorld, generate, strong_generalisation
from collabtheory.errors import DataError, InvalidInput
from collabtheory.models import ModelSpec, TrainingSpec, from_autoencoder, trainer
from collabtheory.models.checkpoints import load_model, save_model
from collabtheory.models.devices import describe_device, find_device
from collabtheory.models.distributed import train_distributed
from collabtheory.models.trainer import train
from collabtheory.runs.seeds import derive

MODEL = ModelSpec(hidden=(24,), latent=6)
TRAINING = TrainingSpec(epochs=2, batch_size=32, snapshots=(0, 1), kl_schedule="constant", learning_rate=3e-3)
RESHAPING = ("squeeze_", "unsqueeze_", "t_", "transpose_")
AWAY = torch.device("meta")

# Torch cannot know that the stand-in is no ordinary `meta`, which would keep no values.
pytestmark = pytest.mark.filterwarnings("ignore:.*copying from a non-meta parameter")

VARIANTS = {
    "mult_vae": ({}, {}),
    "without_hidden_layer": ({"hidden": ()}, {}),
    "mult_dae": ({"architecture": "mult_dae"}, {}),
    "rec_vae": ({"architecture": "rec_vae", "alignment_weight": 0.5}, {"kl_weighting": "by_size", "beta": 0.01}),
    "bernoulli": ({"likelihood": "bernoulli", "masking": "mask_then_normalise"}, {"optimiser": "adamw"}),
    "gaussian_with_confidence": ({"likelihood": "gaussian", "confidence": 5.0}, {"learning_rate_schedule": "cosine"}),
    "poisson": ({"likelihood": "poisson"}, {"learning_rate": 1e-4}),
    "anchors": ({"alignment_weight": 0.5}, {"alignment_items": "shuffled", "alignment_terms": "variance"}),
    "learned_weights": ({}, {"kl_weighting": "learned"}),
    "sampled_softmax": ({}, {"objective": "sampled_softmax", "negatives": 20}),
    "bpr": ({}, {"objective": "bpr", "negatives": 20}),
}


class AwayTensor(torch.Tensor):
    """A tensor of the stand-in device, around the CPU tensor that has its values."""

    @staticmethod
    def __new__(cls, inner):
        return torch.Tensor._make_wrapper_subclass(
            cls, inner.shape, strides=inner.stride(), storage_offset=inner.storage_offset(), dtype=inner.dtype,
            device=AWAY,
        )  # fmt: skip

    def __init__(self, inner):
        self.inner = inner

    @classmethod
    def __torch_dispatch__(cls, operation, types, arguments=(), named=None):
        raise AssertionError(f"{operation} was called outside of the stand-in device")


class StandIn(TorchDispatchMode):
    """While active, ``meta`` is the stand-in device; ``crossings`` counts copies to it and back, and numbers read."""

    def __init__(self):
        super().__init__()
        self.crossings = Counter()

    def __torch_dispatch__(self, operation, types, arguments=(), named=None):
        named = named or {}
        given = [one for one in tree_leaves((arguments, named)) if isinstance(one, torch.Tensor)]
        ours = [isinstance(one, AwayTensor) for one in given]
        name = operation.overloadpacket.__name__
        here = {key: "cpu" if key == "device" and value is not None else value for key, value in named.items()}
        result = operation(*tree_map(_inside, arguments), **tree_map(_inside, here))
        if name in RESHAPING and any(ours):  # the shape that we show has to follow
            with torch._C._DisableTorchDispatch():
                operation(*arguments, **named)
        if name == "_embedding_bag":
            result = (result[0], _owners(*tree_map(_inside, arguments[1:3])), *result[2:])
        target = torch.device(named["device"]) if named.get("device") is not None else None
        if name == "copy_":
            self._cross(ours[0], ours[1])
            return arguments[0]
        if name == "_to_copy" and target is not None:
            self._cross(target == AWAY, ours[0])
        elif name in ("_local_scalar_dense", "item"):
            self.crossings["read"] += ours[0]
        elif any(ours) and not all(mine or _may_stay(name, one) for mine, one in zip(ours, given, strict=True)):
            raise RuntimeError(f"{operation} was given tensors of two devices")
        away = target == AWAY if target is not None else any(ours)
        return tree_map(lambda one: _result(one, given, away), result)

    def _cross(self, to_device, from_device):
        if to_device != from_device:
            self.crossings["there" if to_device else "back"] += 1


def _may_stay(name, one):
    """Say whether an operation on a GPU takes this tensor of the CPU: as a number, but not as a part to be joined."""
    return one.ndim == 0 and name not in ("cat", "stack")


def _inside(one):
    return one.inner if isinstance(one, AwayTensor) else one


def _owners(entries, starts):
    """Return each entry's row, which an embedding bag computes on the way forward on a GPU, and on the CPU backward."""
    return torch.searchsorted(starts, torch.arange(len(entries)), right=True) - 1


def _result(one, given, away):
    if not isinstance(one, torch.Tensor):
        return one
    for argument in given:  # what was changed in place, or written to
        if _inside(argument) is one:
            return argument
    return AwayTensor(one) if away else one


@pytest.fixture(scope="module")
def split():
    return strong_generalisation(generate(PlantedWorld(n_users=80), 3), rng=derive(0, "split"))


@pytest.fixture
def stand_in(monkeypatch):
    """Let training find the stand-in device, which has the fused optimiser that GPUs have."""
    optimisers = importlib.import_module("torch.optim.optimizer")
    kinds = optimisers._get_fused_kernels_supported_devices()
    monkeypatch.setattr(optimisers, "_get_fused_kernels_supported_devices", lambda: [*kinds, "meta"])
    monkeypatch.setattr(trainer, "find_device", torch.device)
    return StandIn()


def specs(variant):
    model, training = VARIANTS[variant]
    return MODEL.model_copy(update=model), TRAINING.model_copy(update=training)


def same(left, right):
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


def agree(found, expected):
    """Compare trainings that take float32 sums in different orders.

    Here another seed changes losses by 5e-4 or more, and weights by 2e-2 of their norm. A single weight is no measure:
    Adam takes a full step along a gradient that is all rounding.
    """
    assert len(found.history) == len(expected.history)
    for ours, theirs in zip(found.history, expected.history, strict=True):
        assert ours.train_loss == pytest.approx(theirs.train_loss, rel=1e-5)
        assert ours.kl == pytest.approx(theirs.kl, rel=1e-4, abs=1e-6)
        assert ours.alignment == pytest.approx(theirs.alignment, rel=1e-4, abs=1e-6)
        assert ours.validation_ndcg == pytest.approx(theirs.validation_ndcg, abs=0.02)
    assert found.snapshots.keys() == expected.snapshots.keys()
    pairs = [(found.model.state_dict(), expected.model.state_dict())]
    pairs += [(found.snapshots[epoch], expected.snapshots[epoch]) for epoch in found.snapshots]
    for one, other in pairs:
        assert one.keys() == other.keys()
        for name, tensor in one.items():
            assert not isinstance(tensor, AwayTensor)
            assert tensor.device.type == "cpu"
            assert (tensor - other[name]).norm() <= 1e-3 * other[name].norm(), name


@pytest.mark.parametrize("variant", VARIANTS)
def test_training_on_a_device_mixes_none_of_its_tensors_and_gives_the_model_of_the_cpu(split, stand_in, variant):
    model, training = specs(variant)
    expected = train(model, training, split, seed=5)
    with stand_in:
        found = train(model, training, split, seed=5, device=AWAY)
    agree(found, expected)
    assert (found.device, expected.device) == ("meta", "cpu")
    assert same(found.snapshots[0], expected.snapshots[0])
    # Outside of the stand-in a tensor that was left behind would fail.
    scores, wanted = (one.model.scores(split.test.fold_in) for one in (found, expected))
    np.testing.assert_allclose(scores, wanted, atol=1e-4)
    assert not found.model.output_buffers._free


@pytest.mark.parametrize(
    ("variant", "sent"), [("mult_vae", 5), ("mult_dae", 4), ("learned_weights", 5), ("anchors", 7)]
)
def test_a_batch_sends_few_tensors_and_never_waits_for_a_number(split, monkeypatch, stand_in, variant, sent):
    """Positions, values and sizes of the contents, noise, and rows of the users; and contents for the anchors."""
    model, training = specs(variant)
    counts, n_batches = [], []
    for batch_size in (30, 10):
        device = StandIn()
        with device:
            train(
                model, training.model_copy(update={"epochs": 1, "batch_size": batch_size}), split, seed=5, device=AWAY
            )
        counts.append(device.crossings)
        n_batches.append(-(-split.train.n_users // batch_size))
    more = n_batches[1] - n_batches[0]
    assert more > 2
    assert counts[1]["there"] - counts[0]["there"] == sent * more
    assert counts[1]["back"] == counts[0]["back"]
    assert counts[1]["read"] == counts[0]["read"]


@pytest.mark.parametrize("variant", ["rec_vae", "learned_weights"])
def test_training_on_a_device_goes_on_where_it_was_killed(split, stand_in, tmp_path, variant):
    model, training = specs(variant)
    state = tmp_path / "state.safetensors"
    seen = []
    with stand_in:
        whole = train(model, training, split, seed=5, device=AWAY)
        with pytest.raises(KeyboardInterrupt):
            train(model, training, split, seed=5, device=AWAY, resume_from=state, on_epoch=_kill)
        resumed = train(
            model, training, split, seed=5, device=AWAY, resume_from=state, on_epoch=lambda one: seen.append(one.epoch)
        )
    assert seen == [2]
    assert resumed.history == whole.history
    assert same(resumed.model.state_dict(), whole.model.state_dict())


def _kill(epoch):
    raise KeyboardInterrupt


def test_a_training_state_of_another_device_is_refused(split, stand_in, tmp_path):
    state = tmp_path / "state.safetensors"
    train(MODEL, TRAINING, split, seed=5, resume_from=state)
    with stand_in, pytest.raises(DataError, match="data set, seed or device"):
        train(MODEL, TRAINING, split, seed=5, device=AWAY, resume_from=state)


def test_a_model_on_a_device_scores_there_and_is_written_and_verified_on_the_cpu(split, stand_in, tmp_path):
    trained = train(MODEL.model_copy(update={"alignment_weight": 0.5}), TRAINING, split, seed=5)
    contents, model = split.test.fold_in, trained.model
    scores, posterior = model.scores(contents), model.posterior(contents)
    weights = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with stand_in:
        model.to(AWAY)
        there = model.scores(contents), model.posterior(contents), from_autoencoder(model)
        save_model(tmp_path / "model.safetensors", model, {})
    np.testing.assert_allclose(there[0], scores, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(there[1].mu, posterior.mu, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(there[2].encode(contents)[0], posterior.mu, rtol=1e-4, atol=1e-5)
    assert same(load_model(tmp_path / "model.safetensors").model.state_dict(), weights)


def test_the_stand_in_refuses_what_a_gpu_refuses():
    with StandIn():
        there, here = torch.ones(3, device=AWAY), torch.ones(3)
        assert torch.equal((there + 1).cpu(), here + 1)
        assert torch.equal((there * torch.tensor(2.0)).cpu(), here * 2)
        with pytest.raises(RuntimeError, match="two devices"):
            there + here
        with pytest.raises(RuntimeError, match="two devices"):
            torch.stack([there.sum(), here.sum()])
        with pytest.raises(RuntimeError, match="numpy"):
            there.numpy()


@pytest.mark.parametrize("name", ["gpu", "cuda:", "cuda:x", "cuda:-1", "mps", "CPU", ""])
def test_a_device_of_another_name_is_refused_with_the_names_there_are(name):
    with pytest.raises(InvalidInput, match="choose one of cpu, cuda, cuda:N or auto"):
        find_device(name)


def _pretend(monkeypatch, gpus):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpus > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)


@pytest.mark.parametrize(
    ("gpus", "name", "expected"),
    [(0, "auto", "cpu"), (0, "cpu", "cpu"), (2, "auto", "cuda:0"), (2, "cuda", "cuda:0"), (2, "cuda:1", "cuda:1")],
)
def test_a_device_is_found_by_its_name(monkeypatch, gpus, name, expected):
    _pretend(monkeypatch, gpus)
    assert find_device(name) == torch.device(expected)
    assert find_device(find_device(name)) == torch.device(expected)


def test_a_gpu_that_is_not_there_is_refused_and_never_replaced(monkeypatch, split):
    _pretend(monkeypatch, 0)
    with pytest.raises(InvalidInput, match=r"device 'cuda' is not there: torch finds no GPU"):
        train(MODEL, TRAINING, split, seed=0, device="cuda")
    _pretend(monkeypatch, 2)
    with pytest.raises(InvalidInput, match=r"device 'cuda:2' is not there: torch finds 2 GPU"):
        train(MODEL, TRAINING, split, seed=0, device="cuda:2")


@pytest.mark.parametrize(
    ("device", "gpus", "message"),
    [
        ("cuda", 0, "torch finds no GPU"),
        ("cuda:1", 2, "device is cpu, cuda or auto where several processes train"),
        ("cuda", 1, "2 processes need as many GPUs; torch finds 1"),
    ],
)
def test_processes_that_have_no_gpu_each_are_refused(monkeypatch, split, device, gpus, message):
    pytest.importorskip("lightning_fabric", reason="the extra `distributed` is not installed")
    _pretend(monkeypatch, gpus)
    with pytest.raises(InvalidInput, match=message):
        train_distributed(MODEL, TRAINING, split, seed=0, processes=2, device=device)


needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no GPU that it can use through CUDA")


@needs_gpu
@pytest.mark.parametrize("variant", VARIANTS)
def test_a_gpu_gives_the_losses_weights_and_scores_of_the_cpu(split, variant):
    model, training = specs(variant)
    expected = train(model, training, split, seed=5)
    found = train(model, training, split, seed=5, device="cuda")
    agree(found, expected)
    assert found.device == describe_device(torch.device("cuda:0"))
    wanted = expected.model.scores(split.test.fold_in)
    np.testing.assert_allclose(found.model.scores(split.test.fold_in), wanted, atol=1e-4)
    np.testing.assert_allclose(expected.model.to("cuda").scores(split.test.fold_in), wanted, rtol=1e-4, atol=1e-5)


@needs_gpu
@pytest.mark.slow
def test_processes_on_gpus_have_the_loss_curve_of_the_cpu(split):
    pytest.importorskip("lightning_fabric", reason="the extra `distributed` is not installed")
    processes = min(2, torch.cuda.device_count())
    agree(
        train_distributed(MODEL, TRAINING, split, seed=5, processes=processes, device="cuda"),
        train(MODEL, TRAINING, split, seed=5),
    )
