"""Per-user results on disk."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from collabtheory.data import FoldIn
from collabtheory.errors import DataError, InvalidInput
from collabtheory.ranking import evaluate, read_frame, to_frame, write_frame


@pytest.fixture
def reached():
    rng = np.random.default_rng(0)
    seen, held_out = np.zeros((4, 120)), np.zeros((4, 120))
    seen[:, :3], held_out[:, [50, 100]] = 1, 1
    users = FoldIn(np.array([2, 5, 6, 9]), sparse.csr_array(seen), sparse.csr_array(held_out), np.array([]))
    return evaluate(lambda x: rng.normal(size=x.shape), users)


SIZES = np.arange(10) + 20


def test_the_frame_has_one_row_a_tested_user_in_the_shared_columns(reached):
    frame = to_frame(reached, 3, SIZES)
    assert list(frame.columns) == ["fold", "row", "n_items", "ndcg@100", "recall@20", "recall@50"]
    assert frame["fold"].tolist() == [3] * 4
    assert frame["row"].tolist() == [2, 5, 6, 9]
    assert frame["n_items"].tolist() == [22, 25, 26, 29]
    np.testing.assert_array_equal(frame["ndcg@100"], reached["ndcg@100"])
    assert frame.dtypes.astype(str).tolist() == ["int64"] * 3 + ["float64"] * 3


def test_what_is_written_is_read_back_bit_for_bit(reached, tmp_path):
    frame = pd.concat([to_frame(reached, fold, SIZES) for fold in (0, 1)], ignore_index=True)
    path = write_frame(frame, tmp_path / "deep" / "users.parquet")
    pd.testing.assert_frame_equal(read_frame(path), frame, check_exact=True)
    assert [file.name for file in path.parent.iterdir()] == ["users.parquet"]


def test_sizes_that_end_before_the_last_row_are_refused(reached):
    with pytest.raises(InvalidInput, match="up to row 9"):
        to_frame(reached, 0, SIZES[:9])


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda f: f.drop(columns="n_items"), "no column n_items"),
        (lambda f: f.assign(row=f["row"].astype(float)), "column row holds float64"),
        (lambda f: f.assign(**{"recall@20": 1}), "column recall@20 holds int64"),
        (lambda f: f.assign(**{"precision@20": 0.5}), "no metric 'precision@20'"),
        (lambda f: f.assign(**{"recall@20": np.nan}), "missing or not finite"),
        (lambda f: pd.concat([f, f.iloc[[1]]]), "row 5 comes twice"),
    ],
)
def test_tables_of_another_form_are_neither_written_nor_read(reached, tmp_path, spoil, message):
    spoilt = spoil(to_frame(reached, 0, SIZES))
    path = tmp_path / "users.parquet"
    with pytest.raises(InvalidInput, match=message):
        write_frame(spoilt, path)
    assert not path.exists()
    spoilt.to_parquet(path, index=False)
    with pytest.raises(DataError, match=message):
        read_frame(path)


def test_files_that_are_missing_or_no_parquet_are_named(tmp_path):
    (tmp_path / "text.parquet").write_text("no parquet")
    for name in ("absent.parquet", "text.parquet"):
        with pytest.raises(DataError, match=f"{name}: cannot be read"):
            read_frame(tmp_path / name)
