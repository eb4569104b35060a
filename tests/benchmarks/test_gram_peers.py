"""Gram matrices of users' gradients beside public libraries: equal, how much faster, how near the limit, what memory.

``COLLABTHEORY_GRADIENT_PEERS`` names a Python that has (some of) BackPACK, nngeometry, Opacus, captum and TorchJD and
PyTorch; without it an autograd loop and ``torch.func`` are what there is to compare. All methods of a case run in
alternation in one process of that Python (``peers/compare_grams.py``), one thread, process CPU time; ratios are made
within a round. The limit is the least number of floating-point operations over the rate of a 1024 x 1024 product of the
same dtype, measured beside each timing. Run with

    COLLABTHEORY_GRADIENT_PEERS=... pytest -m benchmark tests/benchmarks/test_gram_peers.py

``COLLABTHEORY_SPEED_RESULT`` names a folder for the results, ``COLLABTHEORY_SPEED_SIZE=small`` tries it out.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from measuring import SMALL, publish, spread

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(0)]

SCRIPT = Path(__file__).parent / "peers" / "compare_grams.py"
PATH = (Path(__file__).parents[2], Path(__file__).parent)
"""What the script imports from: this package, and what benchmarks share."""
PYTHON = os.environ.get("COLLABTHEORY_GRADIENT_PEERS", sys.executable)
MODULES = {
    "BackPACK": "backpack",
    "Opacus": "opacus",
    "TorchJD": "torchjd",
    "captum": "captum",
    "nngeometry": "nngeometry",
}
EVERYBODY = ("autograd loop", "torch.func", "BackPACK", "Opacus", "TorchJD", "captum", "nngeometry/1", "nngeometry/2")
NNGEOMETRY = ("nngeometry/1", "nngeometry/2", "nngeometry/4")
BASE = {"samples": 1, "dtype": "float32", "pairing": "all", "rounds": 3, "repeats": 3, "block": None, "growth": False}

CASES = {
    "1024-1700-1": {"users": 1024, "items": 1700, "methods": ("BackPACK", *NNGEOMETRY[:2]), "repeats": 7},
    "1024-1700-4": {"users": 1024, "items": 1700, "samples": 4, "methods": ("BackPACK", *NNGEOMETRY)},
    "1024-20000-4": {
        "users": 1024,
        "items": 20000,
        "samples": 4,
        "methods": ("BackPACK", *NNGEOMETRY[1:]),
        "repeats": 1,
        "block": 64,
    },
    "256-1700-4": {"users": 256, "items": 1700, "samples": 4, "methods": EVERYBODY},
    "256-1700-4-float64": {
        "users": 256,
        "items": 1700,
        "samples": 4,
        "methods": ("BackPACK", *NNGEOMETRY[:2]),
        "dtype": "float64",
    },
    "256-1700-16-same-sample": {
        "users": 256,
        "items": 1700,
        "samples": 16,
        "methods": ("BackPACK",),
        "pairing": "same_sample",
    },
}
TARGETS = {
    "1024-1700-1": {"BackPACK": 150, "over_limit": 1.6, "megabytes": 64},
    "1024-1700-4": {"BackPACK": 25, "nngeometry": 2.5, "over_limit": 1.4, "megabytes": 128},
    "1024-20000-4": {"BackPACK": 40, "over_limit": 1.35, "megabytes": 640},
    "256-1700-16-same-sample": {"BackPACK": 6},
}
FLOAT64_ELEMENTWISE, FLOAT32_OF_NORMS = 1e-10, 2e-6


def available(methods):
    """Return those methods whose library the named Python has."""
    names = sorted({MODULES[name.split("/")[0]] for name in methods if name.split("/")[0] in MODULES})
    code = f"import importlib.util as u; print(' '.join(n for n in {names} if u.find_spec(n)))"
    found = subprocess.run((PYTHON, "-c", code), capture_output=True, text=True, check=True).stdout.split()
    return [name for name in methods if MODULES.get(name.split("/")[0], "torch") in [*found, "torch"]]


def run(job, folder):
    path = folder / "job.json"
    path.write_text(json.dumps(job), encoding="utf-8")
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    done = subprocess.run(
        (PYTHON, "-W", "ignore", str(SCRIPT), str(path)),
        env=os.environ | threads | {"PYTHONPATH": os.pathsep.join(map(str, PATH))},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        pytest.fail((done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1])
    return json.loads(done.stdout.strip().splitlines()[-1])


def job_of(case):
    job = BASE | CASES[case]
    if SMALL:
        job |= {"users": 64, "items": min(job["items"], 2000), "rounds": 1, "repeats": 1, "block": job["block"] and 32}
    return job | {"methods": available(job["methods"])}


def summary(result, methods):
    """Return seconds, ratio to ours and peak of each method; nngeometry's with its best number of batches."""
    rounds = [record["seconds"] for record in result["rounds"]]
    rows = {"collabtheory": {"seconds": spread([one["collabtheory"] for one in rounds])}}
    rows["collabtheory"]["over_limit"] = spread([one["over_limit"] for one in rounds])
    for name in methods:
        ratios = spread([one[name] / one["collabtheory"] for one in rounds])
        rows[name] = {"seconds": spread([one[name] for one in rounds]), "over_ours": ratios}
    tuned = [name for name in methods if name.startswith("nngeometry/")]
    if tuned:
        best = min(tuned, key=lambda name: rows[name]["over_ours"]["median"])
        rows["nngeometry"] = rows[best] | {"batches": int(best.split("/")[1])}
        result["peak_megabytes"]["nngeometry"] = result["peak_megabytes"].get(best)
        rows = {name: row for name, row in rows.items() if name not in tuned}
    for name, row in rows.items():
        row["peak_megabytes"] = result["peak_megabytes"].get(name)
    return rows


def described(case, rows, errors):
    own = rows["collabtheory"]
    lines = [
        f"Gram {case}: {own['seconds']['median']:.3f} s, {own['over_limit']['median']:.2f} x limit "
        f"({own['over_limit']['smallest']:.2f}-{own['over_limit']['largest']:.2f}), peak {own['peak_megabytes']:.0f} MB"
    ]
    for name, row in rows.items():
        if name != "collabtheory":
            ratio = row["over_ours"]
            lines.append(
                f"  {name:14} {ratio['median']:7.1f} x our time ({ratio['smallest']:.1f}-{ratio['largest']:.1f}), "
                f"peak {row['peak_megabytes']:,.0f} MB"
            )
    if "collabtheory" in errors:
        lines.append(
            "  error: {elementwise:.1e} of the entry, {of_norms:.1e} of the norms".format(**errors["collabtheory"])
        )
    return lines


@pytest.mark.parametrize("case", list(CASES))
def test_gram_beside_public_libraries(case, tmp_path, capsys):
    job = job_of(case)
    result = run(job, tmp_path)
    rows = summary(result, job["methods"])
    publish(
        f"gradients-gram-{case}",
        {"job": job, "summary": rows, "result": result},
        described(case, rows, result["errors"]),
        capsys,
    )
    error = result["errors"].get("collabtheory")
    if error and job["dtype"] == "float64":
        assert error["elementwise"] < FLOAT64_ELEMENTWISE
    elif error:
        assert error["of_norms"] < FLOAT32_OF_NORMS
    if SMALL:
        return
    target = TARGETS.get(case, {})
    for peer in ("BackPACK", "nngeometry"):
        if peer in target and peer in rows:
            assert rows[peer]["over_ours"]["median"] >= target[peer]
    own = rows["collabtheory"]
    assert own["over_limit"]["median"] <= target.get("over_limit", np.inf)
    assert own["peak_megabytes"] < target.get("megabytes", np.inf)


GROWTH = {
    "users": (128, 256, 512, 1024) if not SMALL else (32, 64),
    "items": (1250, 2500, 5000, 10000) if not SMALL else (200, 400),
    "samples": (1, 2, 4, 8) if not SMALL else (1, 2),
}
CENTRE = {"users": 256, "items": 2500, "samples": 4} if not SMALL else {"users": 32, "items": 200, "samples": 2}


def exponent(sizes, values):
    """Return slope and its standard error in log-log by least squares."""
    x, y = np.log(sizes), np.log(values)
    if len(x) < 3:
        return {"slope": float(np.polyfit(x, y, 1)[0]), "standard_error": None}
    coefficients, covariance = np.polyfit(x, y, 1, cov=True)
    return {"slope": float(coefficients[0]), "standard_error": float(np.sqrt(covariance[0, 0]))}


@pytest.mark.parametrize("axis", list(GROWTH))
def test_growth_of_time_and_memory(axis, tmp_path, capsys):
    methods = available(("BackPACK", "nngeometry/1"))
    rows = []
    for size in GROWTH[axis]:
        job = BASE | CENTRE | {axis: size, "methods": methods, "rounds": 2}
        result = run(job, tmp_path)
        own = {"flops": result["flops"], "peak_megabytes": result["peak_megabytes"]}
        medians = {
            name: statistics.median(one["seconds"][name] for one in result["rounds"])
            for name in ("collabtheory", "limit", *methods)
        }
        rows.append({"size": size, "seconds": medians, **own})
    fits = {}
    for name in ("collabtheory", *methods):
        fits[name] = {
            "time": exponent(GROWTH[axis], [row["seconds"][name] for row in rows]),
            "memory": exponent(GROWTH[axis], [row["peak_megabytes"][name] for row in rows]),
        }
    fits["limit"] = {"time": exponent(GROWTH[axis], [row["flops"] for row in rows])}
    lines = [f"Growth with {axis} at {CENTRE}"]
    lines += [
        f"  {name:13} " + ", ".join(f"{what} ~ {fit['slope']:.2f}" for what, fit in one.items())
        for name, one in fits.items()
    ]
    publish(
        f"gradients-growth-{axis}", {"axis": axis, "centre": CENTRE, "rows": rows, "exponents": fits}, lines, capsys
    )
    if not SMALL:
        # No more than what the operations grow by, and a little for smaller sizes being less efficient.
        assert fits["collabtheory"]["time"]["slope"] < fits["limit"]["time"]["slope"] + 0.15
