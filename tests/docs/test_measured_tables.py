"""Tables of measured files say what the files say."""

import importlib.util
import json
import sys
from pathlib import Path

import pytest

pytest.importorskip("sphinx", reason="the pages need Sphinx: pip install 'collabtheory[docs]'")
DOCS = Path(__file__).parents[2] / "docs"


def extension(name):
    sys.path.insert(0, str(DOCS / "_extensions"))
    try:
        spec = importlib.util.spec_from_file_location(name, DOCS / "_extensions" / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module
    finally:
        sys.path.pop(0)


@pytest.fixture(scope="module")
def tables():
    return extension("measured_tables")


@pytest.fixture(scope="module")
def speed_tables():
    return extension("speed_tables")


def test_the_rate_of_errors_is_counted_over_the_repetitions_kept_in_the_file(tables):
    found = json.loads((DOCS / "null_rate.json").read_text())
    rows = tables.null_rate_table(found).rows
    by_users = next(row for row in rows if "noise ignored" in row[0])
    n = len(found["p_values"])
    assert by_users[1].endswith(f"of {n}")
    assert by_users[2].startswith(f"{found['by_users']['count'] / n:.1%}")


@pytest.mark.parametrize("name", ["mult_vae", "ease"])
def test_speeds_are_sorted_and_ratios_are_of_the_file(tables, name):
    found = json.loads((DOCS / "training_speed" / f"training-speed-{name}-ml-1m.json").read_text())
    table = tables.training_speed_table(found)
    ours = next(row for row in table.rows if row[0] == "collabtheory")
    assert ours[2] == "1"
    medians = [one["time_over_collabtheory"]["median"] for one in found["summary"].values()]
    shown = [1.0 if row[2] == "1" else float(row[2].split()[0]) for row in table.rows]
    assert shown == sorted(shown)
    assert shown == pytest.approx(sorted(medians), abs=0.005)


def test_every_benchmark_has_a_table_and_every_file_is_shown(speed_tables, monkeypatch):
    folder, seen = DOCS / "speed", set()
    read = speed_tables.read

    def noting(where, name):
        seen.add(name)
        return read(where, name)

    monkeypatch.setattr(speed_tables, "read", noting)
    for make in speed_tables.TABLES.values():
        assert make(folder).rows
    assert {path.stem for path in folder.glob("*.json")} == seen
    page = (DOCS / "speed.md").read_text()
    assert all(f"```{{speed}} {name}\n" in page for name in speed_tables.TABLES)


def test_ratios_of_gram_matrices_are_medians_of_the_rounds(speed_tables):
    found = speed_tables.read(DOCS / "speed", "gradients-gram-1024-1700-1")
    rounds = [one["seconds"]["BackPACK"] / one["seconds"]["collabtheory"] for one in found["result"]["rounds"]]
    rows = speed_tables.gram_table(DOCS / "speed").rows
    shown = next(row[3] for row in rows if row[0].startswith("1,024, 1,700, 1") and row[1] == "BackPACK")
    assert float(shown.split()[0]) == pytest.approx(sorted(rounds)[len(rounds) // 2], rel=5e-3)
