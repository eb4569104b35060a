"""Whatever the bytes, the reader returns interactions or raises DataError, and nothing else."""

import gzip
import io
import os
import tempfile
import zipfile
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collabtheory.data import Interactions, load
from collabtheory.errors import DataError

EXAMPLES = int(os.environ.get("COLLABTHEORY_FUZZ_EXAMPLES", "200"))
QUICK = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

fields = st.one_of(
    st.integers(-3, 12).map(str),
    st.sampled_from(
        ["", " ", "nan", "inf", "1e400", "9" * 30, "a", "é", '"', '"a"', "user", "item", "rating", "1:", ":", "\0"]
    ),
    st.text(max_size=4),
)
lines = st.lists(fields, max_size=5).flatmap(
    lambda row: st.sampled_from([",", "\t", "::", ";", " "]).map(lambda separator: separator.join(row))
)
documents = st.lists(lines, max_size=8).flatmap(
    lambda rows: st.sampled_from(["\n", "\r\n", "\r"]).map(lambda end: end.join(rows))
)
endings = st.sampled_from([".csv", ".tsv", ".dat", ".csv.gz", ".parquet", ".npz", ".txt", ""])


def survives(path, duplicates="error"):
    problem = None
    try:
        data = load(path, min_user_items=0, duplicates=duplicates)
    except DataError as error:
        problem = str(error)
    if problem is None:
        assert isinstance(data, Interactions)
        assert data.n_interactions > 0
    else:
        assert "\n" not in problem
        assert str(path) in problem


@QUICK
@given(
    document=documents,
    ending=endings,
    duplicates=st.sampled_from(["error", "first", "last", "max"]),
    packed=st.booleans(),
)
def test_any_text(tmp_path, document, ending, duplicates, packed):
    path = tmp_path / f"table{ending}"
    content = document.encode("utf-8", "surrogatepass")
    path.write_bytes(gzip.compress(content) if packed else content)
    survives(path, duplicates)


@QUICK
@given(
    content=st.binary(max_size=200),
    ending=endings,
    start=st.sampled_from([b"", b"PAR1", b"PK\x03\x04", b"\x1f\x8b", b"\x80\x04", b"1:\n"]),
)
def test_any_bytes(tmp_path, content, ending, start):
    path = tmp_path / f"table{ending}"
    path.write_bytes(start + content)
    survives(path)


def parquet():
    stream = io.BytesIO()
    pd.DataFrame({"user": [1, 1, 2], "item": ["a", "b", "a"], "rating": [5.0, 4.0, 5.0]}).to_parquet(stream)
    return stream.getvalue()


def zipped():
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("ml/ratings.dat", "1::2::5::3\n1::3::4::3\n")
        archive.writestr("ml/movies.dat", "2::Two (1999)::Drama\n")
    return stream.getvalue()


def saved():
    with tempfile.TemporaryDirectory() as folder:
        return Interactions.from_pairs([1, 1, 2], ["a", "b", "b"]).save(Path(folder) / "x.npz").read_bytes()


WHOLE = {
    "csv.gz": gzip.compress(b"user,item,rating\n1,2,5\n1,3,4\n"),
    "parquet": parquet(),
    "zip": zipped(),
    "npz": saved(),
    "netflix": b"1:\n5,3,2005-01-02\n6,5,2005-01-03\n2:\n5,4,2005-01-02\n",
}


@pytest.mark.parametrize("kind", WHOLE)
def test_any_damage_to_a_good_file(tmp_path, kind):
    whole = WHOLE[kind]

    @QUICK
    @given(position=st.integers(0, len(whole) - 1), value=st.integers(0, 255), cut=st.integers(0, len(whole)))
    def damage(position, value, cut):
        path = tmp_path / "damaged"
        path.write_bytes((whole[:position] + bytes([value]) + whole[position + 1 :])[: cut or None])
        survives(path)

    (tmp_path / "whole").write_bytes(whole)
    assert load(tmp_path / "whole", min_user_items=0).n_interactions > 0
    damage()
