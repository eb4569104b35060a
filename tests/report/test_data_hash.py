import dataclasses
import enum
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

from collabtheory.errors import InvalidInput
from collabtheory.report.data_hash import data_fingerprint


class Colour(enum.Enum):
    RED = 1


@dataclasses.dataclass(frozen=True)
class One:
    x: object


@dataclasses.dataclass(frozen=True)
class Other:
    x: object


DIFFERENT = [
    None, True, False, 0, 1, -1, 10**30, 0.0, -0.0, 1.0, "", "0", "1", "None", b"", b"1", (), ((),), ("a", "b"),
    ("ab",), ("a", ("b",)), ["b", "a"], {}, {"a": 1}, {"a": 2}, {"b": 1}, {1: "a"}, frozenset(), frozenset({"a"}),
    frozenset({"a", "b"}), One(1), One(2), Other(1), Colour.RED,
    np.zeros(3), np.zeros((3, 1)), np.zeros(3, dtype=np.float32), np.zeros(3, dtype=np.int64), np.array([0, 0, 1.0]),
    np.array(["a", "b"]), np.array([np.nan]), np.array([0.0, 1.0])[::-1], np.array([None, "a"], dtype=object),
    pd.DataFrame({"a": [1, 2]}), pd.DataFrame({"b": [1, 2]}), pd.DataFrame({"a": [1, 3]}),
    pd.DataFrame({"a": [1.0, 2]}),
    pd.DataFrame({"a": [1, 2]}, index=[1, 2]), pd.DataFrame({"a": [1], "b": [2]}), pd.Series([1, 2], name="a"),
    pd.Series([1, 2], name="b"), pd.DataFrame({"a": ["x", None]}), pd.DataFrame({"a": [True, False]}),
    sp.csr_array(np.eye(2)), sp.csr_array(2 * np.eye(2)), sp.csr_array(np.eye(3)),
]  # fmt: skip


def test_different_data_have_different_fingerprints():
    prints = [data_fingerprint(value) for value in DIFFERENT]
    assert len(set(prints)) == len(DIFFERENT)
    assert all(len(one) == 64 for one in prints)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        ({"x", "y", "z"}, {"z", "y", "x"}),
        (np.arange(6).reshape(2, 3), np.asfortranarray(np.arange(6).reshape(2, 3))),
        (np.array([1.0, 2.0]), np.array([1.0, 9.0, 2.0])[::2]),
        (np.array([1, 2], dtype="<i4"), np.array([1, 2], dtype=">i4")),
        (np.float64(0.5), 0.5),
        (np.int32(7), 7),
        (pd.Series(["a", "b"], name="x"), pd.Series(["a", "b"], name="x")),
        (sp.csr_array(np.eye(2)), sp.csc_array(np.eye(2))),
        (sp.coo_array(([1.0, 1.0], ([0, 0], [0, 0])), shape=(1, 1)), sp.csr_array([[2.0]])),
    ],
)
def test_equal_data_have_one_fingerprint_however_they_lie_in_memory(one, other):
    assert data_fingerprint(one) == data_fingerprint(other)


@given(st.recursive(st.integers() | st.text() | st.none(), lambda inner: st.lists(inner, max_size=4), max_leaves=8))
def test_a_fingerprint_tells_nested_lists_apart_as_their_text_does(value):
    changed = [value, value]
    assert data_fingerprint(value) == data_fingerprint(value)
    assert data_fingerprint(value) != data_fingerprint(changed)


def test_the_data_given_in_are_not_changed():
    unsummed = sp.csr_array(([1.0, 1.0], [0, 0], [0, 2]), shape=(1, 1))
    data_fingerprint(unsummed)
    assert unsummed.nnz == 2


def test_the_fingerprint_is_the_same_in_every_process():
    code = (
        "from collabtheory.report.data_hash import data_fingerprint as f; import pandas as pd; "
        "print(f({'a': {'x', 'y', 'z'}, 'b': pd.DataFrame({'c': ['u', 'v'], 'd': [1.5, None]})}))"
    )
    said = {
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PYTHONHASHSEED": seed}
        ).stdout
        for seed in ("1", "2")
    }
    assert len(said) == 1


@pytest.mark.parametrize("value", [object(), lambda: 0, (1, object()), One(print), np.array([object()], dtype=object)])
def test_what_has_no_content_is_refused(value):
    with pytest.raises(InvalidInput, match="no fingerprint for a"):
        data_fingerprint(value)
