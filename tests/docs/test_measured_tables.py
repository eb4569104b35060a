"""Tables of measured files say what the files say."""

import importlib.util
import json
import sys
from pathlib import Path

import pytest

pytest.importorskip("sphinx", reason="the pages need Sphinx: pip install 'collabtheory[docs]'")
DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def tables():
    sys.path.insert(0, str(DOCS / "_extensions"))
    try:
        spec = importlib.util.spec_from_file_location("measured_tables", DOCS / "_extensions" / "measured_tables.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        yield module
    finally:
        sys.path.pop(0)


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
