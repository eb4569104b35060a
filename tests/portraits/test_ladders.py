import numpy as np
import pytest

from collabtheory.data.planted import PlantedWorld, generate
from collabtheory.data.split import strong_generalisation
from collabtheory.errors import InvalidInput
from collabtheory.models import ModelSpec, MultVAE, from_mult_vae
from collabtheory.portraits.ladders import Rung, measure_ladder
from collabtheory.ranking import evaluate


@pytest.fixture(scope="module")
def world():
    data = generate(PlantedWorld(n_users=120), 0)
    split = strong_generalisation(data, rng=np.random.default_rng(0))
    return data.select_items(split.items), split.test


def rung(n_items, seed=0, **settings):
    model = MultVAE(ModelSpec(hidden=(8,), latent=4, **settings), n_items, np.random.default_rng(seed))
    return Rung(from_mult_vae(model), model.scores)


def measured(world, rungs):
    data, tested = world
    found = measure_ladder(rungs, data, np.arange(40), tested, rng=np.random.default_rng(1))
    return found.set_index(["value", "quantity"])


def test_the_same_model_twice_contracts_nothing_and_meets_the_same_masks(world):
    one = rung(world[0].n_items)
    found = measured(world, {0.1: one, 0.2: one})
    assert found.loc[(0.2, "contraction"), ["middle", "low", "high"]].tolist() == [1.0, 1.0, 1.0]
    assert found.loc[0.1].equals(found.loc[0.2])


def test_accuracy_is_the_mean_over_all_tested_users_with_its_interval(world):
    one, other = rung(world[0].n_items), rung(world[0].n_items, seed=5)
    found = measured(world, {1.0: one, 2.0: other})
    values = evaluate(other.scores, world[1], metrics=("ndcg@100",), count_at=())["ndcg@100"]
    row = found.loc[(2.0, "ndcg")]
    assert row["middle"] == pytest.approx(values.mean())
    assert row["n"] == len(values)
    assert row["low"] < values.mean() < row["high"]


def test_a_model_on_clean_inputs_has_drift_only_under_the_common_mask(world):
    clean, masked = rung(world[0].n_items, keep_probability=1.0), rung(world[0].n_items, keep_probability=0.5)
    found = measured(world, {0.5: masked, 1.0: clean})
    assert (1.0, "kept") not in found.index
    assert 0 < found.loc[(1.0, "kept_at_half"), "middle"] < 1
    # One model, one convention: the model's own masking is the common one.
    assert found.loc[(0.5, "kept"), "middle"] == pytest.approx(found.loc[(0.5, "kept_at_half"), "middle"], abs=0.1)


def test_one_model_is_no_ladder(world):
    with pytest.raises(InvalidInput, match="2 models"):
        measured(world, {0.1: rung(world[0].n_items)})
