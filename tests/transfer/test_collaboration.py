"""Collaboration mass: pair sets and shares by brute force, intervals against the jackknife of pairs, planted worlds."""

from __future__ import annotations

import copy
import itertools

import numpy as np
import pytest
import torch
from scipy import sparse

from collabtheory.data import Interactions
from collabtheory.data.interactions import binary_csr
from collabtheory.data.planted import PlantedWorld, generate
from collabtheory.errors import InvalidInput, PremiseNotMet
from collabtheory.latent.masked_codes import masked_posteriors
from collabtheory.models import ModelSpec, MultVAE, from_mult_vae
from collabtheory.models.recommender import Recommender
from collabtheory.stats import grouped_jackknife
from collabtheory.transfer.collaboration import collaboration_mass
from collabtheory.transfer.help_by_distance import help_by_distance
from collabtheory.transfer.pair_sets import PairSets, pair_sets, related


def world(n_users: int = 60, seed: int = 0) -> Interactions:
    return generate(PlantedWorld(n_users=n_users, n_items=160, n_communities=8, mean_items=10, min_items=5), seed)


def model(n_items: int, **options: object) -> Recommender:
    spec = ModelSpec(hidden=(8,), latent=3, **options)
    return from_mult_vae(MultVAE(spec, n_items, np.random.default_rng(1)))


def of_dense(x: np.ndarray) -> Interactions:
    rows = sparse.csr_array(x)
    rows.sort_indices()
    return Interactions(binary_csr(rows.indptr, rows.indices, rows.shape), np.arange(x.shape[0]), np.arange(x.shape[1]))


def by_hand(x: np.ndarray, users: list[int], k: int, least: int) -> tuple[np.ndarray, np.ndarray]:
    """Local and global pairs with Python sets."""
    items = [set(np.flatnonzero(row).tolist()) for row in x]
    together = x.T @ x
    n = len(users)
    local, far = np.zeros((n, n), dtype=bool), np.zeros((n, n), dtype=bool)
    for i, u in enumerate(users):

        def distance(j: int, mine: set[int] = items[u]) -> float:
            other = items[users[j]]
            return 1 - len(mine & other) / len(mine | other)

        order = sorted((j for j in range(n) if j != i), key=lambda j: (round(distance(j), 12), j))
        local[i, order[:k]] = True
        for j in order[(n - 1) // 2 :]:
            v = users[j]
            linked = any(together[a, b] >= least for a, b in itertools.product(items[u], items[v]) if a != b)
            far[i, j] = linked or bool(items[u] & items[v])
    return local, far


@pytest.mark.parametrize("least", [1, 2, 4])
def test_pair_sets_are_those_of_brute_force(least: int) -> None:
    rng = np.random.default_rng(0)
    x = (rng.random((30, 40)) < 0.08).astype(float)
    x[x.sum(1) == 0, 0] = 1
    users = [0, 3, 4, 7, 8, 11, 15, 16, 20, 22, 25, 28]
    sets = pair_sets(of_dense(x), np.array(users), k=2, cooccurring_users=least)
    local, far = by_hand(x, users, sets.k, least)
    np.testing.assert_array_equal(sets.local, local)
    np.testing.assert_array_equal(sets.far_related, far)


def test_pair_sets_are_a_partition_and_near_never_meets_far() -> None:
    data = world()
    sets = pair_sets(data, np.arange(60), k=1000)
    total = sets.local.astype(int) + sets.far_related + sets.other
    np.testing.assert_array_equal(total, 1 - np.eye(60))
    assert sets.k == 14


def test_two_shelves_of_a_theme_are_related_through_co_occurrence_only() -> None:
    # Bridges have items of both shelves; members of different shelves share none.
    data = world(400)
    truth = data.truth
    members = np.flatnonzero((truth.role == "member") & (truth.theme == 0))
    shelf = truth.shelf.to_numpy()[members]
    across = shelf[:, None] != shelf[None, :]
    shared = (data.matrix[members] @ data.matrix[members].T).toarray() > 0
    assert related(data, members, 3)[across & ~shared].mean() > 0.9
    assert related(data, members, 400)[across & ~shared].mean() == 0.0


def test_l1_distance_counts_items_that_only_one_has() -> None:
    x = np.zeros((5, 12))
    x[0, :8], x[1, 2:12], x[2, 11], x[3, 2:9], x[4, 10:12] = 1, 1, 1, 1, 1
    l1 = pair_sets(of_dense(x), np.arange(5), k=1, distance="l1").local[1]
    jaccard = pair_sets(of_dense(x), np.arange(5), k=1).local[1]
    assert np.flatnonzero(l1).tolist() == [3]
    assert np.flatnonzero(jaccard).tolist() == [3]
    # From the user of one item, the other short history is near in l1 and in Jaccard; the long one in neither.
    assert np.flatnonzero(pair_sets(of_dense(x), np.arange(5), k=1, distance="l1").local[2]).tolist() == [4]


def gradients(recommender: Recommender, x: np.ndarray, codes: np.ndarray) -> list[np.ndarray]:
    """Multinomial decoder gradients by autograd."""
    decoder = copy.deepcopy(recommender.decoder).double().requires_grad_(True)
    found = []
    for content, samples in zip(torch.from_numpy(x), torch.from_numpy(codes), strict=True):
        logits = decoder(samples)
        loss = (content.sum() * torch.logsumexp(logits, 1) - logits @ content).mean()
        found.append(np.concatenate([g.numpy().ravel() for g in torch.autograd.grad(loss, list(decoder.parameters()))]))
    return found


def test_masses_are_those_of_gradients_by_autograd() -> None:
    data, users = world(), np.arange(0, 60, 4)
    recommender = model(data.n_items)
    found = collaboration_mass(recommender, data, users=users, n_samples=3, k=3, n_sources=0, rng=rng_of(5))
    codes = recommender.posterior(data.matrix[users]).sample(3, rng_of(5), noise="independent")
    g = gradients(recommender, data.dense(users), codes)
    sets = pair_sets(data, users, k=3)
    total = local = far = 0.0
    for i, j in itertools.permutations(range(len(users)), 2):
        cosine = max(float(g[i] @ g[j] / np.linalg.norm(g[i]) / np.linalg.norm(g[j])), 0.0)
        total += cosine
        local += cosine * sets.local[i, j]
        far += cosine * sets.far_related[i, j]
    assert found.by_loss_change is None
    assert found.by_cosine.local.mass.value == pytest.approx(local / total, rel=1e-9)
    assert found.by_cosine.global_.mass.value == pytest.approx(far / total, rel=1e-9)


def rng_of(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_masses_of_masked_inputs_are_those_of_gradients_at_codes_with_noise_of_their_own() -> None:
    data, users = world(), np.arange(0, 60, 4)
    recommender = model(data.n_items, keep_probability=0.5)
    found = collaboration_mass(
        recommender, data, users=users, n_samples=2, k=3, n_sources=0, masked=True, rng=rng_of(5)
    )
    rng = rng_of(5)
    draws = masked_posteriors(recommender, data.matrix[users], 2, rng=rng)
    codes = np.stack([q.mu + q.sigma * rng.standard_normal(q.mu.shape) for q in draws], axis=1)
    g = np.array(gradients(recommender, data.dense(users), codes))
    g /= np.linalg.norm(g, axis=1, keepdims=True)
    expected = help_by_distance(g @ g.T, pair_sets(data, users, k=3))
    np.testing.assert_allclose(found.by_cosine.per_user_local, expected.per_user_local, rtol=1e-9)


def test_small_steps_help_in_proportion_to_the_inner_products() -> None:
    data, users = world(), np.arange(0, 60, 3)
    recommender = model(data.n_items)
    found = collaboration_mass(
        recommender, data, users=users, n_samples=2, k=3, learning_rate=1e-9, n_sources=7, rng=rng_of(2)
    )
    rng = rng_of(2)
    codes = recommender.posterior(data.matrix[users]).sample(2, rng, noise="independent")
    sources = np.sort(rng.permutation(len(users))[:7])
    g = np.array(gradients(recommender, data.dense(users), codes))
    products = np.full((20, 20), np.nan)
    products[:, sources] = g @ g[sources].T
    expected = help_by_distance(products, pair_sets(data, users, k=3))
    assert found.by_loss_change is not None
    assert found.sources.tolist() == users[sources].tolist()
    assert found.by_loss_change.local.lift.value == pytest.approx(expected.local.lift.value, rel=1e-5)
    np.testing.assert_allclose(found.by_loss_change.per_user_global, expected.per_user_global, rtol=1e-5)


def random_help(n: int, seed: int = 0) -> tuple[np.ndarray, PairSets]:
    rng = np.random.default_rng(seed)
    kind = rng.integers(0, 3, (n, n))
    np.fill_diagonal(kind, 2)
    return rng.standard_normal((n, n)), PairSets(1, kind == 0, kind == 1)


def test_intervals_are_those_of_the_grouped_jackknife_on_the_pairs() -> None:
    values, sets = random_help(50)
    values[:, ::3] = np.nan
    found = help_by_distance(values, sets)
    i, j = np.nonzero(~np.isnan(values) & ~np.eye(50, dtype=bool))
    given, local, far = np.maximum(values[i, j], 0), sets.local[i, j], sets.far_related[i, j]

    def lift(chosen: np.ndarray, part: np.ndarray) -> float:
        return float((given * part)[chosen].sum() / given[chosen].sum() / part[chosen].mean())

    mass = grouped_jackknife(lambda c: float((given * local)[c].sum() / given[c].sum()), i, j)
    difference = grouped_jackknife(lambda c: lift(c, local) - lift(c, far), i, j)
    for mine, theirs in ((found.local.mass, mass), (found.lift_difference, difference)):
        assert (mine.value, mine.low, mine.high) == pytest.approx((theirs.value, theirs.low, theirs.high), rel=1e-9)
        assert mine.n == theirs.n


def test_shares_of_a_user_are_those_of_the_help_it_receives() -> None:
    values, sets = random_help(12, seed=3)
    values[4] = -1.0
    found = help_by_distance(values, sets)
    for u in (0, 5, 11):
        others = [v for v in range(12) if v != u]
        total = sum(max(values[u, v], 0) for v in others)
        assert found.per_user_local[u] == pytest.approx(
            sum(max(values[u, v], 0) * sets.local[u, v] for v in others) / total
        )
    assert np.isnan(found.per_user_local[4])


def test_pairs_at_random_have_a_lift_of_one() -> None:
    inside = 0
    for seed in range(40):
        values, sets = random_help(60, seed)
        found = help_by_distance(values, sets)
        inside += found.lift_difference.low <= 0 <= found.lift_difference.high
    assert inside >= 34


def test_local_pairs_dominate_where_help_falls_with_distance() -> None:
    _, sets = random_help(40)
    assert help_by_distance(np.where(sets.local, 2.0, 1.0), sets).local_dominates
    assert not help_by_distance(np.where(sets.far_related, 2.0, 1.0), sets).local_dominates


def test_nobody_helped_gives_no_share() -> None:
    values, sets = random_help(20)
    found = help_by_distance(-np.abs(values), sets)
    assert np.isnan(found.local.mass.value)
    assert not found.local_dominates


def test_masked_codes_have_a_mask_each() -> None:
    data = world()
    recommender = model(data.n_items, keep_probability=0.5)
    options = {"users": np.arange(40), "n_sources": 0, "masked": True}
    own = collaboration_mass(recommender, data, rng=rng_of(3), **options)

    def encode(contents: sparse.csr_array, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        return masked_posteriors(recommender, contents, 1, rng=rng)[0].numpy()

    blind = Recommender(recommender.encode, recommender.decoder, recommender.likelihood)
    with pytest.raises(PremiseNotMet, match="encode_masked"):
        collaboration_mass(blind, data, rng=rng_of(3), **options)
    told = collaboration_mass(blind, data, rng=rng_of(3), encode_masked=encode, **options)
    clean = collaboration_mass(recommender, data, rng=rng_of(3), users=np.arange(40), n_sources=0)
    assert told.by_cosine.local.mass == own.by_cosine.local.mass != clean.by_cosine.local.mass


@pytest.mark.parametrize(
    ("users", "message"),
    [([1, 1, 2], "twice"), ([0, 1, 99], "row numbers"), ([0, 1], "at least 3"), ([0, 1, 2], "none")],
)
def test_users_that_cannot_be_measured_are_refused(users: list[int], message: str) -> None:
    x = np.ones((4, 5))
    x[2] = 0
    with pytest.raises(InvalidInput, match=message):
        collaboration_mass(model(5), of_dense(x), users=np.array(users), rng=rng_of(0))
