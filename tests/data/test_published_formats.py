"""MovieLens, Netflix Prize and Million Song files, written here by hand in the published formats."""

import gzip
import math
import zipfile

import numpy as np
import pytest

from collabtheory.data import load
from collabtheory.errors import DataError

ALL = {"min_rating": -math.inf, "min_user_items": 0}


def pairs_of(data):
    coo = data.matrix.tocoo()
    return {(data.user_ids[u], data.item_ids[i]) for u, i in zip(coo.row, coo.col, strict=True)}


FLAGS = ["0"] * 19


def flags(*positions):
    return "|".join("1" if k in positions else "0" for k in range(19))


MOVIELENS = {
    "ml-1m": {
        "ratings.dat": "1::10::5::978300760\n1::20::4::978302109\n2::10::3::978301968\n2::20::5::978300275\n",
        "movies.dat": "10::Misérables, Les (1995)::Drama|Musical\n20::2001: A Space Odyssey (1968)::Sci-Fi\n".encode(
            "latin-1"
        ),
        "users.dat": "1::F::1::10::48067\n",
    },
    "ml-100k": {
        "u.data": "1\t10\t5\t881250949\n1\t20\t4\t891717742\n2\t10\t3\t878887116\n2\t20\t5\t880606923\n",
        "u.item": (
            f"10|Misérables, Les (1995)|01-Jan-1995||http://us.imdb.com/M?x|{flags(8, 12)}\n"
            f"20|2001: A Space Odyssey (1968)|01-Jan-1968||http://y|{flags(15)}\n"
        ).encode("latin-1"),
    },
    "ml-20m": {
        "ratings.csv": "userId,movieId,rating,timestamp\n1,10,5.0,964982703\n1,20,4.0,9\n2,10,3.5,8\n2,20,4.5,7\n",
        "movies.csv": (
            'movieId,title,genres\n10,"Misérables, Les (1995)",Drama|Musical\n20,2001: A Space Odyssey (1968),Sci-Fi\n'
        ),
        "tags.csv": "userId,movieId,tag,timestamp\n",
    },
}


@pytest.mark.parametrize("packing", ["folder", "zip", "ratings file"])
@pytest.mark.parametrize("edition", MOVIELENS)
def test_movielens_editions_read_alike_as_folder_zip_or_file(tmp_path, write, edition, packing):
    for name, content in MOVIELENS[edition].items():
        path = write(f"{edition}/{name}", content)
    if packing == "zip":
        with zipfile.ZipFile(tmp_path / "as-downloaded.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            for path in (tmp_path / edition).iterdir():
                archive.write(path, f"{edition}/{path.name}")
        path = tmp_path / "as-downloaded.zip"
    elif packing == "folder":
        path = tmp_path / edition
    else:
        path = next(
            path for path in (tmp_path / edition).iterdir() if path.name in ("ratings.dat", "u.data", "ratings.csv")
        )
    data = load(path, min_user_items=1)
    assert pairs_of(data) == {(1, 10), (1, 20), (2, 20)}
    assert data.item_titles.tolist() == ["Misérables, Les (1995)", "2001: A Space Odyssey (1968)"]
    assert data.item_genres.tolist() == ["Drama|Musical", "Sci-Fi"]
    assert data.timestamps is not None


@pytest.mark.parametrize("edition", MOVIELENS)
def test_named_movielens_is_found_in_a_local_folder(tmp_path, write, edition, monkeypatch):
    for name, content in MOVIELENS[edition].items():
        write(f"{edition}/{name}", content)
    by_argument = load(edition, folder=tmp_path, offline=True, min_user_items=1)
    monkeypatch.setenv("COLLABTHEORY_DATA", str(tmp_path))
    by_environment = load(edition, offline=True, min_user_items=1)
    assert by_argument.name == edition
    assert by_argument.fingerprint == by_environment.fingerprint


def test_zip_without_ratings_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("x/readme.txt", "hello")
    with pytest.raises(DataError, match=r"x.zip: the zip holds none of ratings.csv"):
        load(tmp_path / "x.zip")


def test_malformed_movies_file_names_its_line(write, tmp_path):
    write("ml/ratings.dat", MOVIELENS["ml-1m"]["ratings.dat"])
    write("ml/movies.dat", "10::Ten::Drama\n20::Twenty\n")
    with pytest.raises(DataError, match=r"movies.dat, line 2: 2 fields; expected item::title::genres"):
        load(tmp_path / "ml", min_user_items=1)


def netflix_rows(seed=0, n=400):
    rng = np.random.default_rng(seed)
    cells = rng.choice(30 * 12, size=min(n, 200), replace=False)
    return [(int(c // 12) + 1000, int(c % 12) + 1, int(rng.integers(1, 6)), int(rng.integers(1, 29))) for c in cells]


def netflix_text(rows, movies):
    text = ""
    for movie in movies:
        text += f"{movie}:\n"
        text += "".join(f"{u},{r},2005-02-{d:02d}\n" for u, m, r, d in rows if m == movie)
    return text


@pytest.mark.parametrize("edition", ["mv files", "training_set", "combined", "combined.gz", "one file"])
def test_netflix_prize_files_agree_with_the_rows_they_were_made_of(tmp_path, write, edition):
    rows, path = netflix_rows(), tmp_path / "netflix"
    if edition in ("mv files", "training_set"):
        inner = "netflix/training_set" if edition == "training_set" else "netflix"
        for movie in range(1, 13):
            write(f"{inner}/mv_{movie:07d}.txt", netflix_text(rows, [movie]))
    elif edition == "one file":
        path = write("combined_data_1.txt", netflix_text(rows, range(1, 13)))
    else:
        for number, movies in ((1, range(1, 7)), (2, range(7, 13))):
            content = netflix_text(rows, movies).encode()
            packed = gzip.compress(content) if edition.endswith("gz") else content
            write(f"netflix/combined_data_{number}.txt{'.gz' if edition.endswith('gz') else ''}", packed)
    data = load(path, min_user_items=1)
    kept = [row for row in rows if row[2] >= 4]
    assert pairs_of(data) == {(user, movie) for user, movie, _, _ in kept}
    first = data.filters[0]
    assert (first.users_before, first.items_before, first.interactions_before) == (
        len({row[0] for row in rows}),
        len({row[1] for row in rows}),
        len(rows),
    )
    coo = data.matrix.tocoo()
    day = {(u, m): np.datetime64(f"2005-02-{d:02d}").astype(int) for u, m, _, d in rows}
    expected = [day[data.user_ids[u], data.item_ids[i]] for u, i in zip(coo.row, coo.col, strict=True)]
    assert data.timestamps.tolist() == expected
    assert pairs_of(load(path, **ALL)) == {(user, movie) for user, movie, _, _ in rows}


def test_netflix_blocks_may_cut_anywhere(write, monkeypatch):
    from collabtheory.data import netflix_files

    rows = netflix_rows(1)
    path = write("combined_data_1.txt", netflix_text(rows, range(1, 13)))
    expected = load(path, min_user_items=1).fingerprint
    for size in (1, 7, 64):
        monkeypatch.setattr(netflix_files, "_BLOCK_BYTES", size)
        assert load(path, min_user_items=1).fingerprint == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1:\n5,3,2005-01-02\n5;3;2005-01-02\n", r"line 3: expected user,rating,YYYY-MM-DD; found '5;3;2005-01-02'"),
        ("1:\n5,x,2005-01-02\n", r"line 2: expected user,rating"),
        ("1:\n5,nan,2005-01-02\n", r"line 2: expected user,rating"),
        ("1:\n5,3,2005-13-02\n", r"line 2: expected user,rating"),
        ("1:\n5,3,2005-01-02\n5,4,2005-01-03\n", r"movie 1 has the same user twice"),
        ("1:\n5,3,2005-01-02\n1:\n6,4,2005-01-03\n", r"movie 1 comes a second time"),
        ("1:\n2:\n", r"hold no rating"),
        ("1:\n5,3,2005-01-02\n", r"nothing is left after the filter 'rating >= 4'"),
    ],
)
def test_malformed_netflix_files_name_line_or_movie(write, text, message):
    path = write("combined_data_1.txt", text)
    with pytest.raises(DataError, match=message) as caught:
        load(path)
    assert str(caught.value).startswith(str(path))


def test_netflix_rows_before_any_movie_are_refused(write, tmp_path):
    write("netflix/mv_0000001.txt", "5,3,2005-01-02\n1:\n")
    with pytest.raises(DataError, match=r"mv_0000001.txt, line 1: expected a line 'movie:'"):
        load(tmp_path / "netflix")


def song_rows():
    rng = np.random.default_rng(3)
    users = [f"{k:040x}" for k in range(30)]
    songs = [f"SO{k:016d}" for k in range(40)]
    cells = rng.choice(30 * 40, size=900, replace=False)
    return [(users[c // 40], songs[c % 40], int(rng.integers(1, 4))) for c in cells]


@pytest.mark.parametrize(
    "edition", ["train_triplets.txt", "renamed.txt", "train_triplets.txt.gz", "train_triplets.txt.zip"]
)
def test_million_song_triplets_keep_every_play_count(tmp_path, write, edition):
    rows = song_rows()
    text = "".join(f"{user}\t{song}\t{count}\n" for user, song, count in rows)
    if edition.endswith("zip"):
        with zipfile.ZipFile(tmp_path / edition, "w") as archive:
            archive.writestr("train_triplets.txt", text)
        path = tmp_path / edition
    else:
        path = write(edition, gzip.compress(text.encode()) if edition.endswith("gz") else text)
    assert pairs_of(load(path, min_user_items=1)) == {(user, song) for user, song, _ in rows}


def test_named_million_song_uses_the_published_filters(tmp_path, write):
    rows = song_rows()
    write("msd/train_triplets.txt", "".join(f"{user}\t{song}\t{count}\n" for user, song, count in rows))
    data = load("msd", folder=tmp_path, min_item_users=20)
    popular = {song for _, song, _ in rows if sum(other == song for _, other, _ in rows) >= 20}
    left = [(user, song) for user, song, _ in rows if song in popular]
    active = {user for user, _ in left if sum(other == user for other, _ in left) >= 20}
    assert pairs_of(data) == {(user, song) for user, song in left if user in active}
    assert [step.name for step in data.filters] == ["items with >= 20 users", "users with >= 20 items"]
    with pytest.raises(DataError, match="nothing is left after the filter 'items with >= 200 users'"):
        load("msd", folder=tmp_path)
