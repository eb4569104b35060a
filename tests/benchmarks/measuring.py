"""What every benchmark here does: CPU seconds of a call, the rate of a product, spreads over rounds, results kept."""

from __future__ import annotations

import json
import os
import statistics
import time
from pathlib import Path

import torch

SMALL = os.environ.get("COLLABTHEORY_SPEED_SIZE") == "small"
ROUNDS = 1 if SMALL else 3


def seconds(function):
    """Return the result of a call, and the CPU seconds that this process took for it."""
    start = time.process_time()
    result = function()
    return result, time.process_time() - start


def product_rate(dtype, size=1024, repeats=5, pick=statistics.median):
    """Return the floating-point operations a second of a square product, by ``pick`` of the times of a few."""
    a, b = torch.randn(2, size, size, dtype=dtype).unbind()
    out = torch.empty_like(a)
    return 2 * size**3 / pick([seconds(lambda: torch.mm(a, b, out=out))[1] for _ in range(repeats)])


def spread(values):
    """Return median, smallest and largest."""
    return {"median": statistics.median(values), "smallest": min(values), "largest": max(values)}


def publish(name, content, lines, capsys):
    """Print the lines and, where ``COLLABTHEORY_SPEED_RESULT`` names a folder, keep the content with the machine's."""
    with capsys.disabled():
        print("\n" + "\n".join(lines))
    if target := os.environ.get("COLLABTHEORY_SPEED_RESULT"):
        # Some scripts that measure run where not all that this needs is installed.
        from collabtheory.runs.provenance import provenance

        path = Path(target) / f"{name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        about = {"date": time.strftime("%Y-%m-%d"), "machine": provenance(), "load": os.getloadavg()}
        path.write_text(json.dumps(about | content, indent=1) + "\n", encoding="utf-8")
