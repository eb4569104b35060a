"""Bad files: one line that names the file and the row."""

import gzip
import math
import os
import pickle

import pandas as pd
import pytest

from collabtheory.data import check, load
from collabtheory.errors import DataError, InvalidInput

ROWS = "user,item,rating\n1,2,5\n1,3,4\n"
MANY = "".join(f"{user},{user * 7 % 1000}\n" for user in range(60_000)).encode()
PACKED = gzip.compress(MANY)


class Bomb:
    def __reduce__(self):
        return (os.system, ("touch exploded",))


CASES = {
    "empty.csv": (b"", r"the file is empty"),
    "blank.csv": (b"\n \n\n", r"line 2: 1 fields"),
    "header_only.csv": (b"user,item\n", r"no row below"),
    "no_item.csv": (b"userId,title,rating\n1,x,5\n", r"line 1: no item column among 'userId', 'title', 'rating'"),
    "no_user.csv": (b"\nmovieId,title\n1,x\n", r"line 2: no user column"),
    "unknown_header.csv": (b"viewer,film\n1,2\n", r"line 1: no user column"),
    "unknown_header_of_three.csv": (b"viewer,film,points\nx,y,2\n", r"line 1: no user column"),
    "two_users.csv": (b"user,User,item\n1,2,3\n", r"line 1: two columns are named 'user'"),
    "one_column.csv": (b"1\n2\n", r"line 1: 1 fields"),
    "five_columns.csv": (b"1,2,3,4,5\n", r"line 1: 5 fields"),
    "word.csv": (ROWS.encode() + b"\n1,4,good\n", r"line 5: the rating 'good' is not a finite number"),
    "underscore.csv": (ROWS.encode() + b"1,4,1_0\n", r"line 4: the rating '1_0'"),
    "no_rating.csv": (ROWS.encode() + b"1,4,\n", r"line 4: the rating ''"),
    "nan.csv": (ROWS.encode() + b"\n\n1,4,NaN\n", r"line 6: the rating is not a finite number"),
    "inf.csv": (ROWS.encode() + b"1,4,-inf\n", r"line 4: the rating is not a finite number"),
    "nan_first.csv": (b"1,2,nan\n1,3,5\n", r"line 1: the rating is not a finite number"),
    "empty_user.csv": (ROWS.encode() + b",4,5\n", r"line 4: the user id is empty"),
    "blank_item.csv": (ROWS.encode() + b'1,"  ",5\n', r"line 4: the item id is empty"),
    "nul.csv": (b"1,a\n1,b\0c\n", r"line 2: the item id has a NUL"),
    "beyond.csv": (ROWS.encode() + b"9223372036854775808,4,5\n", r"line 4: the user id does not fit in 64 bits"),
    "beyond_below.csv": (b"1,2\n1,-9223372036854775809\n", r"line 2: the item id does not fit in 64 bits"),
    "twice.csv": (ROWS.encode() + b"\n1,2,3\n", r"line 5: user 1 has item 2 a second time.*duplicates="),
    "twice_text.csv": (b"a,b\na,b\n", r"line 2: user 'a' has item 'b' a second time"),
    "twice_below_the_threshold.csv": (b"1,2,1\n1,2,1\n", r"line 2: user 1"),
    "few_fields.csv": (ROWS.encode() + b"1,4\n", r"line 4: 2 fields where the first row has 3"),
    "many_fields.csv": (ROWS.encode() + b"1,4,5,6\n", r"line 4: 4 fields"),
    "double_colon.dat": (b"1::2::5::0\n1:2:5:0\n", r"line 2: 1 fields where the first row has 4"),
    "triple_colon.dat": (b"1::2::5::0\n1::2:::5::0\n", r"line 2: the rating ':5'"),
    "quote.csv": (b'user,item\n1,2\n1,"3\n', r"line 3: cannot be split"),
    "open_quote_in_unused.csv": (b'user,item,note\n1,2,"x\n1,3,y\n', r"line 3: cannot be split"),
    "latin.csv": ("user,item\n1,a\n1,é\n".encode("latin-1"), r"line 3: is not UTF-8 text \(byte 0xe9\)"),
    "utf16.csv": (ROWS.encode("utf-16"), r"line 1: is not UTF-8"),
    "pickle.csv": (pickle.dumps([Bomb()]), r"is a Python pickle"),
    "pickle_text.csv": (pickle.dumps([Bomb()], protocol=0), r"is a Python pickle"),
    "pickle_old.csv": (pickle.dumps([Bomb()], protocol=1), r"is a Python pickle"),
    "pickle.csv.gz": (gzip.compress(pickle.dumps([Bomb()])), r"is a Python pickle"),
    "pickle.parquet": (pickle.dumps(pd.DataFrame({"user": [1]})), r"is a Python pickle"),
    "cut.csv.gz": (PACKED[:-2000], r"is cut off"),
    "cut_at_once.csv.gz": (PACKED[:4], r"is cut off"),
    "damaged.csv.gz": (PACKED[:300] + b"xxxxxxxx" + PACKED[308:], r"is damaged"),
    "damaged_end.csv.gz": (PACKED[:-8] + b"\0" * 8, r"is damaged"),
    "not.parquet": (b"PAR1 and nothing else PAR1", r"is not a readable parquet file"),
    "not.zip": (b"PK\x03\x04 and nothing else", r"is damaged"),
    "time.csv": (b"user,item,timestamp\n1,2,2009-01-01\n", r"line 2: the timestamp '2009-01-01'"),
    "nan_time.csv": (b"user,item,timestamp\n1,2,nan\n", r"line 2: the timestamp"),
    "huge_time.csv": (b"1,2,5,1e300\n", r"line 1: the timestamp"),
    "low.csv": (b"1,2,3\n1,3,3.5\n", r"nothing is left after the filter 'rating >= 4' \(2 interactions"),
    "short.csv": (b"1,2\n1,3\n", r"nothing is left after the filter 'users with >= 5 items'"),
    "long_line.csv": (b"x" * 100_000, r"line 1: is longer than"),
    "binary.csv": (bytes(range(256)) * 20, r"line 1: the item id is empty"),
}


@pytest.mark.parametrize("name", CASES)
def test_bad_file_gives_one_line_with_file_and_row(write, name, monkeypatch, tmp_path):
    content, message = CASES[name]
    path = write(name, content)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=message) as caught:
        load(path)
    text = str(caught.value)
    assert text.startswith(str(path))
    assert "\n" not in text
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        ({"user": [1, None], "item": [1, 2]}, "column 'user' holds double"),
        ({"user": ["a", None], "item": [1, 2]}, "row 2: the user id is empty"),
        ({"user": [1, 1], "item": [1, 2], "rating": [5, math.nan]}, "row 2: the rating is missing"),
        (
            {"user": [1, 1], "item": [1, 2], "rating": ["5", "x"]},
            "column 'rating' holds .*string; it must hold numbers",
        ),
        ({"user": [1, 1], "item": [3, 3]}, "row 2: user 1 has item 3 a second time"),
        ({"user": [1, 1], "film": [3, 3]}, "no item column among 'user', 'film'"),
        ({"user": [2**63], "item": [1]}, "row 1: the user id does not fit in 64 bits"),
        ({"user": [[1]], "item": [1]}, "column 'user' holds list"),
        ({"user": pd.Series([], dtype="int64"), "item": pd.Series([], dtype="int64")}, "no row"),
    ],
)
def test_bad_parquet_gives_one_line_with_file_and_row(tmp_path, frame, message):
    path = tmp_path / "x.parquet"
    pd.DataFrame(frame).to_parquet(path)
    with pytest.raises(DataError, match=message) as caught:
        load(path, min_user_items=1)
    assert str(caught.value).startswith(str(path))


def test_missing_files_folders_and_names_are_told_apart(tmp_path):
    with pytest.raises(
        DataError, match=r"nope.csv: there is no such file, and no data set of that name \(planted, davis"
    ):
        load("nope.csv")
    with pytest.raises(DataError, match=r"is a folder without a known file; expected one of ratings.csv"):
        load(tmp_path)
    with pytest.raises(DataError, match="not a usable path"):
        load("x" * 5000)
    with pytest.raises(InvalidInput, match="name_or_path is empty"):
        load("")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_unreadable_file_is_one_line(write):
    path = write("x.csv", ROWS)
    path.chmod(0)
    with pytest.raises(DataError, match="cannot be read: Permission denied"):
        load(path)


def test_bad_item_file_names_its_own_row(write):
    path = write("my.csv", ROWS)
    write("my.items.csv", "item,title\n1,One\n1,Uno\n")
    with pytest.raises(DataError, match=r"my.items.csv, line 3: item 1 comes a second time"):
        load(path, min_user_items=1)
    write("my.items.csv", "item,title\n1\n")
    with pytest.raises(DataError, match=r"my.items.csv, line 2: 1 fields where the header has 2"):
        load(path, min_user_items=1)
    write("my.items.csv", "1,One\n")
    with pytest.raises(DataError, match=r"my.items.csv, line 1: needs a header"):
        load(path, min_user_items=1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"min_rating": math.nan}, "min_rating"),
        ({"min_rating": "4"}, "min_rating"),
        ({"min_user_items": -1}, "min_user_items"),
        ({"min_user_items": 2.5}, "min_user_items"),
        ({"min_item_users": -3}, "min_item_users"),
        ({"duplicates": "mean"}, "duplicates must be one of error, first, last, max"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(InvalidInput, match=message):
        load("davis", **arguments)


def test_check_reports_problems_instead_of_raising(write):
    bad = check(write("bad.csv", "user,item,rating\n1,2,x\n"))
    assert not bad.usable
    assert bad.lines[0].endswith("not usable")
    assert "line 2: the rating 'x'" in bad.lines[1]
    good = check(write("good.csv", "1,2,5\n1,3,5\n2,2,5\n2,3,5\n2,4,1\n"), min_user_items=2)
    assert good.usable
    assert "2 users, 2 items (without titles), 4 interactions" in str(good)
    assert "exactly the items of another user: 2" in str(good)
    assert [step.interactions_after for step in good.filters] == [4, 4]
    counts = check(write("counts.csv", "1,2,50\n1,3,70\n"), min_user_items=1)
    assert any("changes nothing: are these ratings" in line for line in counts.problems)
