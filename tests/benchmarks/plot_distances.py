"""Draw the growth of the neighbour search from its result: ``python plot_distances.py docs/speed``."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

STYLES = {"collabtheory": ("#0072B2", "o", "-"), "faiss": ("#D55E00", "s", "--"), "sklearn": ("#009E73", "^", ":")}
NAMES = {"sklearn": "scikit-learn"}


def draw(folder: Path) -> Path:
    """Draw time and memory against the number of users, both axes logarithmic."""
    result = json.loads((folder / "distances-neighbours.json").read_text(encoding="utf-8"))["result"]
    rows = result["rows"]
    figure = Figure(figsize=(7.2, 2.6), layout="constrained")
    time, memory = figure.subplots(1, 2)
    for name, (colour, marker, line) in STYLES.items():
        points = [
            (row["n"], row["seconds"][name] * row["n"] / row["queries"]) for row in rows if name in row["seconds"]
        ]
        label = f"{name}, exponent {result['exponent']:.2f}" if name == "collabtheory" else NAMES.get(name, name)
        if points:
            time.loglog(*zip(*points, strict=True), color=colour, marker=marker, linestyle=line, label=label)
    limit = [(row["n"], row["seconds"]["limit"] * row["n"] / row["queries"]) for row in rows]
    time.loglog(*zip(*limit, strict=True), color="#666666", linewidth=1, label="matrix products alone")
    time.set(xlabel="users", ylabel="CPU seconds, all users")
    time.legend(frameon=False, fontsize=7)
    sizes = [row["n"] for row in rows]
    for key, label, marker, line in (("peak", "measured", "o", "-"), ("predicted", "predicted", "x", "--")):
        memory.loglog(
            sizes,
            [row[f"{key}_megabytes"] for row in rows],
            marker=marker,
            linestyle=line,
            label=label,
        )
    memory.set(xlabel="users", ylabel="MiB besides the input")
    memory.legend(frameon=False, fontsize=7)
    memory.set_yticks(*2 * [[64, 128, 256, 512]])
    for panel in (time, memory):
        panel.set_xticks(sizes, [f"{size:,}" for size in sizes])
        panel.minorticks_off()
        panel.tick_params(labelsize=8)
    path = folder / "distances-neighbours.svg"
    with mpl.rc_context({"svg.hashsalt": "speed", "svg.fonttype": "path"}):
        figure.savefig(path, metadata={"Date": None})
    return path


if __name__ == "__main__":
    print(draw(Path(sys.argv[1])))
