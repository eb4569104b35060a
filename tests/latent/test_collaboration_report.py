"""The numbers of one model: JSON, reproducible, comparable between models, and right where the truth is planted."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy import sparse

from collabtheory.data import Interactions
from collabtheory.data.planted import PlantedWorld, generate
from collabtheory.errors import InvalidInput, PremiseNotMet
from collabtheory.latent.collaboration_report import measure_model
from collabtheory.latent.collaboration_values import Values, mean_of_pairs, pairwise_log_affinity
from collabtheory.latent.drift import neighbourhood_drift
from collabtheory.latent.masked_codes import drift_between, masked_posteriors, thinned, thinned_posteriors
from collabtheory.latent.posterior_overlap import log_affinity
from collabtheory.models import ModelSpec, MultVAE, from_mult_vae
from collabtheory.models.posterior import DiagonalGaussian
from collabtheory.models.recommender import Recommender
from collabtheory.stats import grouped_jackknife


@pytest.fixture(scope="module")
def world() -> Interactions:
    return generate(PlantedWorld(n_users=70, n_items=160, n_communities=8, mean_items=11, min_items=5), 0)


def model(keep: float = 0.5, seed: int = 1) -> Recommender:
    spec = ModelSpec(hidden=(8,), latent=3, keep_probability=keep)
    return from_mult_vae(MultVAE(spec, 160, np.random.default_rng(seed)))


def rng_of(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.fixture(scope="module")
def measured(world: Interactions) -> dict:
    return measure_model(model(), world, rng=rng_of())


def test_everything_is_json_and_the_same_again(world: Interactions, measured: dict) -> None:
    assert json.loads(json.dumps(measured, allow_nan=False)) == measured
    assert measure_model(model(), world, rng=rng_of()) == measured


def test_values_are_within_their_intervals_and_vectors_have_an_entry_a_user(measured: dict) -> None:
    for name, value in measured["values"].items():
        assert set(value) == {"value", "low", "high", "n"}, name
        if value["low"] is not None:
            assert value["low"] <= value["value"] <= value["high"], name
    assert {len(vector) for vector in measured["per_user"].values()} == {len(measured["users"])}


def test_users_too_short_for_an_experiment_have_none(world: Interactions, measured: dict) -> None:
    users = np.array(measured["users"])
    changes = measured["per_user"]["familiarity.per_doubling.kl"]
    took_part = np.array([change is not None for change in changes])
    assert took_part.tolist() == (world.sizes[users] >= 10).tolist()
    assert 0 < took_part.sum() == measured["values"]["familiarity.per_doubling.kl"]["n"] < len(users)
    mean = np.mean([change for change in changes if change is not None])
    assert measured["values"]["familiarity.per_doubling.kl"]["value"] == pytest.approx(mean)


def test_two_models_are_measured_on_the_same_users_and_pairs(world: Interactions, measured: dict) -> None:
    other = measure_model(model(keep=1.0, seed=2), world, rng=rng_of())
    assert other["users"] == measured["users"]
    name = "collaboration.clean.cosine.global.pair_share"
    assert other["values"][name] == measured["values"][name]
    assert "drift.own.between_draws" not in other["values"]
    assert "drift.reference.between_draws" in other["values"]


def test_masking_at_the_reference_is_the_models_own_where_both_are_one_half(measured: dict) -> None:
    for part in ("drift", "spread", "collaboration"):
        own = {k: v for k, v in measured["values"].items() if k.startswith(f"{part}.own")}
        reference = {
            k.replace("reference", "own"): v for k, v in measured["values"].items() if f"{part}.reference" in k
        }
        assert own == reference != {}


def test_model_without_layers_is_measured_by_thinning_and_by_what_it_is_told(
    world: Interactions, measured: dict
) -> None:
    known = model()
    blind = Recommender(known.encode, known.decoder, known.likelihood)
    found = measure_model(blind, world, rng=rng_of())
    assert found["about"]["maskings"] == ["thinned"]

    calls: list[int] = []

    def encode(contents: sparse.csr_array, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        calls.append(contents.shape[0])
        return masked_posteriors(known, contents, 1, rng=rng)[0].numpy()

    told = measure_model(blind, world, rng=rng_of(), encode_masked=encode)
    assert told["about"]["maskings"] == ["own", "thinned"]
    # Four draws for the drift, and a mask for each of four codes.
    assert calls == 8 * [70]
    for name in ("drift.own.between_draws", "drift.thinned.with_clean", "spread.own.relative"):
        assert told["values"][name] == measured["values"][name]


def test_given_users_are_the_ones_measured(world: Interactions) -> None:
    users = np.arange(60, 30, -1)
    assert measure_model(model(), world, rng=rng_of(), users=users)["users"] == sorted(users.tolist())
    with pytest.raises(InvalidInput, match="at least 12"):
        measure_model(model(), world, rng=rng_of(), users=users[:11])
    with pytest.raises(InvalidInput, match="'quick'"):
        measure_model(model(), world, rng=rng_of(), profile="fast")


def test_planted_communities_help_each_other_more_than_far_users(measured: dict) -> None:
    # Members of a community have its signature item and its taste in common.
    assert measured["values"]["collaboration.clean.cosine.lift_difference"]["low"] > 0


def test_drift_of_given_draws_is_the_neighbourhood_drift(world: Interactions) -> None:
    recommender, x = model(), world.matrix[:50]
    draws = masked_posteriors(recommender, x, 3, rng=rng_of(7))
    expected = neighbourhood_drift(recommender, x, 4, n_draws=3, rng=rng_of(7))
    found = drift_between(recommender.posterior(x), draws, 4)
    np.testing.assert_array_equal(found.between_draws, expected.between_draws)
    np.testing.assert_array_equal(found.with_clean, expected.with_clean)
    assert found.by_chance == expected.by_chance


def test_keep_probability_of_one_masks_nothing(world: Interactions) -> None:
    recommender, x = model(), world.matrix[:20]
    (masked,) = masked_posteriors(recommender, x, 1, keep_probability=1.0, rng=rng_of())
    np.testing.assert_allclose(masked.mu, recommender.posterior(x).mu)
    with pytest.raises(InvalidInput, match="keep_probability"):
        masked_posteriors(recommender, x, 1, keep_probability=0.0, rng=rng_of())
    with pytest.raises(PremiseNotMet, match="encode_masked"):
        masked_posteriors(replace(recommender, layers=None), x, 1, rng=rng_of())


def test_thinned_contents_are_those_of_a_shorter_history(world: Interactions) -> None:
    x, recommender = world.matrix, model()
    less = thinned(x, 0.3, rng_of(1))
    assert (less.toarray() <= x.toarray()).all()
    assert less.nnz / x.nnz == pytest.approx(0.3, abs=0.05)
    (draw,) = thinned_posteriors(recommender, x, 1, keep_probability=0.3, rng=rng_of(1))
    np.testing.assert_array_equal(draw.mu, recommender.posterior(less).mu)


def test_mean_of_pairs_and_its_interval_are_those_of_the_grouped_jackknife() -> None:
    table, chosen = rng_of().standard_normal((30, 30)), rng_of(1).random((30, 30)) < 0.4
    np.fill_diagonal(chosen, False)
    i, j = np.nonzero(chosen)
    everyone = np.unique(np.concatenate([i, j]))
    assert len(everyone) == 30
    expected = grouped_jackknife(lambda kept: float(table[i, j][kept].mean()), i, j)
    found = mean_of_pairs(table, chosen)
    assert (found.value, found.low, found.high) == pytest.approx((expected.value, expected.low, expected.high))


def test_affinities_of_all_pairs_are_those_of_rows() -> None:
    rng = rng_of()
    q = DiagonalGaussian(rng.standard_normal((7, 3)), rng.uniform(0.3, 2, (7, 3)))
    for v in range(7):
        np.testing.assert_allclose(pairwise_log_affinity(q)[:, v], log_affinity(q, q[np.full(7, v)]), atol=1e-12)


def test_spread_by_masks_is_relative_to_how_far_users_are_apart() -> None:
    clean = DiagonalGaussian(np.array([[0.0], [10.0], [20.0]]), np.ones((3, 1)))
    moved = DiagonalGaussian(np.array([[1.0], [12.0], [23.0]]), np.ones((3, 1)))
    values = Values(3)
    values.mask_spread("spread", clean, (clean, moved))
    found = values.as_json()["values"]
    assert found["spread.by_mask"]["value"] == 2.0
    assert found["spread.relative"]["value"] == pytest.approx(2.0 / (40 / 3))


def test_numbers_that_are_not_defined_become_none() -> None:
    values = Values(2)
    values.mean("a", np.array([np.nan, 4.0]), keep=True)
    values.mean("b", np.array([np.nan, np.nan]))
    found = values.as_json()
    assert found["values"]["a"]["value"] == 4.0
    assert found["per_user"]["a"] == [None, 4.0]
    assert found["values"]["b"] == {"value": None, "low": None, "high": None, "n": 0}
    with pytest.raises(InvalidInput, match="each of 2 users"):
        values.vector("c", np.ones(3))
