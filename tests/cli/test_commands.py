"""The commands as a user meets them: one clear line for bad input, a documented exit code, nothing half-written."""

import gzip
import json
import pickle
import resource
import subprocess
import sys

import pytest

from collabtheory.claims.discovery import bundled_folder


@pytest.fixture
def run(invoke, monkeypatch):
    """Run a command in an empty folder, with a wide terminal; return exit code, stdout and stderr."""
    monkeypatch.setenv("COLUMNS", "200")
    return invoke


def test_help_is_instant_and_states_the_exit_codes():
    command = [
        sys.executable,
        "-c",
        "from collabtheory.cli import main; import sys; sys.argv=['collabtheory','--help']; main()",
    ]
    times = []
    while len(times) < 20 and min(times, default=1.0) >= 0.3:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        # Processor time, the least of several: other work on the machine lengthens it, too, but not always.
        times.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert "Exit codes" in done.stdout
    assert min(times) < 0.3


def test_help_imports_nothing_heavy():
    code = (
        "import sys; from collabtheory import cli; print([m for m in ('torch','numpy','pandas') if m in sys.modules])"
    )
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
    )


def _bad_files(folder):
    good = "user,item,rating\n" + "".join(f"{u},{i},5\n" for u in range(10) for i in range(6))
    texts = {
        "empty.csv": "",
        "header.csv": "user,item,rating\n",
        "no_item_column.csv": "user,movie_title\n1,x\n",
        "rating_is_text.csv": good + "3,77,good\n",
        "rating_is_nan.csv": good + "3,77,nan\n",
        "id_too_large.csv": good + "99999999999999999999999,1,5\n",
        "duplicate.csv": good + "3,2,4\n",
        "no_item_id.csv": good + "3,,5\n",
        "all_below.csv": good.replace(",5\n", ",1\n"),
    }
    for name, text in texts.items():
        (folder / name).write_text(text)
    (folder / "pickle.csv").write_bytes(pickle.dumps({"user": [1]}))
    (folder / "latin.csv").write_bytes(good.encode() + "7,é,5\n".encode("latin-1"))
    (folder / "truncated.csv.gz").write_bytes(gzip.compress(good.encode() * 50)[:-30])
    return [*texts, "pickle.csv", "latin.csv", "truncated.csv.gz", "missing.csv"]


def test_every_bad_file_is_one_line_that_names_it_and_exit_code_2(run, tmp_path):
    for name in _bad_files(tmp_path):
        code, out, err = run("verify", "--data", tmp_path / name)
        assert code == 2, (name, err)
        assert out == ""
        assert len(err.strip().splitlines()) == 1, (name, err)
        assert name in err
        assert "Traceback" not in err
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("verify", "theorem_9_9"), "choose from"),
        (("verify", "--profile", "huge"), "quick, full, paper"),
        (("verify", "--data", "ml-3m"), "ml-3m"),
        (("verify", "--model", "absent.safetensors"), "absent.safetensors"),
        (("explain", "theorem_9_9"), "theorem_2_3"),
        (("report", "nowhere"), "nowhere"),
        (("verify", "--checks", "nowhere"), "nowhere"),
        (("train", "--out", "m.safetensors", "--keep-probability", "0"), "keep-probability"),
        (("train", "--out", "m.safetensors", "--likelihood", "normal"), "likelihood"),
    ],
)
def test_wrong_usage_says_what_to_choose_from(run, arguments, message):
    code, _, err = run(*arguments)
    assert code == 2
    assert message in err
    assert "Traceback" not in err


def test_nothing_selected_has_its_own_exit_code(run):
    assert run("verify", "theorem_2_3", "--kind", "empirical")[0] == 5


def test_a_pickle_as_model_is_refused(run, tmp_path):
    (tmp_path / "model.pt").write_bytes(pickle.dumps([1, 2]))
    code, _, err = run("verify", "--model", "model.pt", "--quiet")
    assert code == 2
    assert "never opened" in err


def test_an_output_that_is_a_file_is_refused(run, tmp_path):
    (tmp_path / "taken").write_text("x")
    code, _, err = run("verify", "--data", "davis", "--out", "taken", "--quiet")
    assert code == 2
    assert "cannot write" in err


def test_a_folder_that_is_no_run_is_neither_written_nor_emptied(run, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "run.json").write_text('{"tool": "other"}')
    (tmp_path / "mine" / "models").mkdir()
    (tmp_path / "mine" / "models" / "weights.bin").write_text("precious")
    code, _, err = run("verify", "proposition_3_1", "--data", "davis", "--out", "mine", "--quiet", "--no-figures")
    assert code == 2
    assert "not a run folder" in err
    assert sorted(path.name for path in (tmp_path / "mine").rglob("*")) == ["models", "run.json", "weights.bin"]


@pytest.mark.parametrize(
    ("name", "sets"),
    [
        ("equal", {u: range(8) for u in range(12)}),
        pytest.param("alike", {u: [i for i in range(10) if i != u % 10] for u in range(12)}, marks=pytest.mark.slow),
        ("three", {0: range(6), 1: range(1, 7), 2: [0, 1, 2, 3, 4, 7]}),
    ],
)
def test_tiny_and_uniform_data_give_verdicts_and_catch_every_control(run, tmp_path, name, sets):
    rows = [f"{u},{i}" for u, items in sets.items() for i in items]
    (tmp_path / f"{name}.csv").write_text("user,item\n" + "\n".join(rows) + "\n")
    pictures = () if name == "equal" else ("--no-figures",)
    code, out, err = run("verify", "--data", f"{name}.csv", "--quiet", "--json", "--jobs", "1", *pictures)
    records = [json.loads(line) for line in out.splitlines()]
    assert code == 0, err
    assert all(record["caught"] for record in records if record["control"])
    radius = next(r for r in records if r["id"] == "theorem_2_3" and r["stage"] == "trained" and not r["control"])
    assert radius["verdict"] in ("holds", "vacuous")


def test_a_checkpoint_for_other_items_is_refused(run, tmp_path):
    assert run("train", "--data", "davis", "--out", "m.safetensors", "--epochs", "1")[0] == 0
    rows = "".join(f"{u},thing{(u + i) % 14}\n" for u in range(20) for i in range(6))
    (tmp_path / "other.csv").write_text("user,item\n" + rows)
    code, _, err = run(
        "verify", "proposition_3_1", "--data", "other.csv", "--model", "m.safetensors", "--quiet", "--no-figures"
    )
    assert code == 2
    assert "of the model's items" in err


def test_what_a_check_prints_never_reaches_the_json(run, tmp_path):
    source = (bundled_folder("proofs_checks") / "proposition_3_1_alignment_loss.py").read_text()
    (tmp_path / "checks").mkdir()
    (tmp_path / "checks" / "p.py").write_text(source + '\nprint("noise")\n')
    code, out, _ = run(
        "verify", "--data", "davis", "--checks", "checks", "--json", "--quiet", "--jobs", "1", "--no-figures"
    )
    assert code == 0
    assert all(json.loads(line)["id"] == "proposition_3_1" for line in out.splitlines())


def test_list_and_explain_show_statements_controls_and_limits(run):
    code, out, _ = run("list")
    assert code == 0
    for identifier in ("theorem_2_3", "aligned_radius", "lemma_2_4", "theorem_2_5", "beta_kl", "theorem_2_6"):
        assert identifier in out
    code, text, _ = run("explain", "proposition_3_1")
    assert code == 0
    for heading in ("Assumptions", "Proof", "Negative controls", "What it does not say"):
        assert heading in text
    assert text.count("✓ symbolic identity") == 3
    assert "$" not in text


def test_attack_breaks_the_twin_and_replay_decides_its_counterexample_again(run, tmp_path):
    code, out, _ = run("attack", "proposition_3_1", "--seconds", "0.5", "--json", "--out", tmp_path / "found")
    assert code == 0
    outcomes = {line["control"]: line["outcome"] for line in map(json.loads, out.splitlines())}
    assert outcomes == {None: "not broken", "spread_forgotten": "broken", "variance_twice": "broken"}
    file = tmp_path / "found" / "proposition_3_1-spread_forgotten-identity.json"
    code, text, _ = run("replay", file)
    assert code == 0
    assert "violated: the claim is certainly false" in text
    true = json.loads(file.read_text()) | {"control": None}
    file.write_text(json.dumps(true))
    code, text, _ = run("replay", file)
    assert code == 0
    assert "not violated" in text or "undecided" in text


def test_replay_of_what_is_no_counterexample_is_one_line(run, tmp_path):
    (tmp_path / "bad.json").write_text("{}")
    for path in (tmp_path / "bad.json", tmp_path / "missing.json"):
        code, _, err = run("replay", path)
        assert code == 2
        assert path.name in err
        assert err.count("\n") == 1


def test_doctor_finds_this_installation_fine(run):
    code, out, _ = run("doctor")
    assert code == 0, out
    assert "equals autograd" in out


def test_data_check_counts_and_names_problems(run, tmp_path):
    (tmp_path / "my.csv").write_text("user,item\n" + "".join(f"u{u},i{i}\n" for u in range(8) for i in range(u, u + 6)))
    code, out, _ = run("data", "check", "my.csv")
    assert code == 0
    assert "8 users" in out
    out = run("data", "check", "my.csv", "--min-item-users", "6", "--min-user-items", "1")[1]
    assert "items with >= 6 users: 8 -> 8 users, 13 -> 3 items" in out
    (tmp_path / "empty.csv").write_text("")
    assert run("data", "check", "empty.csv")[0] == 2


def test_train_writes_a_checkpoint_that_verify_reads(run, tmp_path):
    assert (
        run("train", "--data", "davis", "--out", "m.safetensors", "--epochs", "2", "--alignment-weight", "0.1")[0] == 0
    )
    code, out, err = run(
        "verify",
        "proposition_3_1",
        "--data",
        "davis",
        "--model",
        "m.safetensors",
        "--out",
        "r",
        "--jobs",
        "1",
        "--quiet",
        "--no-figures",
    )
    assert code == 0, err
    assert "proposition_3_1" in out or "Proposition 3.1" in out
