"""Testing a checkpoint: on the users its training never saw, with the numbers that training itself reported."""

import dataclasses
import io

import numpy as np
import pytest
from rich.console import Console

from collabtheory.data import load
from collabtheory.data.planted import PlantedWorld, generate
from collabtheory.data.split import strong_generalisation
from collabtheory.errors import DataError, InvalidInput
from collabtheory.models.checkpoints import load_model, save_model
from collabtheory.models.specification import ModelSpec, TrainingSpec
from collabtheory.models.training_run import evaluate_file, train_to_file
from collabtheory.report.evaluation_table import accuracy_table, print_evaluation
from collabtheory.report.formats import number
from collabtheory.runs.seeds import derive


@pytest.fixture(scope="module")
def world():
    return generate(PlantedWorld(n_users=120, mean_items=15, size_spread=0.5), 0)


@pytest.fixture(scope="module")
def trained(world, tmp_path_factory):
    """A checkpoint and the test nDCG@100 that training reported."""
    path = tmp_path_factory.mktemp("model") / "m.safetensors"
    model, training = ModelSpec(hidden=(8,), latent=4), TrainingSpec(epochs=2, batch_size=30)
    return path, train_to_file(world, path, model, training, seed=3)[1]


def test_accuracy_is_what_training_reported_and_what_a_loop_finds(world, trained):
    path, reported = trained
    result = evaluate_file(path, world, metrics=["ndcg@100", "recall@5/n"])
    assert result.means["ndcg@100"].value == pytest.approx(reported, abs=1e-12)
    split = strong_generalisation(world, rng=derive(3, "split"))
    scores = load_model(path).model.scores(split.test.fold_in)
    shares = []
    for user in range(split.test.n_users):
        seen = set(split.test.fold_in[[user]].indices.tolist())
        best = [item for item in np.argsort(-scores[user], kind="stable").tolist() if item not in seen][:5]
        wanted = set(split.test.held_out[[user]].indices.tolist())
        shares.append(len(wanted & set(best)) / len(wanted))
    assert result.means["recall@5/n"].value == pytest.approx(np.mean(shares), abs=1e-12)
    assert result.n_users == len(shares) == result.means["ndcg@100"].n
    assert result.means["ndcg@100"].low < reported < result.means["ndcg@100"].high


def test_cohorts_are_by_all_interactions_and_together_are_everybody(world, trained):
    result = evaluate_file(trained[0], world)
    rows = strong_generalisation(world, rng=derive(3, "split")).test.rows
    small = (world.sizes[rows] <= 10).sum()
    assert {cohort.name: cohort.n_users for cohort in result.cohorts}["5-10"] == small > 0
    assert sum(cohort.n_users for cohort in result.cohorts) == result.n_users
    for name, mean in result.means.items():
        total = sum(cohort.n_users * cohort.means[name].value for cohort in result.cohorts)
        assert total / result.n_users == pytest.approx(mean.value)


def test_another_seed_draws_other_held_out_items_of_the_same_unseen_users(world, trained, monkeypatch):
    from collabtheory import ranking

    tested, evaluate = [], ranking.evaluate
    monkeypatch.setattr(
        ranking, "evaluate", lambda scores, users, **rest: tested.append(users) or evaluate(scores, users, **rest)
    )
    results = [evaluate_file(trained[0], world, seed=seed) for seed in (None, 3, 4, 4)]
    own, same, other, again = tested
    assert all(np.array_equal(users.rows, own.rows) for users in tested)
    assert (own.held_out != same.held_out).nnz == (other.held_out != again.held_out).nnz == 0
    assert (own.held_out != other.held_out).nnz > 0
    assert [result.seed for result in results] == [3, 3, 4, 4]
    assert results[0] == results[1]


def test_other_data_is_refused_and_both_are_named(trained):
    with pytest.raises(DataError, match="trained on other data") as raised:
        evaluate_file(trained[0], load("davis"))
    assert all(word in str(raised.value) for word in ("m.safetensors", "planted", "davis"))


def test_a_checkpoint_whose_users_are_unknown_is_refused(world, trained, tmp_path):
    found = load_model(trained[0])
    for name in ("training", "data", "seed"):
        save_model(
            tmp_path / "x.safetensors", found.model, {key: one for key, one in found.about.items() if key != name}
        )
        with pytest.raises(DataError, match=f"not a checkpoint of `train` or `verify` .*{name}"):
            evaluate_file(tmp_path / "x.safetensors", world)


def test_items_in_another_order_are_refused(world, trained, tmp_path):
    found = load_model(trained[0])
    save_model(tmp_path / "x.safetensors", found.model, {**found.about, "item_ids": found.about["item_ids"][::-1]})
    with pytest.raises(DataError, match="its items are not those"):
        evaluate_file(tmp_path / "x.safetensors", world)


def test_an_unknown_metric_is_refused(world, trained):
    with pytest.raises(InvalidInput, match="mrr"):
        evaluate_file(trained[0], world, metrics=["mrr@10"])


@pytest.mark.parametrize("width", [80, 120])
def test_print_shows_every_interval_whole_and_what_is_recommended(world, trained, width):
    stream = io.StringIO()
    result = evaluate_file(trained[0], world)
    print_evaluation(Console(file=stream, width=width), result)
    text = stream.getvalue()
    assert "…" not in text
    for mean in result.means.values():
        assert number(mean.value) in text
        assert f"[{number(mean.low)}, {number(mean.high)}]" in text
    assert f"{result.n_users} users" in text
    assert "of the catalogue" in text
    assert "popular." in text


def test_one_user_alone_has_no_interval(world, trained):
    result = evaluate_file(trained[0], world)
    alone = dataclasses.replace(result.means["ndcg@100"], low=float("nan"), high=float("nan"), n=1)
    table = accuracy_table(dataclasses.replace(result, means={"ndcg@100": alone}, cohorts=()))
    assert table.grid() == (("all", str(result.n_users), number(alone.value)),)
