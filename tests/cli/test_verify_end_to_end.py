"""The main job on the smallest real data set: verdicts, controls, determinism, resume after a kill, refusal to pass."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from collabtheory.claims.discovery import bundled_folder
from collabtheory.rigor import Means
from collabtheory.runs.folder import RunFolder

SOME = ("theorem_2_3", "lemma_2_4", "beta_kl", "proposition_3_1")
"""Statements for runs that are about running: they have every kind of check, a ladder among them."""
COMMAND = [
    sys.executable, "-c", "from collabtheory.cli import main; main()", "verify",
    "--data", "davis", "--quiet", "--jobs", "1", "--no-figures",
]  # fmt: skip


def verify(folder, *options, **keywords):
    return subprocess.run(
        [*COMMAND, "--out", str(folder), *options], capture_output=True, text=True, check=False, **keywords
    )


def records(folder):
    return [json.loads(line) for line in (folder / "claims.jsonl").read_text().splitlines()]


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("finished") / "run"
    done = verify(folder, *SOME, "--jobs", "2", "--figures")
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="session")
def everything(tmp_path_factory):
    folder = tmp_path_factory.mktemp("everything") / "run"
    done = verify(folder)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.xdist_group("finished")
def test_tests_that_share_a_run_stay_on_one_test_worker(request):
    if not request.config.getoption("loadgroup", False):
        pytest.skip("tests are not spread over workers by group")
    assert request.node.nodeid.endswith("@finished"), "this pytest-xdist does not see groups with this pytest"


@pytest.mark.xdist_group("finished")
def test_the_run_folder_is_complete(finished):
    for name in ("claims.jsonl", "junit.xml", "report.html", "run.json", "times.json"):
        assert (finished / name).stat().st_size > 0
    for folder in ("pairs", "figures", "models", "training"):
        assert any((finished / folder).rglob("*.*"))


@pytest.mark.xdist_group("finished")
def test_every_record_has_what_readers_rely_on(finished):
    for record in records(finished):
        assert {"id", "verdict", "rigor", "coverage", "margin", "control", "stage", "seed"} <= set(record)
        assert 0 <= record["coverage"]["met"] <= record["coverage"]["tried"]


@pytest.mark.xdist_group("finished")
def test_theorem_2_3_is_checked_at_every_stage_with_its_figures(finished):
    found = {r["stage"]: r for r in records(finished) if r["id"] == "theorem_2_3" and not r["control"] and r["model"]}
    assert {"initial", "epoch_3", "trained"} == set(found)
    for record in found.values():
        assert record["verdict"] in ("holds", "vacuous")
        for name in (
            "share_helping",
            "share_positive_radius",
            "share_inside",
            "precision",
            "recall",
            "spearman_cosine_w2",
        ):
            assert name in record["numbers"]
        assert record["numbers"]["first_order_slope"]["value"] == pytest.approx(2.0, abs=0.05)


@pytest.mark.xdist_group("everything")
def test_every_negative_control_is_caught(everything):
    controls = [record for record in records(everything) if record["control"]]
    assert {record["id"] for record in controls} == {record["id"] for record in records(everything)}
    assert len({record["id"] for record in controls}) == 14
    assert all(record["caught"] and record["verdict"] == "violated" for record in controls)


@pytest.mark.xdist_group("everything")
def test_what_a_run_certifies_names_means_that_sample_nothing_and_has_no_model_in_it(everything):
    found = records(everything)
    certified = [part for record in found for part in record["parts"] if part["verdict"] == "certified"]
    assert len(certified) > 100
    for part in certified:
        assert Means(part["means"]).certifies
        assert part["detail"]
        assert part["rigor"] in ("proved", "certified")
        assert 0 < part["coverage"]["met"] == part["coverage"]["tried"]
    for record in (one for one in found if one["verdict"] == "certified"):
        assert record["model"] is None
        assert record["rigor"] in ("proved", "certified")
        assert {part["verdict"] for part in record["parts"]} == {"certified"}


@pytest.mark.xdist_group("everything")
def test_every_twin_leaves_a_counterexample_that_can_be_replayed(everything):
    saved = sorted((everything / "counterexamples").glob("*.json"))
    assert len(saved) >= 20
    controls = {(r["id"], r["control_name"]) for r in records(everything) if r["control"]}
    for path in saved:
        content = json.loads(path.read_text())
        assert (content["statement"], content["control"]) in controls


@pytest.mark.xdist_group("finished")
def test_nothing_is_computed_twice(finished):
    steps = (finished / "store" / "steps.jsonl").read_text()
    before = (finished / "claims.jsonl").read_bytes()
    assert verify(finished, *SOME).returncode == 0
    assert (finished / "store" / "steps.jsonl").read_text() == steps
    assert (finished / "claims.jsonl").read_bytes() == before


@pytest.mark.xdist_group("finished")
def test_results_do_not_depend_on_the_number_of_workers(finished, tmp_path):
    assert verify(tmp_path / "one", *SOME).returncode == 0
    assert (tmp_path / "one" / "claims.jsonl").read_bytes() == (finished / "claims.jsonl").read_bytes()


@pytest.mark.xdist_group("finished")
def test_after_a_kill_the_same_command_finishes_with_the_same_bytes(finished, tmp_path):
    folder = tmp_path / "killed"
    process = subprocess.Popen([*COMMAND, *SOME, "--out", str(folder)], start_new_session=True)
    log = folder / "store" / "steps.jsonl"
    deadline = time.monotonic() + 240
    while not (log.exists() and len(log.read_text().splitlines()) >= 3):
        assert process.poll() is None, "finished before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (folder / "claims.jsonl").exists()
    assert verify(folder, *SOME).returncode == 0
    steps = [json.loads(line)["step"] for line in log.read_text().splitlines()]
    assert len(steps) == len(set(steps)), "a finished step was repeated"
    assert (folder / "claims.jsonl").read_bytes() == (finished / "claims.jsonl").read_bytes()


def test_ctrl_c_is_exit_code_130_and_leaves_no_verdicts(tmp_path):
    folder = tmp_path / "interrupted"
    process = subprocess.Popen(
        [*COMMAND, "--out", str(folder)], stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    while not (folder / "store").exists():
        time.sleep(0.02)
    time.sleep(0.5)
    os.kill(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted" in err
    assert "Traceback" not in err
    assert not (folder / "claims.jsonl").exists()


def _changed_checks(tmp_path, file, old, new):
    folder = tmp_path / "checks"
    shutil.copytree(bundled_folder("proofs_checks"), folder, ignore=shutil.ignore_patterns("__pycache__"))
    text = (folder / file).read_text()
    assert text.count(old) == 1
    (folder / file).write_text(text.replace(old, new))
    return folder


def test_a_check_that_was_disabled_makes_the_run_fail(tmp_path):
    old = '"(1) ||g_u - g_v|| <= D", gap, penalty'
    new = '"(1) ||g_u - g_v|| <= D", 0.0 * gap, penalty'
    checks = _changed_checks(tmp_path, "theorem_2_3_sharing_radius.py", old, new)
    text = (checks / "theorem_2_3_sharing_radius.py").read_text()
    (checks / "theorem_2_3_sharing_radius.py").write_text(
        text.replace("    least = norm * (norm - penalty)\n", "    least = -1e300 + 0.0 * norm\n")
    )
    done = verify(tmp_path / "run", "theorem_2_3", "--checks", str(checks))
    assert done.returncode == 1, done.stderr
    missed = {r["control_name"] for r in records(tmp_path / "run") if r["control"] and not r["caught"]}
    assert missed == {"drop_content_mismatch"}


def test_a_false_statement_makes_the_run_fail_and_shows_its_case(tmp_path):
    checks = _changed_checks(
        tmp_path,
        "proposition_3_1_alignment_loss.py",
        "+ (sigma**2).sum(1) + spread",
        "+ 2 * (sigma**2).sum(1) + spread",
    )
    done = verify(tmp_path / "run", "proposition_3_1", "--checks", str(checks))
    assert done.returncode == 1
    violated = [r for r in records(tmp_path / "run") if r["verdict"] == "violated" and not r["control"]]
    assert violated
    assert violated[0]["worst"]["user"] >= 0
    assert violated[0]["worst"]["part"] == "identity"
    (saved,) = (tmp_path / "run" / "counterexamples").glob("proposition_3_1-identity-trained-0.json")
    command = [*COMMAND[:3], "replay", str(saved), "--checks", str(checks)]
    again = subprocess.run(command, capture_output=True, text=True, check=False)
    assert again.returncode == 1
    assert "violated" in again.stdout


def test_a_check_that_breaks_is_reported_as_error_with_exit_code_4(tmp_path):
    checks = _changed_checks(
        tmp_path,
        "proposition_3_1_alignment_loss.py",
        "    centroid, spread = _centroid",
        "    raise ZeroDivisionError\n    centroid, spread = _centroid",
    )
    done = verify(tmp_path / "run", "proposition_3_1", "--checks", str(checks))
    assert done.returncode == 4
    assert any(r["verdict"] == "error" for r in records(tmp_path / "run"))


def test_a_check_that_broke_once_is_tried_again(tmp_path):
    checks = _changed_checks(
        tmp_path,
        "proposition_3_1_alignment_loss.py",
        "    centroid, spread = _centroid",
        "    import os\n    if os.environ.get('BREAK'):\n        raise MemoryError\n    centroid, spread = _centroid",
    )
    options = ("proposition_3_1", "--checks", str(checks))
    assert verify(tmp_path / "run", *options, env={**os.environ, "BREAK": "1"}).returncode == 4
    assert verify(tmp_path / "run", *options).returncode == 0


def test_another_run_in_the_same_folder_leaves_no_stale_results(tmp_path):
    folder = tmp_path / "run"
    assert verify(folder, "proposition_3_1", "--seeds", "2").returncode == 0
    assert (folder / "models" / "seed-1" / "trained.safetensors").exists()
    (folder / "notes.txt").write_text("mine")
    assert verify(folder, "proposition_3_1").returncode == 0
    assert not list(folder.glob("**/seed-1/*"))
    assert (folder / "notes.txt").read_text() == "mine"
    assert {record["seed"] for record in records(folder)} == {0}


@pytest.mark.xdist_group("finished")
def test_the_trained_stage_is_the_best_epoch_at_the_full_kl_weight(finished):
    history = [json.loads(line) for line in (finished / "training" / "seed-0.jsonl").read_text().splitlines()]
    full = [epoch for epoch in history if epoch["epoch"] >= 30]
    best = max(full, key=lambda epoch: epoch["validation_ndcg"])["epoch"]
    assert RunFolder(finished).saved_epochs(0)["trained"] == best
    weights = {path.stem: path.read_bytes() for path in (finished / "models" / "seed-0").glob("*.safetensors")}
    assert len(set(weights.values())) == len(weights)


def test_a_users_own_file_is_verified(tmp_path):
    rows = [f"p{u},t{(u * 7 + i * i) % 30}" for u in range(40) for i in range(9)]
    (tmp_path / "my.csv").write_text("user,item\n" + "\n".join(dict.fromkeys(rows)) + "\n")
    done = subprocess.run(
        [*COMMAND[:4], *SOME, "--data", "my.csv", "--quiet", "--jobs", "1", "--no-figures"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (Path(tmp_path) / "runs" / "my-quick" / "report.html").exists()
