"""Draw how time and memory grow, from the results of the benchmarks: ``python plot_speed.py docs/speed``."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

OURS, SECOND, THIRD = ("#0072B2", "o", "-"), ("#D55E00", "s", "--"), ("#009E73", "^", ":")
GRADIENTS = {
    "collabtheory": ("collabtheory", OURS),
    "nngeometry/1": ("nngeometry", THIRD),
    "BackPACK": ("BackPACK", SECOND),
}
SEARCHES = {"collabtheory": ("collabtheory", OURS), "faiss": ("faiss", SECOND), "sklearn": ("scikit-learn", THIRD)}
MEMORY = {"peak": ("measured", OURS), "predicted": ("predicted", SECOND)}
LIMIT = {"color": "#666666", "linewidth": 1, "label": "matrix products alone"}
AXES = {"users": "users $N$", "items": "items $I$", "samples": "samples $S$"}


def load(folder: Path, name: str) -> dict:
    return json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))


def styled(label: str, style: tuple[str, str, str]) -> dict:
    colour, marker, line = style
    return {"label": label, "color": colour, "marker": marker, "linestyle": line, "markersize": 4}


def at_sizes(panel, sizes: list[int]) -> None:
    panel.set_xticks(sizes, [f"{size:,}" for size in sizes])
    panel.minorticks_off()
    panel.tick_params(labelsize=8)


def save(figure: Figure, path: Path) -> Path:
    with mpl.rc_context({"svg.hashsalt": "speed", "svg.fonttype": "path"}):
        figure.savefig(path, metadata={"Date": None})
    return path


def draw_gradients(folder: Path) -> Path:
    """Draw time (above) and memory (below) of Gram matrices against N, I and S, all axes logarithmic."""
    figure = Figure(figsize=(7.2, 4.2), layout="constrained")
    panels = figure.subplots(2, 3, sharey="row")
    for column, (axis, label) in enumerate(AXES.items()):
        rows = load(folder, f"gradients-growth-{axis}")["rows"]
        sizes = [row["size"] for row in rows]
        for name, how in GRADIENTS.items():
            if name in rows[0]["seconds"]:
                for panel, key in zip(panels[:, column], ("seconds", "peak_megabytes"), strict=True):
                    panel.loglog(sizes, [row[key][name] for row in rows], **styled(*how))
        panels[0, column].loglog(sizes, [row["seconds"]["limit"] for row in rows], **LIMIT)
        panels[1, column].set_xlabel(label)
        for panel in panels[:, column]:
            at_sizes(panel, sizes)
    panels[0, 0].set_ylabel("CPU seconds")
    panels[1, 0].set_ylabel("peak MB besides the input")
    handles = panels[0, 0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside upper center", ncols=4, frameon=False, fontsize=8)
    return save(figure, folder / "gradients-growth.svg")


def draw_neighbours(folder: Path) -> Path:
    """Draw time and memory of the neighbour search against the number of users, both axes logarithmic."""
    result = load(folder, "distances-neighbours")["result"]
    rows, figure = result["rows"], Figure(figsize=(7.2, 2.6), layout="constrained")
    time, memory = figure.subplots(1, 2)
    for name, (label, style) in SEARCHES.items():
        label += f", exponent {result['exponent']:.2f}" if name == "collabtheory" else ""
        if points := of_all(rows, name):
            time.loglog(*zip(*points, strict=True), **styled(label, style))
    time.loglog(*zip(*of_all(rows, "limit"), strict=True), **LIMIT)
    sizes = [row["n"] for row in rows]
    for key, how in MEMORY.items():
        memory.loglog(sizes, [row[f"{key}_megabytes"] for row in rows], **styled(*how))
    time.set_ylabel("CPU seconds, all users")
    memory.set_ylabel("MiB besides the input")
    memory.set_yticks(*2 * [[64, 128, 256, 512]])
    for panel in (time, memory):
        panel.set_xlabel("users")
        panel.legend(frameon=False, fontsize=7)
        at_sizes(panel, sizes)
    return save(figure, folder / "distances-neighbours.svg")


def of_all(rows: list[dict], name: str) -> list[tuple[int, float]]:
    """Return users and the seconds for all of them, of the sizes at which a method was timed."""
    return [(row["n"], row["seconds"][name] * row["n"] / row["queries"]) for row in rows if name in row["seconds"]]


if __name__ == "__main__":
    for draw in (draw_gradients, draw_neighbours):
        print(draw(Path(sys.argv[1])))
