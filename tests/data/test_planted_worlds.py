import dataclasses
import resource
import time
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import vstack

from collabtheory.data import (
    RELATIONS,
    Interactions,
    PlantedWorld,
    generate,
    load,
    relation,
    stream,
    strong_generalisation,
)
from collabtheory.data.planted_draws import Population, draw_items
from collabtheory.data.planted_tables import PlantedTables
from collabtheory.errors import InvalidInput


def item_sets(data):
    return [
        frozenset(data.matrix.indices[a:b].tolist())
        for a, b in zip(data.matrix.indptr[:-1], data.matrix.indptr[1:], strict=True)
    ]


def plain_relation(truth, u, v):
    """The relation of one pair, by reading its two rows."""
    a, b = truth.iloc[u], truth.iloc[v]
    if u == v:
        return "self"
    if a["partner"] == b["user"]:
        return {"exact_twin": "exact_twin", "twin": "twin"}[a["role"]]
    if "bridge" not in (a["role"], b["role"]):
        if a["community"] == b["community"]:
            return "near"
        if a["theme"] == b["theme"] and {a["shelf"], b["shelf"]} == {0, 1}:
            return "far_related"
    return "same_theme" if a["theme"] == b["theme"] else "unrelated"


worlds = st.builds(
    PlantedWorld,
    n_users=st.integers(2, 90),
    n_items=st.sampled_from([160, 320]),
    n_themes=st.sampled_from([2, 4]),
    n_communities=st.sampled_from([8, 16]),
    mean_items=st.sampled_from([6.0, 12.0]),
    min_items=st.integers(3, 6),
    size_spread=st.floats(0, 1),
    popularity_exponent=st.floats(0, 3),
    taste=st.floats(0, 3),
    mixing=st.floats(0, 0.5),
    bridge_share=st.floats(0, 0.5),
    exact_twin_share=st.floats(0, 0.5),
    twin_share=st.floats(0, 0.4),
    block_users=st.sampled_from([2, 7, 1000]),
)


@settings(max_examples=40, deadline=None)
@given(world=worlds, seed=st.integers(0, 3))
def test_planted_relations_hold_in_the_item_sets(world, seed):
    data = generate(world, seed)
    sets, truth = item_sets(data), data.truth
    u, v = (grid.ravel() for grid in np.meshgrid(np.arange(data.n_users), np.arange(data.n_users), indexing="ij"))
    relations = relation(truth, u, v)
    for a, b, name in zip(u[::3], v[::3], relations[::3], strict=True):
        shared, apart = len(sets[a] & sets[b]), len(sets[a] ^ sets[b])
        assert name == plain_relation(truth, a, b)
        if name == "exact_twin":
            assert apart == 0
        elif name == "twin":
            assert apart in (1, 2)
        elif name == "near":
            assert shared >= 1
        elif name == "far_related":
            assert shared == 0
    assert set(relations) <= set(RELATIONS)


@settings(max_examples=40, deadline=None)
@given(world=worlds, seed=st.integers(0, 3))
def test_world_is_the_concatenation_of_its_stream_and_blocks_stand_alone(world, seed):
    data, blocks = generate(world, seed), list(stream(world, seed))
    assert [block.first_user for block in blocks] == list(range(0, world.n_users, world.block_users))
    assert (vstack([block.matrix for block in blocks]) != data.matrix).nnz == 0
    assert np.concatenate([block.truth["user"] for block in blocks]).tolist() == list(range(world.n_users))
    longer = dataclasses.replace(world, n_users=world.n_users + world.block_users)
    assert (next(stream(longer, seed)).matrix[: len(blocks[0].truth)] != blocks[0].matrix).nnz == 0 or len(blocks) == 1
    assert data.sizes.min() >= world.min_items - 1
    assert data.sizes.max() <= world.max_items + 1


def test_default_world_has_members_of_every_relation_and_the_stated_size():
    data = load("planted")
    assert (data.n_users, data.n_items) == (1000, 480)
    assert 28 <= data.sizes.mean() <= 35
    u, v = np.triu_indices(1000, 1)
    counts = Counter(relation(data.truth, u, v))
    assert counts["exact_twin"] == 30
    assert counts["twin"] == 50
    assert min(counts[name] for name in ("near", "far_related", "same_theme", "unrelated")) > 10_000
    assert data.item_titles[131] == "theme 2 / item 12"
    assert data.item_genres[131] == "theme 2"


def test_seed_decides_everything():
    assert load("planted").fingerprint == generate(PlantedWorld(), 0).fingerprint == load("planted", seed=0).fingerprint
    assert load("planted", seed=1).fingerprint != load("planted").fingerprint


def test_default_world_is_the_same_as_ever():
    """A change of the generator changes every published number, so it must be made on purpose."""
    assert load("planted").fingerprint[:16] == "2f08d07b26e4f758"


def test_relations_survive_selection_filtering_and_storage(tmp_path):
    data = generate(PlantedWorld(n_users=300), 2)
    rows = np.random.default_rng(0).permutation(300)[:120]
    chosen = data.select_users(rows)
    back = Interactions.load(chosen.save(tmp_path / "x.npz"))
    u, v = np.triu_indices(120, 1)
    expected = relation(data.truth, rows[u], rows[v])
    assert np.array_equal(relation(chosen.truth, u, v), expected)
    assert np.array_equal(relation(back.truth, u, v), expected)
    assert relation(data.truth, 3, 3).item() == "self"


def test_popularity_inside_a_shelf_is_a_power_law():
    world = PlantedWorld(n_users=4000, n_items=2000, n_themes=2, n_communities=4, taste=0.0, mean_items=20, mixing=0.0)
    world = dataclasses.replace(world, bridge_share=0.0, exact_twin_share=0.0, twin_share=0.0, popularity_exponent=1.0)
    data = generate(world, 0)
    counts = np.asarray(data.matrix.sum(axis=0)).ravel().reshape(4, 500)
    ranked = np.sort(counts, axis=1)[:, ::-1].sum(axis=0)
    # The head saturates (an item is taken once) and the tail is thin, so the slope is read in the middle.
    rank = np.arange(20, 150)
    slope = np.polyfit(np.log(rank), np.log(ranked[rank - 1]), 1)[0]
    assert -1.15 < slope < -0.85


def test_draws_without_replacement_follow_successive_sampling():
    """Three items with weights 4, 2, 1, one of them always there: the other of two is drawn in proportion."""
    weights = np.array([[1.0, 4.0, 2.0, 1.0]])
    cumulative = np.repeat(np.cumsum(weights, axis=1) / weights.sum(), 4, axis=0)
    tables = PlantedTables(np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1]), 4 * np.arange(4), cumulative, cumulative)
    n = 30_000
    population = Population(np.zeros(n, int), np.ones(n, int), np.zeros(n, bool), np.full(n, 2))
    drawn = draw_items(tables, population, 0.0, np.random.default_rng(0)).reshape(n, 2)
    assert (drawn[:, 0] == 0).all()
    frequencies = np.bincount(drawn[:, 1], minlength=4)[1:] / n
    assert np.abs(frequencies - np.array([4, 2, 1]) / 7).max() < 4 * np.sqrt(0.25 / n)


def test_mixing_and_bridges_set_the_shares_they_name():
    """On shelves so wide that hardly a draw is repeated; signature items are not drawn and do not count."""
    world = PlantedWorld(n_users=3000, n_items=40_000, n_themes=2, n_communities=4, mean_items=10, min_items=5)
    world = dataclasses.replace(world, popularity_exponent=0.0, taste=0.0, mixing=0.2, bridge_share=0.3)
    data = generate(dataclasses.replace(world, exact_twin_share=0.0, twin_share=0.0), 5)
    truth, bridge = data.truth, (data.truth["role"] == "bridge").to_numpy()
    coo = data.matrix.tocoo()
    shelf_of_entry, theme_of_entry = coo.col // world.shelf_items, coo.col // (2 * world.shelf_items)
    away = theme_of_entry != truth["theme"].to_numpy()[coo.row]
    n_drawn = data.n_interactions - data.n_users - bridge.sum()
    assert abs(away.sum() / n_drawn - 0.2) < 4 * np.sqrt(0.16 / n_drawn)
    assert abs(bridge.mean() - 0.3) < 4 * np.sqrt(0.21 / data.n_users)
    at_home = bridge[coo.row] & ~away
    upper = shelf_of_entry[at_home] % 2
    assert abs(upper.mean() - 0.5) < 4 * np.sqrt(0.25 / at_home.sum())


def test_theme_structure_beats_popularity_clearly():
    data = load("planted")
    split = strong_generalisation(data, n_test=200, n_validation=1, rng=np.random.default_rng(0))
    train, seen, held = split.train.dense(), split.test.fold_in.toarray(), split.test.held_out.toarray()

    def recall(scores):
        top = np.argsort(np.where(seen > 0, -np.inf, scores), axis=1)[:, ::-1][:, :20]
        return (np.take_along_axis(held, top, 1).sum(1) / np.minimum(held.sum(1), 20)).mean()

    popularity = recall(np.tile(train.sum(axis=0), (len(seen), 1)))
    neighbours = recall(seen @ (train.T @ train))
    assert neighbours > 3 * popularity
    assert neighbours > 0.5


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ({"n_users": 0}, "n_users"),
        ({"n_users": 2.5}, "n_users"),
        ({"n_themes": 1}, "n_themes"),
        ({"n_items": 481}, "n_items must be a multiple"),
        ({"n_communities": 4}, "n_communities must be a multiple"),
        ({"mean_items": 500}, "mean_items"),
        ({"mean_items": float("nan")}, "mean_items"),
        ({"mixing": 0.9}, "mixing"),
        ({"mixing": float("nan")}, "mixing"),
        ({"bridge_share": -0.1}, "bridge_share"),
        ({"popularity_exponent": -1}, "popularity_exponent"),
        ({"twin_share": 0.5}, "twin_share"),
        ({"min_items": 2}, "min_items"),
        ({"block_users": 1}, "block_users"),
    ],
)
def test_impossible_worlds_are_refused(values, name):
    with pytest.raises(InvalidInput, match=name):
        PlantedWorld(**values)


def test_relation_refuses_other_tables_and_rows():
    truth = generate(PlantedWorld(n_users=10), 0).truth
    with pytest.raises(InvalidInput, match="truth lacks the column 'shelf'"):
        relation(truth.drop(columns="shelf"), 0, 1)
    with pytest.raises(InvalidInput, match=r"v must lie in 0..9"):
        relation(truth, 0, 10)


def test_large_worlds_stream_in_bounded_memory():
    world = PlantedWorld(n_users=100_000, n_items=100_000, n_themes=100, n_communities=1000, mean_items=20, min_items=5)
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    n_users = n_interactions = 0
    for block in stream(world, 0):
        n_users += block.matrix.shape[0]
        n_interactions += block.matrix.nnz
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert n_users == 100_000
    assert 19.5 < n_interactions / n_users < 20.5
    assert grown < 400, f"{grown:.0f} MiB"
    assert time.process_time() - start < 18
