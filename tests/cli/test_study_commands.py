"""compare, sweep, evaluate, check-vae and methods from end to end, on a small file of one's own."""

import contextlib
import io
import json
import subprocess
import sys
import time

import numpy as np
import pytest

from collabtheory import cli

PROGRAM = [sys.executable, "-c", "from collabtheory.cli import main; main()"]
COMPARE = (
    "compare", "popularity", "item_knn", "ease", "--data", "../world.csv", "--profile", "quick", "--folds", "2",
    "--jobs", "1", "--out", "run",
)  # fmt: skip
pytestmark = pytest.mark.xdist_group("study commands")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a file of 60 users in three groups, each with items of its own and some of all."""
    folder = tmp_path_factory.mktemp("studies")
    rng = np.random.default_rng(0)
    rows = []
    for user in range(60):
        own = rng.permutation(14)[:7] + 14 * (user % 3)
        shared = 42 + rng.permutation(10)[:3]
        rows += [f"u{user},i{item}" for item in (*own, *shared)]
    (folder / "world.csv").write_text("user,item\n" + "\n".join(rows) + "\n")
    return folder


@pytest.fixture(scope="module")
def call(place):
    """Run a command in this process, in a subfolder of that place; return exit code, stdout and stderr."""

    def run(where, *arguments):
        folder = place / where
        folder.mkdir(exist_ok=True)
        out, err, code = io.StringIO(), io.StringIO(), 0
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(folder)
            patch.setenv("COLUMNS", "120")
            patch.setattr(sys, "argv", ["collabtheory", *map(str, arguments)])
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                try:
                    cli.main()
                except SystemExit as ended:
                    code = ended.code or 0
        return code, out.getvalue(), err.getvalue()

    return run


@pytest.fixture(scope="module")
def compared(place, call):
    code, out, err = call("whole", *COMPARE)
    assert code == 0, err
    return place / "whole" / "run", out, err


@pytest.fixture(scope="module")
def checkpoint(place, call):
    code, _, err = call("model", "train", "--data", "../world.csv", "--out", "m.safetensors", "--epochs", "2")
    assert code == 0, err
    return place / "model" / "m.safetensors"


def timeless(path):
    """Return a study.json as text without what differs from run to run: seconds and date."""
    content = json.loads(path.read_text())
    del content["seconds"], content["date"]
    for method in content["methods"]:
        del method["seconds"]
    return json.dumps(content, indent=1)


def test_compare_publishes_every_method_with_intervals_and_tables(compared):
    folder, out, err = compared
    study = json.loads((folder / "study.json").read_text())
    found = {method["name"]: method["metrics"]["ndcg@100"] for method in study["methods"]}
    assert set(found) == {"popularity", "item_knn", "ease"}
    for metric in found.values():
        assert metric["low"] <= metric["value"] <= metric["high"]
        assert metric["n"] == 60
    # Groups have items of their own, which popularity cannot know.
    assert found["popularity"]["high"] < min(found["ease"]["low"], found["item_knn"]["low"])
    assert len(next(method for method in study["methods"] if method["name"] == "ease")["tuning"]) == 2
    assert "EASE" in out
    assert "60 users" in out
    assert "fit ease, fold 2 of 2" in err
    assert {"study_methods.csv", "study_methods.tex", "study_methods.md"} <= {
        path.name for path in (folder / "tables").iterdir()
    }


def test_the_same_command_again_computes_nothing(compared, call):
    folder, out, _ = compared
    before, steps = timeless(folder / "study.json"), (folder / "store" / "steps.jsonl").read_text()
    code, again, err = call("whole", *COMPARE)
    assert code == 0
    assert again == out
    assert (folder / "store" / "steps.jsonl").read_text() == steps
    progress = [line for line in err.splitlines() if line.startswith("[") and "fold" in line]
    assert progress
    assert all(line.endswith("found in the run folder") for line in progress)
    assert timeless(folder / "study.json") == before


def test_after_a_kill_the_same_command_gives_the_same_study(compared, place, call):
    (place / "killed").mkdir()
    process = subprocess.Popen(
        [*PROGRAM, *COMPARE], cwd=place / "killed", start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    log = place / "killed" / "run" / "store" / "steps.jsonl"
    try:
        while not (log.exists() and log.read_text().count("\n") >= 2):
            assert process.poll() is None, "finished before it could be killed"
            time.sleep(0.005)
    finally:
        process.kill()
        process.wait()
    assert not (place / "killed" / "run" / "study.json").exists()
    code, _, err = call("killed", *COMPARE)
    assert code == 0, err
    steps = [json.loads(line)["step"] for line in log.read_text().splitlines()]
    assert len(steps) == len(set(steps)), "a finished step was repeated"
    assert timeless(place / "killed" / "run" / "study.json") == timeless(compared[0] / "study.json")


def test_sweep_writes_its_curve_and_finds_it_again(place, call):
    arguments = (
        "sweep",
        "l2",
        "1",
        "20",
        "400",
        "--method",
        "ease",
        "--data",
        "../world.csv",
        "--folds",
        "2",
        "--jobs",
        "1",
    )
    code, out, err = call("sweep", *arguments)
    assert code == 0, err
    folder = place / "sweep" / "runs" / "world-sweep-ease-l2"
    content = json.loads((folder / "sweep.json").read_text())
    assert [point["value"] for point in content["points"]] == [1.0, 20.0, 400.0]
    for name in ("tables/sweep.csv", "tables/sweep.tex", "figures/sweep.png", "figures/sweep.svg"):
        assert (folder / name).stat().st_size > 0
        assert name in err
    assert "p (Holm)" in out
    figure = (folder / "figures" / "sweep.svg").read_bytes()
    code, again, err = call("sweep", *arguments)
    assert code == 0
    assert again == out
    assert err.count("found in the run folder") == 6
    assert (folder / "figures" / "sweep.svg").read_bytes() == figure


def test_evaluate_says_what_train_said(checkpoint, call):
    code, out, err = call("model", "evaluate", checkpoint, "--data", "../world.csv", "--metric", "ndcg@100")
    assert code == 0, err
    assert "6 users that training never saw" in out
    assert "nDCG@100" in out
    assert "of the catalogue" in out


def test_evaluate_refuses_other_data_in_one_line(checkpoint, call):
    code, out, err = call("model", "evaluate", checkpoint, "--data", "davis")
    assert code == 2
    assert out == ""
    assert "trained on other data" in err
    assert err.count("\n") == 1


def test_pairs_finds_the_items_of_the_model_in_the_data_by_id(checkpoint, call, place):
    rows = (place / "world.csv").read_text().split()
    more = [f"u{user},a new item" for user in range(9)]
    (place / "more.csv").write_text("\n".join([*rows, *more]) + "\n")
    other = [row.replace(",i", ",j") for row in rows[1:]]
    (place / "other.csv").write_text("\n".join([rows[0], *other]) + "\n")
    code, same, err = call("model", "pairs", checkpoint, "--data", "../world.csv", "--quiet")
    assert code == 0, err
    assert call("model", "pairs", checkpoint, "--data", "../more.csv", "--quiet")[1] == same
    code, out, err = call("model", "pairs", checkpoint, "--data", "../other.csv", "--quiet")
    assert (code, out) == (2, "")
    assert "other lacks 52 of the model's items, first 'i0'" in err


def test_check_vae_finds_a_checkpoint_of_ours_fine(checkpoint, call):
    code, out, err = call("model", "check-vae", checkpoint, "--json")
    assert code == 0, out + err
    assert all(json.loads(line)["status"] != "wrong" for line in out.splitlines())
    assert out.count("\n") >= 10


def test_methods_are_listed_with_what_is_tuned(call):
    code, out, _ = call("model", "methods")
    assert code == 0
    for words in ("mult_vae_pia", "ease_nonnegative", "tuned: l2", "tuned: nothing"):
        assert words in out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("compare", "ease", "eaze"), ("eaze", "ease", "mult_vae")),
        (("compare", "ease", "--profile", "huge"), ("huge", "quick")),
        (("sweep", "betta", "1", "2"), ("betta", "beta", "keep_probability")),
        (("sweep", "beta", "1", "much"), ("beta", "'much'")),
        (("sweep", "beta", "1"), ("two values",)),
        (("sweep", "l2", "1", "2", "--method", "eaze"), ("eaze", "ease")),
        (("sweep", "l2", "1", "2", "--method", "ease", "--measure"), ("ease", "no posteriors")),
        (("evaluate", "absent.safetensors"), ("absent.safetensors",)),
        (("check-vae", "absent.safetensors"), ("absent.safetensors",)),
    ],
)
def test_wrong_usage_is_one_line_with_exit_code_2(arguments, words, place, call):
    needs_data = arguments[0] in ("compare", "sweep", "evaluate")
    code, out, err = call(
        "wrong",
        *arguments,
        *(("--data", "../world.csv", "--quiet") if needs_data and arguments[0] != "evaluate" else ()),
    )
    assert code == 2, err
    assert out == ""
    message = err.strip().splitlines()[-1]
    assert all(word in message for word in words)
    assert "Traceback" not in err
    assert not (place / "wrong" / "runs").exists()
