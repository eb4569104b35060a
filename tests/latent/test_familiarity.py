"""Familiarity by counting, partial correlations against closed forms, and experiments on models of known behaviour."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from scipy import sparse
from torch import nn

from collabtheory.data import Interactions
from collabtheory.data.interactions import binary_csr
from collabtheory.data.planted import PlantedWorld, generate
from collabtheory.errors import InvalidInput
from collabtheory.latent.changed_histories import length_experiment, replace_items
from collabtheory.latent.code_sparsity import CodeSparsity
from collabtheory.latent.collaboration_values import Values
from collabtheory.latent.familiarity import Familiarity, familiarity, familiarity_effects, partial_rank_correlation
from collabtheory.latent.familiarity_report import add_familiarity
from collabtheory.models import ModelSpec, MultVAE, from_mult_vae
from collabtheory.models.recommender import Recommender
from collabtheory.stats import partial_spearman


def interactions(n_users: int = 80, n_items: int = 60, seed: int = 0) -> Interactions:
    rng = np.random.default_rng(seed)
    likes = np.clip(rng.random((n_users, 1)) * rng.random(n_items) ** 2 * 1.2, 0, 1)
    x = rng.random((n_users, n_items)) < likes
    x[:, 0] |= x.sum(1) == 0
    return of_contents(x)


def of_contents(x: np.ndarray) -> Interactions:
    rows = sparse.csr_array(x.astype(np.float32))
    rows.sort_indices()
    return Interactions(binary_csr(rows.indptr, rows.indices, rows.shape), np.arange(x.shape[0]), np.arange(x.shape[1]))


def counting_model(n_items: int, weights: np.ndarray | None = None) -> Recommender:
    """Means are ``(sum of the items' weights, 0)`` and sigma 1: KL is half the square, sparsity 1."""
    weights = np.ones(n_items) if weights is None else weights

    def encode(contents: sparse.csr_array) -> tuple[np.ndarray, np.ndarray]:
        mu = np.zeros((contents.shape[0], 2))
        mu[:, 0] = contents @ weights
        return mu, np.ones_like(mu)

    return Recommender(encode, nn.Linear(2, n_items), "multinomial")


def test_familiarity_is_what_counting_gives() -> None:
    data = interactions()
    x = data.dense()
    users = np.array([3, 10, 11, 40, 79])
    found = familiarity(data, users)
    for position, u in enumerate(users):
        items = np.flatnonzero(x[u])
        others = np.delete(x, u, axis=0)
        assert found.history[position] == len(items)
        assert found.popularity[position] == pytest.approx(np.log(x.mean(0)[items]).mean())
        counts = others.sum(0)
        pairs = [
            (others[:, i] @ others[:, j]) / np.sqrt(counts[i] * counts[j]) if counts[i] and counts[j] else 0.0
            for i, j in itertools.permutations(items, 2)
        ]
        expected = np.mean(pairs) if pairs else np.nan
        assert found.typicality[position] == pytest.approx(expected, nan_ok=True)


def test_user_without_items_is_refused() -> None:
    data = interactions().select_items(np.arange(30, 60))
    empty = np.flatnonzero(data.sizes == 0)
    with pytest.raises(InvalidInput, match=f"row {empty[0]}"):
        familiarity(data, empty)


def test_partial_correlation_with_one_control_is_the_published_formula() -> None:
    rng = np.random.default_rng(0)
    z = rng.standard_normal(50)
    x, y = z + rng.standard_normal(50), z + rng.standard_normal(50)
    assert partial_rank_correlation(x, y, z[None]) == pytest.approx(partial_spearman(x, y, z), rel=1e-12)


def test_partial_correlation_with_two_controls_is_that_of_the_inverse_matrix() -> None:
    rng = np.random.default_rng(1)
    table = rng.standard_normal((4, 4)) @ rng.standard_normal((4, 60))
    ranks = table.argsort(1).argsort(1)
    precision = np.linalg.inv(np.corrcoef(ranks))
    expected = -precision[0, 1] / np.sqrt(precision[0, 0] * precision[1, 1])
    assert partial_rank_correlation(table[0], table[1], table[2:]) == pytest.approx(expected, rel=1e-10)


def test_side_that_follows_from_the_controls_has_no_partial_correlation() -> None:
    rng = np.random.default_rng(2)
    z, y = rng.standard_normal((2, 30))
    assert np.isnan(partial_rank_correlation(np.exp(z), y, z[None]))
    assert np.isnan(partial_rank_correlation(z[:3], y[:3], z[None, :3]))


def test_confounded_familiarity_correlates_plainly_but_not_given_the_cause() -> None:
    rng = np.random.default_rng(3)
    history = rng.standard_normal(600)
    popularity = history + 0.5 * rng.standard_normal(600)
    kl = history + 0.5 * rng.standard_normal(600)
    nothing = rng.standard_normal(600)
    outcomes = CodeSparsity(nothing, nothing, nothing, nothing, kl)
    effects = {
        (e.familiarity, e.outcome): e for e in familiarity_effects(Familiarity(history, popularity, nothing), outcomes)
    }
    assert effects["popularity", "kl"].plain.low > 0.5
    assert effects["popularity", "kl"].given_others.low < 0.05
    assert effects["popularity", "kl"].given_others.high > -0.05
    assert effects["history", "kl"].given_others.low > 0.5


def test_numbers_that_are_not_defined_leave_the_user_out() -> None:
    rng = np.random.default_rng(4)
    a, b, c, d = rng.standard_normal((4, 40))
    c[:5], d[35:] = np.nan, np.nan
    effects = familiarity_effects(Familiarity(a, b, c), CodeSparsity(d, d, d, d, b))
    assert {e.outcome: e.plain.n for e in effects}["hoyer_mean"] == 30
    assert {e.outcome: e.plain.n for e in effects}["kl"] == 35


def test_length_changes_a_code_by_what_the_model_is_made_to_do() -> None:
    data = interactions()
    found = length_experiment(counting_model(60), data, np.arange(80), lengths=(2, 4, 8), rng=np.random.default_rng(0))
    assert found.users.tolist() == np.flatnonzero(data.sizes >= 8).tolist()
    # KL = length^2 / 2: 2, 8, 32.
    assert set(found.shortest_minus_longest("kl").tolist()) == {-30.0}
    np.testing.assert_allclose(found.per_doubling("kl"), np.polyfit([1, 2, 3], [2, 8, 32], 1)[0])


def test_shorter_part_is_a_part_of_the_longer_one() -> None:
    data = interactions()
    seen: list[np.ndarray] = []

    def encode(contents: sparse.csr_array) -> tuple[np.ndarray, np.ndarray]:
        seen.append(contents.toarray())
        return np.ones((contents.shape[0], 2)), np.ones((contents.shape[0], 2))

    model = Recommender(encode, nn.Linear(2, 60), "multinomial")
    users = length_experiment(model, data, np.arange(80), lengths=(3, 6, 9), rng=np.random.default_rng(1)).users
    full = data.dense(users)
    for part, whole in itertools.pairwise([*seen, full]):
        assert (part <= whole).all()
    assert [set(part.sum(1).tolist()) for part in seen] == [{3.0}, {6.0}, {9.0}]


def test_lengths_that_nobody_has_are_refused() -> None:
    with pytest.raises(InvalidInput, match="no user has 1000"):
        length_experiment(
            counting_model(60), interactions(), np.arange(80), lengths=(5, 1000), rng=np.random.default_rng(0)
        )


def test_reported_changes_are_those_that_the_model_is_made_to_show() -> None:
    data = interactions(200, 600)
    data = data.select_users(data.sizes <= 60)
    # Nothing but the sum of log popularities matters to this model.
    logs = np.log1p(np.asarray(data.matrix.sum(0), dtype=np.float64).ravel())
    values = Values(data.n_users)
    add_familiarity(values, counting_model(600, logs), data, np.arange(data.n_users), rng=np.random.default_rng(0))
    found = {name.removeprefix("familiarity."): value for name, value in values.as_json()["values"].items()}
    assert found["popular_minus_rare.kl"]["low"] > 0
    assert found["uniform_items.kl"]["high"] < 0
    assert found["per_doubling.kl"]["low"] > 0 > found["shorter_history.kl"]["high"]
    assert found["partial.history.kl"]["low"] > 0.5
    for outcome in ("kl", "popularity"):
        popular, unrelated = (found[f"{name}.{outcome}"]["value"] for name in ("popular_minus_rare", "unrelated_items"))
        assert abs(unrelated) < 0.05 * popular


def test_unrelated_items_take_away_what_coherent_histories_have() -> None:
    # Users have items of one half of the catalogue; the model looks at the half that they have more of.
    rng = np.random.default_rng(0)
    x = rng.random((80, 200)) < 0.15
    x[:40, 1::2], x[40:, ::2] = False, False
    halves = np.eye(2)[np.arange(200) % 2]

    def encode(contents: sparse.csr_array) -> tuple[np.ndarray, np.ndarray]:
        most = np.asarray(contents @ halves).max(1)
        return np.stack([most, np.zeros_like(most)], axis=1), np.ones((len(most), 2))

    values = Values(80)
    model = Recommender(encode, nn.Linear(2, 200), "multinomial")
    add_familiarity(values, model, of_contents(x), np.arange(80), rng=rng)
    assert values.as_json()["values"]["familiarity.unrelated_items.kl"]["high"] < -10


@pytest.mark.parametrize("kind", ["similar", "popular", "rare", "uniform"])
def test_exchanged_items_are_as_many_and_new(kind: str) -> None:
    data = interactions()
    data = data.select_users(data.sizes <= 30)
    counts = np.asarray(data.matrix.sum(0)).ravel()
    changed = replace_items(data.matrix, counts, kind, rng=np.random.default_rng(0)).toarray()
    before = data.dense()
    np.testing.assert_array_equal(changed.sum(1), before.sum(1))
    assert set(np.unique(changed)) == {0.0, 1.0}
    assert (changed * before).sum() == 0


def test_kinds_differ_in_popularity_as_they_say_and_the_same_items_go() -> None:
    data = interactions(200, 300)
    counts = np.asarray(data.matrix.sum(0), dtype=np.float64).ravel()
    small = data.matrix[data.sizes <= 60]
    sizes = np.diff(small.indptr)

    def changed(kind: str, share: float) -> np.ndarray:
        return replace_items(small, counts, kind, share=share, rng=np.random.default_rng(5)).toarray()

    def popularity(x: np.ndarray) -> float:
        return float((x @ counts / sizes).mean())

    before = small.toarray()
    assert popularity(changed("popular", 1.0)) > 1.2 * popularity(before) > 1.2 * popularity(changed("rare", 1.0))
    assert popularity(changed("similar", 1.0)) == pytest.approx(popularity(before), rel=0.1)
    half = [changed(kind, 0.5) * before for kind in ("popular", "rare", "similar")]
    np.testing.assert_array_equal(half[0], half[1])
    np.testing.assert_array_equal(half[0], half[2])
    np.testing.assert_array_equal(half[0].sum(1), sizes - np.maximum(1, np.rint(0.5 * sizes)))


def test_history_with_too_many_items_cannot_be_exchanged() -> None:
    x = sparse.csr_array(np.array([[1.0, 1, 1, 0]]))
    with pytest.raises(InvalidInput, match="has not 3 others"):
        replace_items(x, np.ones(4), "uniform", rng=np.random.default_rng(0))
    for options, message in (({"kind": "new"}, "one of"), ({"kind": "rare", "share": 0.0}, "share")):
        with pytest.raises(InvalidInput, match=message):
            replace_items(x, np.ones(4), rng=np.random.default_rng(0), **options)  # type: ignore[arg-type]


def test_where_histories_are_short_the_code_is_followed_from_half_of_them_to_all():
    rng = np.random.default_rng(0)
    world = generate(PlantedWorld(n_users=60), 0)
    kept = sparse.csr_array(np.vstack([_first_items(world.matrix[[row]].toarray(), 7) for row in range(60)]))
    short = replace(world, matrix=kept, timestamps=None)
    model = from_mult_vae(MultVAE(ModelSpec(hidden=(4,), latent=3), short.n_items, rng))
    values = Values(60)
    add_familiarity(values, model, short, np.arange(60), rng=rng)
    found = values.as_json()
    assert found["values"]["familiarity.per_doubling.kl"]["n"] == 60
    assert all(value is not None for value in found["per_user"]["familiarity.per_doubling.kl"])


def _first_items(row, n):
    kept = np.zeros_like(row)
    kept[0, np.flatnonzero(row[0])[:n]] = 1
    return kept
