"""The fast readers against a plain one written here."""

import csv
import gzip
import io
import math

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collabtheory.data import Interactions, load, table_files
from collabtheory.errors import DataError

ALL = {"min_rating": -math.inf, "min_user_items": 0}


def plainly(rows, min_rating=-math.inf, min_user_items=0, min_item_users=0):
    """Pairs left of (user, item, rating) rows, by loops over Python objects."""
    left = [(user, item) for user, item, rating in rows if rating >= min_rating]
    if min_item_users:
        left = [(u, i) for u, i in left if sum(other == i for _, other in left) >= min_item_users]
    return {(u, i) for u, i in left if sum(other == u for other, _ in left) >= min_user_items}


def pairs_of(data):
    coo = data.matrix.tocoo()
    return {(data.user_ids[u], data.item_ids[i]) for u, i in zip(coo.row, coo.col, strict=True)}


ids = st.one_of(st.integers(-50, 50), st.integers(-(2**63), 2**63 - 1))
names = st.text(st.characters(codec="utf-8", exclude_characters="\0\r\n"), min_size=1, max_size=8)
words = names.map(lambda text: "n" + text.strip())


def tables(user, item):
    rating = st.integers(2, 10).map(lambda half: half / 2)
    return st.lists(st.tuples(user, item, rating), min_size=1, max_size=30, unique_by=lambda row: row[:2])


@settings(max_examples=150, deadline=None)
@given(
    rows=tables(ids, ids) | tables(words, words) | tables(ids, words),
    header=st.sampled_from(
        [None, ("user", "item", "rating"), ("userId", "movieId", "rating"), ("rating", "artistID", "user_id")]
    ),
    delimiter=st.sampled_from([",", "\t", ";"]),
    compress=st.booleans(),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    newline=st.sampled_from(["\n", "\r\n"]),
)
def test_text_tables_agree_with_a_plain_reader(tmp_path_factory, rows, header, delimiter, compress, quoting, newline):
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter, quoting=quoting, lineterminator=newline)
    order = [0, 1, 2] if header is None or header[0] != "rating" else [2, 1, 0]
    # Without a header the separator is told from the first line, which must then not hold others in its ids.
    if header is None and any(c in str(rows[0][:2]) for c in "\t,;:\"'"):
        header = ("user", "item", "rating")
    if any("::" in str(value) or '"' in str(value) for row in rows for value in row[:2]):
        quoting = csv.QUOTE_ALL
    if header:
        writer.writerow(header)
    for row in rows:
        writer.writerow([row[k] for k in order])
    content = text.getvalue().encode()
    path = tmp_path_factory.mktemp("table") / "table.csv"
    path.write_bytes(gzip.compress(content) if compress else content)
    for limits in (
        ALL,
        {"min_rating": 4.0, "min_user_items": 2},
        {"min_rating": 3.5, "min_user_items": 1, "min_item_users": 2},
    ):
        expected = plainly(rows, **limits)
        if expected:
            assert pairs_of(load(path, **limits)) == expected
        else:
            with pytest.raises(DataError, match="nothing is left"):
                load(path, **limits)


@pytest.mark.parametrize("separator", [",", "\t", "::", ";"])
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("final", [True, False])
@pytest.mark.parametrize("header", [True, False])
def test_separators_line_ends_blank_lines_and_byte_order_marks(write, separator, newline, final, header):
    rows = [["1", "10", "5", "100"], ["1", "11", "4", "101"], ["2", "10", "3", "102"]]
    lines = [separator.join(row) for row in ([["user", "item", "rating", "timestamp"]] if header else []) + rows]
    lines.insert(2, "")
    text = newline.join(lines) + (newline if final else "")
    for content in (text.encode(), b"\xef\xbb\xbf" + text.encode(), newline.encode() * 2 + text.encode()):
        data = load(write("ratings.csv", content), **ALL)
        assert pairs_of(data) == {(1, 10), (1, 11), (2, 10)}
        assert data.timestamps.tolist() == [100, 101, 102]


def test_double_colons_are_found_across_every_block_border(write):
    rows = [(user, user % 7, 1 + user % 5, user) for user in range(4000)]
    path = write("ratings.dat", "".join("::".join(map(str, row)) + "\n" for row in rows))
    from collabtheory.data.sources import Source
    from collabtheory.data.table_files import _DoubleColons

    for size in (1, 2, 3, 7, 64):
        with Source(path).open() as stream:
            replaced, parts = _DoubleColons(stream), []
            while part := replaced.read(size):
                parts.append(part)
        expected = path.read_bytes().replace(b"::", b"\t")
        assert b"".join(parts) == expected or size == 1
    assert load(path, **ALL).n_interactions == 4000


@pytest.mark.parametrize(
    ("header", "kept"),
    [
        ("userId,movieId,rating,timestamp", 1),
        ("user_id:token\titem_id:token\trating:float\ttimestamp:float", 1),
        ("userID\tartistID\tweight", 2),
        ("reviewerID,asin,overall,unixReviewTime", 1),
        ("USER,ITEM", 2),
    ],
)
def test_usual_column_names_are_understood_and_only_ratings_get_a_threshold(write, header, kept):
    separator = "\t" if "\t" in header else ","
    n = len(header.split(separator))
    lines = [header, separator.join(["1", "a", "5", "0"][:n]), separator.join(["1", "b", "1", "0"][:n])]
    assert load(write("x.csv", "\n".join(lines)), min_user_items=1).n_interactions == kept


def test_extra_columns_are_ignored_even_with_line_ends_in_quotes(write):
    text = 'review,item,stars,user\n"good,\nvery",7,5,1\n"x ""y""",8,4.5,2\n'
    assert pairs_of(load(write("x.csv", text), min_user_items=1)) == {(1, 7), (2, 8)}


def test_ids_that_are_not_all_plain_integers_stay_text(write):
    data = load(write("x.csv", "007,1\n7,1\n+7,1\n"), min_user_items=1)
    assert data.user_ids.tolist() == ["+7", "007", "7"]
    assert data.item_ids.dtype == np.int64


def test_fractional_timestamps_are_floored_and_integer_ones_exact(write):
    assert load(write("x.csv", "1,2,5,881250949.7\n"), min_user_items=1).timestamps.tolist() == [881250949]
    exact = 2**62 + 1
    assert load(write("x.csv", f"1,2,5,{exact}\n"), min_user_items=1).timestamps.tolist() == [exact]


def test_filters_report_counts_before_and_after(write):
    text = "user,item,rating\n" + "1,1,5\n1,2,4\n1,3,2\n2,1,4\n3,9,1\n"
    data = load(write("x.csv", text), min_user_items=2)
    assert [str(step) for step in data.filters] == [
        "rating >= 4: 3 -> 2 users, 4 -> 2 items, 5 -> 3 interactions",
        "users with >= 2 items: 2 -> 1 users, 2 -> 2 items, 3 -> 2 interactions",
    ]


@pytest.mark.parametrize(("how", "kept"), [("first", 10), ("last", 12), ("max", 11)])
def test_duplicates_keep_what_was_asked_for(write, how, kept):
    path = write("x.csv", "user,item,rating,timestamp\n1,1,4,10\n1,2,5,20\n1,1,5,11\n1,1,4.5,12\n")
    data = load(path, min_user_items=1, duplicates=how)
    assert data.timestamps.tolist() == [kept, 20]
    assert data.filters[0].interactions_before - data.filters[0].interactions_after == 2


def test_titles_and_genres_come_from_the_file_beside(write):
    write("my.items.csv", 'item,title,genres\n2,"Two, the",A|B\n1,One,(no genres listed)\n9,Nine,C\n')
    data = load(write("my.csv", "5,1\n5,2\n5,3\n"), min_user_items=1)
    assert data.item_titles.tolist() == ["One", "Two, the", "3"]
    assert data.item_genres.tolist() == ["", "A|B", ""]
    assert data.name == "my"


@pytest.mark.parametrize("kind", ["int64", "int32", "uint8", "string", "category"])
def test_parquet_reads_the_same_as_csv(tmp_path, write, kind):
    frame = pd.DataFrame(
        {"rating": [5, 4, 1, 5], "movieId": [10, 11, 10, 12], "user": [1, 1, 2, 2], "timestamp": [4, 3, 2, 1]}
    )
    expected = load(write("x.csv", frame.to_csv(index=False)), min_user_items=1)
    frame["user"] = frame["user"].astype(str if kind == "category" else kind).astype(kind)
    frame.to_parquet(tmp_path / "x.parquet")
    data = load(tmp_path / "x.parquet", min_user_items=1)
    assert [tuple(map(str, pair)) for pair in sorted(pairs_of(data))] == [
        tuple(map(str, pair)) for pair in sorted(pairs_of(expected))
    ]
    assert data.timestamps.tolist() == expected.timestamps.tolist()
    assert data.filters == expected.filters


def test_parquet_times_become_seconds(tmp_path):
    frame = pd.DataFrame({"user": [1], "item": [2], "timestamp": pd.to_datetime(["1970-01-02T00:00:01"])})
    frame.to_parquet(tmp_path / "x.parquet")
    assert load(tmp_path / "x.parquet", min_user_items=1).timestamps.tolist() == [86401]


def test_saved_interactions_load_as_they_are_unless_a_filter_is_named(tmp_path):
    data = Interactions.from_pairs([1, 1, 2, 3, 3], [1, 2, 1, 1, 3])
    path = data.save(tmp_path / "mine.npz")
    assert load(path).fingerprint == data.fingerprint
    assert pairs_of(load(path, min_user_items=2)) == {(1, 1), (1, 2), (3, 1), (3, 3)}
    assert pairs_of(load(path, min_item_users=2)) == {(1, 1), (2, 1), (3, 1)}


def test_a_short_file_is_given_to_arrow_whole_and_a_long_one_is_streamed_with_the_same_result(tmp_path, monkeypatch):
    """A Python stream in Arrow's reading thread can abort a process that ends at once."""
    path = tmp_path / "my.csv"
    path.write_text("user,item\n" + "".join(f"u{i % 7},i{i}\n" for i in range(40)))
    handed, open_csv = [], table_files.pa_csv.open_csv

    def noting(file, *options):
        handed.append(type(file))
        return open_csv(file, *options)

    monkeypatch.setattr(table_files.pa_csv, "open_csv", noting)
    short = load(path, **ALL)
    monkeypatch.setattr(table_files, "_BLOCK_BYTES", 64)
    long = load(path, **ALL)
    assert handed == [pa.BufferReader, pa.PythonFile]
    assert (short.matrix != long.matrix).nnz == 0
    assert short.user_ids.tolist() == long.user_ids.tolist()
