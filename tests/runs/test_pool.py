"""Worker processes: what they see of the process that made their pool, and that they end with it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from collabtheory.runs.pool import Pool

PARENT = """
import sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from collabtheory.runs.pool import Pool
from worker import outlive
pool = Pool(1)
pool.submit(outlive, Path(sys.argv[2]))
time.sleep(100)
"""
WORKER = """
import os, time
def outlive(path):
    path.with_suffix(".part").write_text(str(os.getpid()))
    path.with_suffix(".part").rename(path)
    time.sleep(100)
"""


def test_workers_have_the_environment_of_their_own_pool_and_never_see_ctrl_c(monkeypatch):
    for said in ("first", "second"):
        monkeypatch.setenv("SAID_LATE", said)
        with Pool(1) as pool:
            assert pool.submit(os.getenv, "SAID_LATE").result() == said
            assert pool.submit(os.getenv, "OMP_NUM_THREADS").result() == "1"
            assert signal.SIGINT in pool.submit(signal.pthread_sigmask, signal.SIG_BLOCK, ()).result()
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())


def test_what_a_pool_is_warmed_with_is_imported_before_its_first_task():
    question = "'wave' in __import__('sys').modules"
    with Pool(1) as cold, Pool(1) as warm:
        warm.warm("wave")
        assert [pool.submit(eval, question).result() for pool in (cold, warm)] == [False, True]


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="reads /proc")
def test_a_worker_ends_with_the_process_that_made_its_pool(tmp_path):
    (tmp_path / "worker.py").write_text(WORKER)
    started = tmp_path / "pid"
    parent = subprocess.Popen([sys.executable, "-c", PARENT, str(tmp_path), str(started)])
    deadline = time.monotonic() + 60
    while not started.exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    parent.kill()
    parent.wait()
    while _runs(int(started.read_text())):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def _runs(pid):
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    # One that ended may wait to be reaped by whoever took it over.
    return state != "Z"
