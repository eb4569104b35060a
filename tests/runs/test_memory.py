"""The memory bound: what sizes may be written, who gets how much, and that predicted peaks are kept."""

import json
import os
import subprocess
import sys

import pytest

from collabtheory.errors import InvalidInput
from collabtheory.runs import memory


@pytest.mark.parametrize(
    ("text", "size"),
    [("2G", 2 << 30), ("512M", 512 << 20), ("1.5GiB", 3 << 29), ("2048 kb", 2 << 20), ("4000000", 4_000_000)],
)
def test_sizes_are_read_in_powers_of_1024(text, size):
    assert memory.parse_size(text) == size


@pytest.mark.parametrize("text", ["", "G", "-2G", "2X", "10K", "0", "1e9", "2 G G"])
def test_what_is_no_size_is_refused(text):
    with pytest.raises(InvalidInput, match="must be a size of at least 1M"):
        memory.parse_size(text)


def test_without_a_bound_a_quarter_of_what_is_free_is_used(monkeypatch):
    monkeypatch.delenv(memory.VARIABLE, raising=False)
    monkeypatch.setattr(memory, "free_bytes", lambda: 8 << 30)
    assert memory.budget() == 2 << 30
    assert memory.budget("3G") == 3 << 30
    monkeypatch.setenv(memory.VARIABLE, "1G")
    assert memory.budget() == 1 << 30


def test_free_memory_is_the_least_of_machine_and_control_group(monkeypatch, tmp_path):
    (tmp_path / "meminfo").write_text("MemTotal: 100 kB\nMemAvailable:   4096 kB\n")
    monkeypatch.setattr(memory, "_MEMINFO", tmp_path / "meminfo")
    monkeypatch.setattr(memory, "_CGROUP", tmp_path)
    assert memory.free_bytes() == 4096 << 10
    (tmp_path / "memory.max").write_text("3000000\n")
    (tmp_path / "memory.current").write_text("1000000\n")
    assert memory.free_bytes() == 2_000_000
    (tmp_path / "memory.max").write_text("max\n")
    assert memory.free_bytes() == 4096 << 10
    monkeypatch.setattr(memory, "_MEMINFO", tmp_path / "missing")
    with pytest.raises(InvalidInput, match="give --memory"):
        memory.free_bytes()


def test_a_bound_is_shared_among_processes_and_forgotten_afterwards(monkeypatch):
    monkeypatch.delenv(memory.VARIABLE, raising=False)
    with memory.shared_budget("3G", 3) as share:
        assert share == memory.budget() == 1 << 30
        with memory.shared_budget(None, 2) as half:
            assert half == 1 << 29
        assert memory.budget() == 1 << 30
    assert memory.VARIABLE not in os.environ


def test_blocks_shrink_to_the_bound_and_what_cannot_fit_is_refused(monkeypatch):
    monkeypatch.setenv(memory.VARIABLE, "10M")
    assert memory.rows_within(1 << 20, most=256) == 10
    assert memory.rows_within(1 << 20, fixed=4 << 20, most=256) == 6
    assert memory.rows_within(1 << 20, most=3) == 3
    with pytest.raises(InvalidInput, match="sums needs 12 MiB and may take 10 MiB; raise --memory"):
        memory.rows_within(1 << 20, fixed=10 << 20, least=2, most=8, what="sums")


NEAREST = """
import json, resource, sys
import numpy as np
from collabtheory import DiagonalGaussian
from collabtheory.latent.neighbours import nearest, nearest_bytes
from collabtheory.runs.memory import resident_bytes
n, d, k = (int(word) for word in sys.argv[1:])
rng = np.random.default_rng(0)
p = DiagonalGaussian(rng.standard_normal((n, d)), rng.uniform(0.5, 1, (n, d)))
nearest(p[:300], k)
before = resident_bytes()
nearest(p, k)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
print(json.dumps([peak - before, nearest_bytes(n, n, d, k)]))
"""


def measured(script, *words, **environment):
    command = [sys.executable, "-c", script, *map(str, words)]
    threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | threads | environment, check=True)
    return json.loads(done.stdout)


@pytest.mark.slow
def test_neighbours_take_the_predicted_memory_and_no_more_than_is_allowed():
    taken, predicted = measured(NEAREST, 20_000, 16, 10, COLLABTHEORY_MEMORY="2G")
    assert 0.5 * predicted < taken < 1.2 * predicted
    bounded, _ = measured(NEAREST, 20_000, 16, 10, COLLABTHEORY_MEMORY="24M")
    assert bounded < 1.2 * (24 << 20)
    assert bounded < taken
