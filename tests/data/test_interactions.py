import dataclasses
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_array

from collabtheory.data import Interactions, PlantedWorld, generate
from collabtheory.errors import DataError, InvalidInput, OutputError

PAIRS = [("b", 3), ("a", 1), ("b", 1), ("c", 7)]


def example(**changes):
    data = Interactions.from_pairs([u for u, _ in PAIRS], [i for _, i in PAIRS], timestamps=[30, 10, 20, 40])
    return dataclasses.replace(data, **changes)


def pairs_of(data):
    coo = data.matrix.tocoo()
    return {(data.user_ids[u], data.item_ids[i]) for u, i in zip(coo.row, coo.col, strict=True)}


@given(st.sets(st.tuples(st.integers(-(2**63), 2**63 - 1), st.text(min_size=1).filter(str.isalnum)), min_size=1))
def test_from_pairs_keeps_exactly_the_pairs_given(pairs):
    users, items = zip(*pairs, strict=True)
    data = Interactions.from_pairs(np.array(users, dtype=np.int64), list(items))
    assert pairs_of(data) == pairs
    assert list(data.user_ids) == sorted(set(users))
    assert list(data.item_ids) == sorted(set(items))
    assert data.sizes.tolist() == [sum(user == u for u, _ in pairs) for user in data.user_ids]


def test_counts_density_and_timestamps_follow_the_entries():
    data = example()
    assert (data.n_users, data.n_items, data.n_interactions) == (3, 3, 4)
    assert data.density == 4 / 9
    assert data.dense().tolist() == [[1, 0, 0], [1, 1, 0], [0, 0, 1]]
    assert data.timestamps.tolist() == [10, 20, 30, 40]
    assert data.matrix.dtype == np.float32
    assert data.dense([1]).dtype == np.float64


def test_selections_agree_with_dense_indexing():
    rng = np.random.default_rng(0)
    dense = rng.random((20, 15)) < 0.3
    users, items = np.nonzero(dense)
    times = 100 * users + items
    data = Interactions.from_pairs(users, items, timestamps=times)
    rows, columns = rng.permutation(data.n_users)[:9], rng.permutation(data.n_items)[:6]
    chosen = data.select_users(rows).select_items(columns)
    assert np.array_equal(chosen.dense(), data.dense()[np.ix_(rows, columns)])
    coo = chosen.matrix.tocoo()
    assert chosen.timestamps.tolist() == (100 * chosen.user_ids[coo.row] + chosen.item_ids[coo.col]).tolist()
    mask = np.arange(data.n_users) % 2 == 0
    assert np.array_equal(data.select_users(mask).dense(), data.dense()[mask])


def test_selection_of_nothing_is_empty_and_has_density_zero():
    empty = example().select_users([])
    assert (empty.n_users, empty.n_items, empty.density) == (0, 3, 0.0)


@pytest.mark.parametrize("rows", [[0, 0], [3], [-1], [0.5], [True]])
def test_selection_refuses_bad_rows(rows):
    with pytest.raises(InvalidInput, match="rows"):
        example().select_users(rows)


def test_fingerprint_is_of_content_only():
    data = example()
    shuffled = Interactions.from_pairs(*zip(*PAIRS[::-1], strict=True), name="another")
    assert data.fingerprint == shuffled.fingerprint
    assert len(data.fingerprint) == 64
    others = [data.select_users([0, 1]), data.select_users([1, 0, 2]), data.select_items([0, 1])]
    renamed = dataclasses.replace(data, user_ids=np.array(["a", "b", "d"], dtype=object))
    joined = dataclasses.replace(data, user_ids=np.array(["ab", "", "c"], dtype=object))
    parted = dataclasses.replace(data, user_ids=np.array(["a", "b", "c0"], dtype=object))
    prints = [x.fingerprint for x in (data, *others, renamed, joined, parted)]
    assert len(set(prints)) == len(prints)


def test_fingerprint_is_the_same_in_another_process():
    code = "from collabtheory.data import load; print(load('davis').fingerprint)"
    prints = {
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PYTHONHASHSEED": seed}
        ).stdout
        for seed in ("1", "2")
    }
    assert len(prints) == 1


def test_save_and_load_give_everything_back(tmp_path):
    world = generate(PlantedWorld(n_users=40), seed=1)
    world = dataclasses.replace(world, timestamps=np.arange(world.n_interactions))
    for data in (world, example(), example(user_ids=np.array(["ä", "b " * 50, "日本"], dtype=object))):
        back = Interactions.load(data.save(tmp_path / "deeper" / "data.npz"))
        assert back.fingerprint == data.fingerprint
        assert (back.name, back.filters) == (data.name, data.filters)
        for field in ("user_ids", "item_ids", "item_titles", "item_genres", "timestamps"):
            assert np.array_equal(getattr(back, field), getattr(data, field)) or getattr(data, field) is None
        if data.truth is not None:
            assert back.truth.to_dict("list") == data.truth.to_dict("list")


def test_save_leaves_no_half_written_file(tmp_path, monkeypatch):
    def fail(stream, **arrays):
        stream.write(b"half")
        raise OSError(28, "No space left on device")

    path = example().save(tmp_path / "data.npz")
    before = path.read_bytes()
    monkeypatch.setattr(np, "savez", fail)
    with pytest.raises(OutputError, match=r"data.npz.*No space left"):
        example().save(path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir() if p.name != "cache"] == ["data.npz"]


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 not a zip", b"user,item\n1,2\n", b"\x80\x04."])
def test_load_refuses_other_files(write, content):
    with pytest.raises(DataError, match=r"x\.npz"):
        Interactions.load(write("x.npz", content))


def test_load_refuses_indices_outside_the_matrix(tmp_path):
    path = example().save(tmp_path / "x.npz")
    with np.load(path) as archive:
        arrays = dict(archive)
    arrays["indices"] = arrays["indices"] + 100
    np.savez(path, **arrays)
    with pytest.raises(DataError, match=r"x\.npz"):
        Interactions.load(path)


def test_load_never_unpickles(tmp_path):
    path = tmp_path / "x.npz"
    np.savez(path, header=np.array([{"a": 1}], dtype=object))
    with pytest.raises(DataError, match=r"x\.npz"):
        Interactions.load(path)


@pytest.mark.parametrize(
    ("changes", "argument"),
    [
        ({"user_ids": np.array([1, 2])}, "user_ids"),
        ({"user_ids": np.array([1, 2, 2])}, "user_ids"),
        ({"item_ids": np.array([1.0, 2.0, 3.0])}, "item_ids"),
        ({"item_titles": np.array(["x"], dtype=object)}, "item_titles"),
        ({"timestamps": np.array([1])}, "timestamps"),
        ({"matrix": np.eye(3)}, "matrix"),
        ({"matrix": csr_array(np.eye(3))}, "matrix"),
        ({"matrix": csr_array(2 * np.eye(3, dtype=np.float32))}, "matrix"),
        ({"matrix": csr_array((np.ones(2, np.float32), [1, 0], [0, 2, 2, 2]), (3, 3))}, "matrix"),
        ({"matrix": csr_array((np.ones(2, np.float32), [1, 1], [0, 2, 2, 2]), (3, 3))}, "matrix"),
    ],
)
def test_broken_interactions_are_refused(changes, argument):
    with pytest.raises(InvalidInput, match=argument):
        example(timestamps=None, **changes) if "timestamps" not in changes else example(**changes)


@pytest.mark.parametrize(
    ("users", "items", "message"),
    [
        ([1, 2], [1], "equally long"),
        ([1.5], [1], "users must be integers or text"),
        (["a", ""], [1, 2], "users has an id that is empty"),
        ([2**63], [1], "64 bits"),
        ([[1]], [1], "one-dimensional"),
        ([1, "a"], [1, 2], "never"),
    ],
)
def test_from_pairs_refuses_bad_ids(users, items, message):
    if message == "never":
        assert Interactions.from_pairs(users, items).user_ids.tolist() == ["1", "a"]
    else:
        with pytest.raises(InvalidInput, match=message):
            Interactions.from_pairs(users, items)


def test_from_pairs_names_the_first_repeated_row_and_can_keep_either():
    users, items, times = [1, 1, 2, 1, 1], [5, 6, 5, 5, 6], [50, 10, 20, 30, 40]
    with pytest.raises(DataError, match=r"row 4: user 1 has item 5 a second time.*duplicates="):
        Interactions.from_pairs(users, items)
    kept = {
        how: Interactions.from_pairs(users, items, timestamps=times, duplicates=how).timestamps.tolist()
        for how in ("first", "last", "max")
    }
    assert kept == {"first": [50, 10, 20], "last": [30, 40, 20], "max": [50, 40, 20]}
    with pytest.raises(InvalidInput, match="duplicates must be one of"):
        Interactions.from_pairs(users, items, duplicates="mean")


def test_importing_the_data_package_does_not_import_torch():
    code = "import sys, collabtheory.data; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
