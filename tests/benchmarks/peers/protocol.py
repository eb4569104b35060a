"""What every training script does: read a job, train on one core, write scores, print one JSON line.

A job is a JSON file: ``model`` (``mult_vae``, ``rec_vae``, ``ease``), ``folder`` with ``train.npz`` and ``fold_in.npz``
(binary CSR), ``scores`` (where to write the scores of the fold-in users, or null), and the hyperparameters. Needs NumPy
and SciPy only, of any version.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import statistics
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from scipy import sparse


class Stopwatch:
    """Process CPU seconds and wall seconds of each epoch; a part of an epoch may be timed in pieces."""

    def __init__(self):
        self.cpu, self.wall = [], []
        self.start()

    def start(self):
        """Begin an epoch."""
        self.since = time.process_time(), time.perf_counter()

    def stop(self):
        """End it."""
        self.cpu.append(time.process_time() - self.since[0])
        self.wall.append(time.perf_counter() - self.since[1])

    @contextmanager
    def epoch(self):
        """Time one epoch (or a closed-form fit)."""
        self.start()
        yield
        self.stop()

    def merge(self, pieces):
        """Add up ``pieces`` consecutive records to one."""
        for records in (self.cpu, self.wall):
            records[:] = [sum(records[start : start + pieces]) for start in range(0, len(records), pieces)]


def run(library, packages, trainers):
    """Do the job named on the command line.

    ``trainers`` maps the model's name to ``trainer(job, train, watch) -> scorer``; ``scorer(fold_in)`` gives dense
    scores.
    """
    job = SimpleNamespace(**json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
    sys.argv = sys.argv[:1]
    # A second core would help some libraries and not others, and hide their work from users per core second.
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    folder = Path(job.folder)
    train, fold_in = (sparse.csr_matrix(sparse.load_npz(folder / f"{name}.npz")) for name in ("train", "fold_in"))
    np.random.seed(job.seed)  # noqa: NPY002 - some of the libraries draw from the global state.
    watch = Stopwatch()
    scorer = trainers[job.model](job, train, watch)
    peak = peak_megabytes()
    if job.scores:
        np.save(job.scores, np.asarray(scorer(fold_in), dtype=np.float32))
    # The first epoch pays for compilation, page faults and the optimiser's state.
    cpu, wall = (records[1:] or records for records in (watch.cpu, watch.wall))
    result = {
        "library": library,
        "model": job.model,
        "epochs": len(watch.cpu),
        "cpu_seconds": statistics.median(cpu),
        "wall_seconds": statistics.median(wall),
        "users_per_cpu_second": train.shape[0] / statistics.median(cpu),
        "peak_megabytes": peak,
        "python": platform.python_version(),
        "versions": {name: importlib.metadata.version(name) for name in packages},
        "blas": blas_kernels(),
    }
    print(json.dumps(result))


def peak_megabytes():
    """Return the largest resident set so far of this program (getrusage would count the parent's before exec)."""
    for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("the peak of the resident set cannot be read on this system")


def blas_kernels():
    """Return the kernels that NumPy's and SciPy's BLAS chose, where threadpoolctl is at hand to tell."""
    try:
        from threadpoolctl import threadpool_info
    except ImportError:
        return None
    return sorted({f"{pool['internal_api']} {pool.get('architecture')}" for pool in threadpool_info()})


def coordinates(matrix):
    """Return users and items of all interactions, user by user."""
    coo = matrix.tocoo()
    return coo.row.astype(np.int64), coo.col.astype(np.int64)


def in_own_columns(fold_in, column_of, n_columns):
    """Return ``fold_in`` with item ``i`` in the library's own column ``column_of[i]``."""
    coo = fold_in.tocoo()
    return sparse.csr_matrix((coo.data, (coo.row, column_of[coo.col])), shape=(fold_in.shape[0], n_columns))
