import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import save_file

from collabtheory.errors import DataError
from collabtheory.runs.folder import RunFolder


def one_line(error):
    return "\n" not in str(error.value)


def test_records_split_into_claims_and_controls(run):
    assert len(run.claims) + len(run.controls) == len(run.records)
    assert {record["control"] for record in run.claims} == {False}
    assert all(record["caught"] for record in run.controls)


def test_stages_and_seeds_follow_run_json(run):
    assert run.stages == ("initial", "epoch_3", "epoch_10", "trained")
    assert run.seeds == (0, 1)


def test_stages_are_put_in_the_order_of_training_without_run_json(run_of, parts):
    names = ["trained", "epoch_10", "initial", "epoch_3", None]
    opened = run_of([parts.record("a", "t", "holds", 1, 1, 0.0, stage=name, seed=3) for name in names])
    assert opened.stages == ("initial", "epoch_3", "epoch_10", "trained")
    assert opened.seeds == (3,)


def test_pairs_of_one_seed_and_stage_equal_the_file(run):
    path = run.path / "pairs" / "seed-1" / "epoch_3.parquet"
    frame = run.pairs(seed=1, stage="epoch_3", columns=["u", "loss_change"])
    assert list(frame.columns) == ["seed", "stage", "u", "loss_change"]
    assert set(frame["seed"]) == {1}
    assert set(frame["stage"]) == {"epoch_3"}
    pd.testing.assert_series_equal(frame["loss_change"], pd.read_parquet(path)["loss_change"])


def test_pairs_of_all_seeds_and_stages_are_stacked_in_order(run):
    frame = run.pairs(columns=["u", "relation"])
    assert len(frame) == 2 * 4 * 1500
    assert list(dict.fromkeys(zip(frame["seed"], frame["stage"], strict=True)))[:5] == [
        (0, "initial"),
        (0, "epoch_3"),
        (0, "epoch_10"),
        (0, "trained"),
        (1, "initial"),
    ]
    single = run.pairs(seed=1, stage="trained", columns=["relation"])
    assert list(frame["relation"][-1500:]) == list(single["relation"])


def test_history_has_one_row_per_epoch_and_names_the_saved_stages(run):
    history = run.history(0)
    assert list(history["epoch"]) == list(range(1, 41))
    assert history.set_index("epoch")["stage"].dropna().to_dict() == {3: "epoch_3", 10: "epoch_10", 40: "trained"}


def test_a_history_without_a_quantity_gives_nan(run_of, parts):
    opened = run_of([])
    parts.write_lines(opened.path / "training" / "seed-0.jsonl", [{"epoch": 2, "kl": 1.0}, {"epoch": 1, "kl": None}])
    history = opened.history(0)
    assert list(history["epoch"]) == [1, 2]
    assert history["train_loss"].isna().all()
    assert history["kl"].isna().tolist() == [True, False]


def test_a_run_with_a_model_of_ones_own_has_an_empty_history(run_of, parts):
    opened = run_of([])
    parts.write_lines(opened.path / "training" / "seed-0.jsonl", [])
    assert len(opened.history(0)) == 0


def test_saved_epochs_are_read_from_the_checkpoints(run_of):
    opened = run_of([], meta='{"stages": ["epoch_3", "trained", "other"], "seeds": [0]}')
    folder = opened.path / "models" / "seed-0"
    folder.mkdir(parents=True)
    for stage, about in (("epoch_3", '{"epoch": 3}'), ("trained", '{"epoch": 17}'), ("other", "{}")):
        save_file({"w": np.zeros(2)}, folder / f"{stage}.safetensors", {"collabtheory-checkpoint-1": about})
    assert opened.saved_epochs(0) == {"epoch_3": 3, "trained": 17}
    assert opened.saved_epochs(1) == {}
    (folder / "trained.safetensors").write_bytes(b"cut")
    with pytest.raises(DataError, match="not a readable checkpoint"):
        opened.saved_epochs(0)


def test_an_empty_claims_file_is_a_run_without_records(run_of):
    opened = run_of([])
    assert opened.records == []
    assert opened.stages == ()
    assert opened.seeds == ()


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('{"id": "a"', "line 2: not valid JSON"),
        ("[1, 2]", "line 2: a JSON object was expected"),
        ('{"id": "a", "title": "t"}', "record 2: it has no field 'kind'"),
    ],
)
def test_a_corrupted_line_is_named(tmp_path, parts, line, says):
    good = json.dumps(parts.record("a", "t", "holds", 1, 1, 0.0))
    (tmp_path / "claims.jsonl").write_text(f"{good}\n{line}\n", encoding="utf-8")
    with pytest.raises(DataError, match=says) as error:
        _ = RunFolder(tmp_path).records
    assert one_line(error)
    assert "claims.jsonl" in str(error.value)


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"no claims\.jsonl") as error:
        RunFolder(tmp_path)
    assert one_line(error)
    with pytest.raises(DataError, match="is not a folder"):
        RunFolder(tmp_path / "nowhere")


def test_missing_and_damaged_pair_tables_are_named(run, tmp_path, run_of):
    with pytest.raises(DataError, match="no pair table of seed 7, stage trained"):
        run.pairs(seed=7, stage="trained")
    with pytest.raises(DataError, match="it has no column 'no_such'"):
        run.pairs(seed=0, stage="trained", columns=["no_such"])
    opened = run_of([], meta='{"stages": ["trained"], "seeds": [0]}')
    path = opened.pairs_path(0, "trained")
    path.parent.mkdir(parents=True)
    path.write_bytes(b"PAR1 cut off")
    with pytest.raises(DataError, match="not a readable Parquet file"):
        opened.pairs()
    with pytest.raises(DataError, match="no training history of seed 0"):
        opened.history(0)


def test_reading_a_run_does_not_import_torch(run):
    code = (
        "import sys; from collabtheory.runs.folder import RunFolder; from collabtheory.report import verdict_table; "
        f"run = RunFolder({str(run.path)!r}); verdict_table(run); run.pairs(0); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
