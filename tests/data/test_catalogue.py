import gzip
import hashlib
import os
import subprocess
import sys

import networkx
import pooch
import pytest
import requests

from collabtheory.data import catalogue, check, fetch, load
from collabtheory.data.catalogue import ENTRIES
from collabtheory.errors import DataError

CSV = "user,item,rating\n" + "".join(f"{user},{item},5\n" for user in range(6) for item in range(user, user + 6))


def zip_of(text):
    import io
    import zipfile

    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("ml-100k/u.data", text)
    return stream.getvalue()


ARCHIVE = zip_of("".join(f"{user}\t{item}\t5\t0\n" for user in range(6) for item in range(6)))


@pytest.fixture
def network(monkeypatch):
    """A network that serves one archive, counts requests, and can be broken."""

    class Network:
        content, requests, failure = ARCHIVE, 0, None

        def download(self, url, output_file, _pooch, **_):
            type(self).requests += 1
            if self.failure:
                raise self.failure
            with open(output_file, "wb") as stream:
                stream.write(self.content)

    served = Network()
    Network.requests = 0
    monkeypatch.setattr(pooch, "HTTPDownloader", lambda **_: served.download)
    return served


@pytest.fixture
def pinned(monkeypatch):
    """ml-100k with the checksum of the archive served above."""
    import dataclasses

    entry = dataclasses.replace(ENTRIES["ml-100k"], sha256=hashlib.sha256(ARCHIVE).hexdigest())
    monkeypatch.setitem(ENTRIES, "ml-100k", entry)


def test_every_download_is_pinned_by_sha256_from_the_official_address():
    urls = {name: entry for name, entry in ENTRIES.items() if entry.url}
    assert set(urls) == {"ml-100k", "ml-1m", "ml-20m", "ml-latest-small"}
    for name, entry in urls.items():
        assert entry.url == f"https://files.grouplens.org/datasets/movielens/{name}.zip"
        assert len(bytes.fromhex(entry.sha256)) == 32


def test_catalogue_tells_what_is_there(tmp_path):
    (tmp_path / "msweb.csv.gz").write_bytes(gzip.compress(CSV.encode()))
    entries = {entry.name: entry for entry in catalogue(folder=tmp_path)}
    assert entries["planted"].where == entries["davis"].where == "embedded"
    assert (entries["ml-1m"].where, entries["ml-1m"].available) == ("download", False)
    assert (entries["netflix"].where, entries["netflix"].available) == ("by hand", False)
    assert entries["msweb"].where == str(tmp_path / "msweb.csv.gz")
    assert all(entry.description and entry.licence and entry.size and entry.source for entry in entries.values())


def test_play_counts_have_no_rating_threshold(tmp_path):
    (tmp_path / "lastfm-2k.csv").write_text(CSV.replace(",5\n", ",1\n"))
    assert load("lastfm-2k", folder=tmp_path).n_users == 6


def test_folder_argument_comes_before_the_environment_and_both_before_the_network(
    tmp_path, monkeypatch, network, pinned
):
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    for folder, n_users in ((ours, 3), (theirs, 4)):
        folder.mkdir()
        rows = "".join(f"{user},{item},5\n" for user in range(n_users) for item in range(6))
        (folder / "ml-100k.csv.gz").write_bytes(gzip.compress(rows.encode()))
    monkeypatch.setenv("COLLABTHEORY_DATA", str(theirs))
    assert load("ml-100k", folder=ours).n_users == 3
    assert load("ml-100k").n_users == 4
    assert load("ml-100k", folder=tmp_path).n_users == 4
    assert network.requests == 0
    monkeypatch.delenv("COLLABTHEORY_DATA")
    assert load("ml-100k").n_users == 6
    assert network.requests == 1


def test_download_is_kept_and_then_used_offline(network, pinned):
    assert load("ml-100k").n_interactions == 36
    path = fetch("ml-100k", offline=True)
    assert path.read_bytes() == ARCHIVE
    assert load("ml-100k", offline=True).name == "ml-100k"
    assert network.requests == 1
    assert next(entry for entry in catalogue() if entry.name == "ml-100k").available


def test_wrong_checksum_is_refused_and_leaves_nothing(network, pinned, tmp_path):
    network.content = ARCHIVE + b"tampered"
    with pytest.raises(DataError, match=r"ml-100k: the download of https://files.grouplens.org.* failed .*hash"):
        load("ml-100k")
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_damaged_cache_is_not_trusted_offline(network, pinned):
    path = fetch("ml-100k")
    path.write_bytes(ARCHIVE[:-1])
    with pytest.raises(DataError, match="offline is set"):
        load("ml-100k", offline=True)


@pytest.mark.parametrize(
    "failure", [requests.ConnectionError("no route"), requests.HTTPError("404"), OSError(28, "No space left")]
)
def test_failed_download_is_one_line_that_says_what_to_do(network, failure):
    network.failure = failure
    with pytest.raises(DataError, match=r"failed .*get it yourself and name its folder") as caught:
        load("ml-1m")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", ["1", "true", "yes"])
def test_offline_by_environment(monkeypatch, network, value):
    monkeypatch.setenv("COLLABTHEORY_OFFLINE", value)
    with pytest.raises(DataError, match=r"ml-20m: is neither in a folder .* offline is set; download https"):
        load("ml-20m")
    assert network.requests == 0


def test_what_cannot_be_downloaded_says_where_to_get_it(network):
    for name, words in (
        ("netflix", "nf_prize_dataset"),
        ("msd", "train_triplets.txt.zip"),
        ("msweb", "UCI"),
        ("lastfm-2k", "HetRec"),
    ):
        with pytest.raises(DataError, match=words) as caught:
            load(name)
        assert "COLLABTHEORY_DATA" in str(caught.value)
    assert network.requests == 0


def test_folders_that_are_not_there_are_named(monkeypatch, tmp_path):
    with pytest.raises(DataError, match=r"folder names .*nowhere, which is not a folder"):
        load("ml-1m", folder=tmp_path / "nowhere")
    monkeypatch.setenv("COLLABTHEORY_DATA", str(tmp_path / "gone"))
    with pytest.raises(DataError, match=r"the variable COLLABTHEORY_DATA names .*gone"):
        load("ml-1m")
    assert load("davis").n_users == 18


def test_fetch_of_embedded_data_needs_no_file_and_unknown_names_are_listed():
    assert fetch("davis") is None
    with pytest.raises(DataError, match=r"no data set named 'ml-2m'; named data sets are planted, davis"):
        fetch("ml-2m")


def test_davis_is_the_network_of_networkx():
    data = load("davis")
    graph = networkx.davis_southern_women_graph()
    coo = data.matrix.tocoo()
    ours = {(data.user_ids[u], f"E{data.item_ids[i]}") for u, i in zip(coo.row, coo.col, strict=True)}
    theirs = {(a, b) if a in graph.graph["top"] else (b, a) for a, b in graph.edges}
    assert ours == theirs
    assert (data.n_users, data.n_items, data.n_interactions) == (18, 14, 89)
    assert data.item_titles[0] == "event 1"
    assert load("davis", min_user_items=5).n_users == sum(graph.degree(w) >= 5 for w in graph.graph["top"])


def test_check_of_a_named_set_and_of_one_that_is_missing():
    assert check("davis").usable
    missing = check("netflix")
    assert not missing.usable
    assert "nf_prize_dataset" in missing.problems[0]


def test_nothing_is_written_outside_the_cache(tmp_path):
    code = "from collabtheory.data import catalogue, load; catalogue(); load('planted'); load('davis')"
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "c"), "HOME": str(tmp_path)}
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path, env=environment)
    assert list(tmp_path.iterdir()) == []
