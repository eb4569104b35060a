"""Influence in random groups of a population against the kernels of all its users at once."""

import json
import sys

import numpy as np
import pytest

from collabtheory import cli
from collabtheory.data import Interactions
from collabtheory.errors import InvalidInput
from collabtheory.latent import pairwise_w2
from collabtheory.models.architectures import build
from collabtheory.models.recommender import from_autoencoder
from collabtheory.models.specification import ModelSpec
from collabtheory.transfer import TransferKernels
from collabtheory.transfer.population import neighbour_distances, population_flops, population_influence
from collabtheory.transfer.users import nearest_in_input
from collabtheory.transfer.work import gram_flops


@pytest.fixture(scope="module")
def world():
    rng = np.random.default_rng(0)
    dense = rng.random((60, 30)) < 0.2
    dense[7] = False
    data = Interactions.from_pairs(*dense.nonzero())
    model = build(ModelSpec(hidden=(12,), latent=4), data.n_items, np.random.default_rng(1))
    return from_autoencoder(model), data


def test_one_group_is_what_the_kernels_say_of_all_pairs(world):
    recommender, data = world
    found = population_influence(recommender, data, rng=np.random.default_rng(3), group=1000)
    rng = np.random.default_rng(3)
    users = rng.permutation(np.flatnonzero(data.sizes > 0))
    posterior = recommender.posterior(data.matrix[users])
    kernels = TransferKernels(recommender.decoder, recommender.likelihood, data.matrix[users], posterior.sample(1, rng))
    apart = ~np.eye(len(users), dtype=bool)
    norms = np.asarray(kernels.gradient_norms())
    cosines = (np.asarray(kernels.gradient_gram()) / np.outer(norms, norms))[apart]
    assert found.n_pairs == len(users) * (len(users) - 1)
    assert found.mean_cosine == pytest.approx(cosines.mean(), abs=1e-5)
    assert found.share_positive == pytest.approx((cosines > 0).mean(), abs=1e-3)
    for histogram, values in (
        (found.cosine, cosines),
        (found.w2, np.asarray(pairwise_w2(posterior))[apart]),
        (found.jaccard, _jaccard(data.matrix[users].toarray())[apart]),
    ):
        counts = np.histogram(values, histogram.edges)[0]
        # float32 may move a value across an edge.
        assert np.abs(histogram.counts - counts).sum() <= 4
        assert histogram.counts.sum() == len(values)
    low, high = found.w2.edges[20:22]
    distances = np.asarray(pairwise_w2(posterior))[apart]
    here = (distances >= low) & (distances < high)
    if here.any():
        assert found.w2.mean_cosine[20] == pytest.approx(cosines[here].mean(), abs=1e-3)


def _jaccard(x):
    both = x @ x.T.astype(float)
    sizes = x.sum(1)
    return both / (sizes[:, None] + sizes - both)


def test_groups_estimate_the_mean_over_all_pairs(world):
    recommender, data = world

    def mean(group, seed):
        return population_influence(recommender, data, rng=np.random.default_rng(seed), group=group).mean_cosine

    whole, groups = ([mean(group, seed) for seed in range(15)] for group in (1000, 8))
    error = np.sqrt((np.var(whole) + np.var(groups)) / len(whole))
    assert np.mean(groups) == pytest.approx(np.mean(whole), abs=4 * error)


def test_users_without_items_are_left_out_and_a_last_single_user_joins_a_group(world):
    recommender, data = world
    n = int((data.sizes > 0).sum())
    found = population_influence(recommender, data, rng=np.random.default_rng(0), group=n - 1)
    assert (found.n_users, found.n_pairs) == (n, n * (n - 1))


def test_results_do_not_depend_on_the_memory_bound_and_too_little_is_refused(world, monkeypatch):
    recommender, data = world
    plain = population_influence(recommender, data, rng=np.random.default_rng(0), group=16)
    monkeypatch.setenv("COLLABTHEORY_MEMORY", "1M")
    bounded = population_influence(recommender, data, rng=np.random.default_rng(0), group=16)
    assert (plain.mean_cosine, plain.share_positive) == (bounded.mean_cosine, bounded.share_positive)
    monkeypatch.setattr("collabtheory.runs.memory.budget", lambda: 1000)
    with pytest.raises(InvalidInput, match=r"a group of 59 users and 30 items needs 1 MiB .* raise --memory"):
        population_influence(recommender, data, rng=np.random.default_rng(0), group=59)


def test_predicted_work_is_that_of_the_groups(world):
    recommender, data = world
    assert population_flops(recommender, 600, 2, 60) == 10 * gram_flops((4, 12, data.n_items), 60, 2)


def test_neighbours_share_the_items_that_sets_say(world):
    recommender, data = world
    found = neighbour_distances(recommender, data, 3)
    distances = np.asarray(pairwise_w2(recommender.posterior(data.matrix)))
    np.fill_diagonal(distances, np.inf)
    nearest = np.argsort(distances, axis=1, kind="stable")[:, :3]
    sets = [set(data.matrix[[row]].indices.tolist()) for row in range(data.n_users)]
    shared = np.mean([len(sets[row] & sets[other]) for row in range(data.n_users) for other in nearest[row]])
    assert found["shared_items"] == pytest.approx(shared)
    np.testing.assert_allclose(found["first"][2], np.median(distances.min(1)))


def test_pairs_command_says_what_it_will_take_and_writes_the_histograms(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)

    def call(*words):
        monkeypatch.setattr(sys, "argv", ["collabtheory", *map(str, words)])
        try:
            cli.main()
        except SystemExit as ended:
            return ended.code or 0
        return 0

    assert call("train", "--data", "davis", "--out", "model.safetensors", "--epochs", "1") == 0
    capsys.readouterr()
    words = ("pairs", "model.safetensors", "--data", "davis", "--neighbours", "3", "--memory", "1G", "--out", "p.json")
    assert call(*words) == 0
    said = " ".join(capsys.readouterr().err.split())
    assert "1,024 MiB allowed" in said
    assert "floating-point operations" in said
    content = json.loads((tmp_path / "p.json").read_text())
    assert (
        content["pairs"] == sum(content["histograms"]["jaccard"]["counts"]) == content["users"] * (content["users"] - 1)
    )
    assert call("pairs", "model.safetensors", "--data", "davis", "--memory", "lots") == 2
    assert "memory must be a size" in capsys.readouterr().err


def test_nearest_users_in_input_are_those_of_brute_force_whatever_the_memory_bound(world, monkeypatch):
    _, data = world
    monkeypatch.setattr("collabtheory.runs.memory.budget", lambda: 32 * data.n_users * 7)
    eligible = np.flatnonzero(data.sizes > 0)
    nearest, distance = nearest_in_input(data, eligible, eligible)
    sets = [set(data.matrix[[row]].indices.tolist()) for row in range(data.n_users)]
    for user, found, length in zip(eligible, nearest, distance, strict=True):
        distances = {
            v: len(sets[user] ^ sets[v]) / (len(sets[user]) + len(sets[v])) for v in eligible.tolist() if v != user
        }
        assert length == pytest.approx(min(distances.values()))
        assert found == min(v for v, one in distances.items() if one == pytest.approx(length))
