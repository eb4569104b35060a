import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collabtheory.data import (
    Interactions,
    PlantedWorld,
    generate,
    load,
    split_by_users,
    strong_generalisation,
    user_folds,
)
from collabtheory.errors import DataError, InvalidInput


def rng(seed=0):
    return np.random.default_rng(seed)


def random_data(seed, n_users=40, n_items=25, density=0.2):
    draw = np.random.default_rng(seed)
    users, items = np.nonzero(draw.random((n_users, n_items)) < density)
    return Interactions.from_pairs(users, items)


def check_split(data, split, fraction):
    """The rules of the protocol, one user at a time over sets."""
    of_user = [set(np.flatnonzero(row)) for row in data.dense()]
    kept = set().union(*(of_user[row] for row in split.train_rows))
    assert set(split.items) == kept
    assert np.array_equal(split.train.dense(), data.dense()[np.ix_(split.train_rows, split.items)])
    seen = set(split.train_rows)
    for part in (split.validation, split.test):
        for position, row in enumerate(part.rows):
            shown = {split.items[i] for i in np.flatnonzero(part.fold_in.toarray()[position])}
            hidden = {split.items[i] for i in np.flatnonzero(part.held_out.toarray()[position])}
            assert shown | hidden == of_user[row] & kept
            assert not shown & hidden
            n = len(shown | hidden)
            assert len(hidden) == min(max(1, int(fraction * n + 1e-9)), n - 1)
        for row in part.rows_left_out:
            assert len(of_user[row] & kept) < 2
        assert not seen & {*part.rows, *part.rows_left_out}
        seen |= {*part.rows, *part.rows_left_out}
        assert part.fold_in.shape == part.held_out.shape == (part.n_users, len(split.items))
    assert seen == set(range(data.n_users))
    lost = sum(len(of_user[row] - kept) for row in set(range(data.n_users)) - set(split.train_rows))
    assert split.n_interactions_removed == lost
    assert split.n_items_removed == data.n_items - len(kept)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 1000), fraction=st.sampled_from([0.1, 0.2, 0.5, 0.9]), density=st.sampled_from([0.06, 0.2, 0.5])
)
def test_split_keeps_the_rules_of_the_protocol(seed, fraction, density):
    data = random_data(seed, density=density)
    problem = None
    try:
        split = strong_generalisation(data, n_validation=5, n_test=7, held_out_fraction=fraction, rng=rng(seed))
    except DataError as error:
        problem = str(error)
    if problem is None:
        check_split(data, split, fraction)
    else:
        assert "two items that train users have" in problem


def test_tenth_of_the_users_for_each_part_by_default():
    split = strong_generalisation(generate(PlantedWorld(), 0), rng=rng())
    assert (split.train.n_users, split.validation.n_users, split.test.n_users) == (800, 100, 100)
    assert "800 train, 100 validation, 100 test users" in str(split)


def test_same_seed_same_split_whatever_the_order_of_rows_and_columns():
    data = generate(PlantedWorld(n_users=60), 0)
    rows, columns = rng(5).permutation(data.n_users), rng(6).permutation(data.n_items)
    shuffled = data.select_users(rows).select_items(columns)

    def content(data, split):
        parts = []
        for part in (split.validation, split.test):
            for matrix in (part.fold_in, part.held_out):
                coo = matrix.tocoo()
                ids = zip(data.user_ids[part.rows[coo.row]], data.item_ids[split.items[coo.col]], strict=True)
                parts.append(sorted(map(tuple, ids)))
        return parts

    first = content(data, strong_generalisation(data, rng=rng(1)))
    assert first == content(data, strong_generalisation(data, rng=rng(1)))
    assert first == content(shuffled, strong_generalisation(shuffled, rng=rng(1)))
    assert first != content(data, strong_generalisation(data, rng=rng(2)))


@pytest.mark.parametrize("seed", range(20))
def test_davis_can_be_split(seed):
    data = load("davis")
    split = strong_generalisation(data, rng=rng(seed))
    check_split(data, split, 0.2)
    assert split.test.n_users == 2


@pytest.mark.parametrize("n_users", [3, 4, 6])
def test_tiny_data_give_a_split_or_one_clear_line(n_users):
    full = Interactions.from_pairs(np.repeat(np.arange(n_users), 4), np.tile(np.arange(4), n_users))
    check_split(full, strong_generalisation(full, rng=rng()), 0.2)
    apart = Interactions.from_pairs(np.arange(n_users), np.arange(n_users))
    with pytest.raises(
        DataError, match=r"none of the 1 validation users has two items that train users have; draw more"
    ):
        strong_generalisation(apart, rng=rng())


def test_users_without_two_known_items_are_left_out_and_counted():
    # Users 0 and 1 train, on items 1 to 4; of the tested, user 2 keeps 2 items, user 3 keeps 1, user 4 none.
    users = [0, 0, 0, 1, 1, 2, 2, 2, 3, 3, 4, 4]
    items = [1, 2, 3, 1, 4, 1, 4, 9, 2, 8, 8, 9]
    data = Interactions.from_pairs(users, items)
    split = split_by_users(data, np.array([], dtype=int), np.array([4, 2, 3]), rng=rng())
    assert split.test.rows.tolist() == [2]
    assert split.test.rows_left_out.tolist() == [3, 4]
    assert (split.n_items_removed, split.n_interactions_removed) == (2, 4)
    assert str(split).endswith("4 interactions with them, 2 users with fewer than 2 items left")
    check_split(data, split, 0.2)


def test_folds_test_every_user_once():
    data = generate(PlantedWorld(n_users=103), 1)
    splits = user_folds(data, 5, rng=rng())
    tested = np.concatenate([np.concatenate([s.test.rows, s.test.rows_left_out]) for s in splits])
    assert sorted(tested) == list(range(103))
    for split in splits:
        check_split(data, split, 0.2)
        assert split.validation.n_users == 10


def test_no_validation_users_is_allowed():
    split = strong_generalisation(generate(PlantedWorld(n_users=50), 0), n_validation=0, rng=rng())
    assert split.validation.n_users == 0
    assert split.validation.fold_in.shape[0] == 0


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (
            {"n_test": 15, "n_validation": 3},
            InvalidInput,
            r"n_validation \+ n_test must be below the 18 users; it is 18",
        ),
        ({"n_test": -1}, InvalidInput, "n_test"),
        ({"n_validation": 0.5}, InvalidInput, "n_validation"),
        ({"held_out_fraction": 0.0}, InvalidInput, "held_out_fraction"),
        ({"held_out_fraction": 1.0}, InvalidInput, "held_out_fraction"),
        ({"held_out_fraction": float("nan")}, InvalidInput, "held_out_fraction"),
    ],
)
def test_bad_arguments_are_named(arguments, error, message):
    with pytest.raises(error, match=message):
        strong_generalisation(load("davis"), rng=rng(), **arguments)


def test_too_few_users_and_shared_users_are_refused():
    data = load("davis")
    with pytest.raises(DataError, match="at least 3 users; there are 2"):
        strong_generalisation(data.select_users([0, 1]), rng=rng())
    with pytest.raises(InvalidInput, match="must not share a user"):
        split_by_users(data, np.array([1]), np.array([1, 2]), rng=rng())
    with pytest.raises(InvalidInput, match=r"k must be a whole number in 2..18"):
        user_folds(data, 19, rng=rng())
