"""Several processes train the model that one process trains."""

import numpy as np
import pytest
import torch

from collabtheory.data import load
from collabtheory.data.split import strong_generalisation
from collabtheory.errors import InvalidInput
from collabtheory.models import trainer
from collabtheory.models.batch_loss import Draws, batch_losses
from collabtheory.models.distributed import BatchShares, train_distributed
from collabtheory.models.specification import ModelSpec, TrainingSpec
from collabtheory.models.trainer import train
from collabtheory.runs.seeds import derive

SPEC = TrainingSpec(epochs=4, batch_size=5, learning_rate=3e-3)
"""Davis has 14 training users, so batches of 5, 5 and 4: uneven shares for two and three processes."""


@pytest.fixture(scope="module")
def split():
    return strong_generalisation(load("davis"), rng=derive(0, "split"))


def _model(**changes):
    return ModelSpec(**{"hidden": (8,), "latent": 4, "keep_probability": 0.5, **changes})


@pytest.mark.parametrize("count", [2, 3, 7])
def test_shares_of_a_batch_have_the_losses_of_the_whole(split, count):
    matrix, users = split.train.matrix, np.array([0, 2, 3, 7, 9])
    model = trainer.build(_model(alignment_weight=0.5), split.train.n_items, derive(1, "weights"))
    whole_draws, part_draws = Draws.of_epoch(3, 1), [Draws.of_epoch(3, 1) for _ in range(count)]
    seen = []
    for _ in range(2):
        whole = batch_losses(model, SPEC, matrix, users, whole_draws)
        parts = []
        for rank in range(count):
            here, draws = BatchShares(rank, count).share(matrix, users, part_draws[rank])
            parts.append(batch_losses(model, SPEC, matrix, here, draws))
            seen.append(len(here))
        for term in ("reconstruction", "divergence", "alignment"):
            joined = torch.cat([getattr(part, term) for part in parts])
            torch.testing.assert_close(joined, getattr(whole, term), rtol=1e-6, atol=1e-6)
    assert sum(seen) == 2 * len(users)


@pytest.mark.parametrize("architecture", ["mult_vae", "rec_vae", "mult_dae"])
def test_gradients_of_shares_add_up_to_that_of_the_batch(split, architecture, monkeypatch):
    """Three processes, one after the other: what each would send is recorded, added, and compared."""
    spec = SPEC.model_copy(update={"epochs": 1, "batch_size": 14})

    def gradients(sharing):
        sent = []
        monkeypatch.setattr(sharing, "add", lambda values: values)

        def record(parameters):
            sent.append([parameter.grad.clone() for parameter in parameters])
            raise StopIteration

        monkeypatch.setattr(sharing, "add_gradients", record)
        with pytest.raises(StopIteration):
            train(_model(architecture=architecture), spec, split, seed=2, sharing=sharing)
        return sent[0]

    whole = gradients(trainer.Sharing())
    parts = [gradients(BatchShares(rank, 3)) for rank in range(3)]
    for expected, *given in zip(whole, *parts, strict=True):
        torch.testing.assert_close(sum(given), expected, rtol=1e-5, atol=1e-7)
        assert not torch.equal(given[0], expected)


@pytest.mark.slow
@pytest.mark.parametrize("changes", [{}, {"alignment_weight": 0.5}, {"architecture": "rec_vae"}])
def test_two_processes_have_the_loss_curve_of_one(split, changes, tmp_path):
    pytest.importorskip("lightning_fabric", reason="the extra `distributed` is not installed")
    one = train(_model(**changes), SPEC, split, seed=4)
    state = tmp_path / "state.safetensors"
    short = SPEC.model_copy(update={"epochs": SPEC.epochs})
    two = train_distributed(_model(**changes), short, split, seed=4, processes=2, resume_from=state)
    assert state.exists()
    assert len(two.history) == len(one.history)
    for ours, theirs in zip(two.history, one.history, strict=True):
        assert ours.train_loss == pytest.approx(theirs.train_loss, rel=1e-5)
        assert ours.kl == pytest.approx(theirs.kl, rel=1e-4, abs=1e-6)
        assert ours.validation_ndcg == pytest.approx(theirs.validation_ndcg, abs=0.02)
    for name, tensor in one.model.state_dict().items():
        torch.testing.assert_close(two.model.state_dict()[name], tensor, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("training", "numbers", "message"),
    [
        ({"kl_weighting": "learned"}, {}, "learned KL weights"),
        ({"objective": "bpr"}, {}, "BPR"),
        ({}, {"processes": 0}, "processes must be at least 1"),
        ({}, {"nodes": 2}, "torchrun"),
    ],
)
def test_what_cannot_be_shared_out_is_refused(split, training, numbers, message):
    pytest.importorskip("lightning_fabric", reason="the extra `distributed` is not installed")
    with pytest.raises(InvalidInput, match=message):
        train_distributed(_model(), SPEC.model_copy(update=training), split, seed=0, **numbers)
