"""The published data sets, where they are at hand."""

import csv
import gzip
import time
from collections import Counter

import numpy as np
import pytest

from collabtheory.data import check, load, strong_generalisation

SIZES = {
    "ml-100k": (938, 1447, 55_361),
    "ml-1m": (6034, 3533, 575_272),
    "lastfm-2k": (1877, 17_617, 92_801),
    "msweb": (6280, 277, 44_520),
    "msweb-test": (975, 217, 6_963),
}


@pytest.mark.parametrize("name", SIZES)
def test_published_filters_give_the_known_sizes(real_data, name):
    data = load(name, folder=real_data, offline=True)
    assert (data.n_users, data.n_items, data.n_interactions) == SIZES[name]
    assert data.sizes.min() == 5
    assert data.item_titles is not None


@pytest.mark.parametrize("name", ["ml-100k", "lastfm-2k", "msweb-test"])
def test_real_files_agree_with_a_plain_reader(real_data, name):
    with gzip.open(real_data / f"{name}.csv.gz", "rt") as stream:
        rows = [row for row in csv.DictReader(stream) if not name.startswith("ml") or float(row["rating"]) >= 4]
    counts = Counter(row["user"] for row in rows)
    expected = {(int(row["user"]), int(row["item"])) for row in rows if counts[row["user"]] >= 5}
    data = load(name, folder=real_data)
    coo = data.matrix.tocoo()
    assert set(zip(data.user_ids[coo.row].tolist(), data.item_ids[coo.col].tolist(), strict=True)) == expected
    with gzip.open(real_data / f"{name}.items.csv.gz", "rt") as stream:
        titles = {int(row["item"]): row["title"] for row in csv.DictReader(stream)}
    assert all(titles[item] == title for item, title in zip(data.item_ids, data.item_titles, strict=True))


def test_ml_1m_is_read_in_well_under_two_seconds(real_data):
    start = time.process_time()
    load("ml-1m", folder=real_data)
    assert time.process_time() - start < 2


def test_ml_1m_split_is_the_reference_protocol(real_data):
    data = load("ml-1m", folder=real_data)
    split = strong_generalisation(data, rng=np.random.default_rng(0))
    assert split.test.n_users + len(split.test.rows_left_out) == 603
    assert 0.15 < split.test.held_out.nnz / (split.test.held_out.nnz + split.test.fold_in.nnz) < 0.2


def test_check_reads_well(real_data):
    report = check("ml-100k", folder=real_data)
    assert report.lines[1].strip().startswith("938 users, 1,447 items (with titles), 55,361 interactions")
