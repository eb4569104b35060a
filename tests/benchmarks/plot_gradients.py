"""Draw the growth of the Gram matrix from its results: ``python plot_gradients.py docs/speed``."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

STYLES = {
    "collabtheory": ("collabtheory", "#0072B2", "o", "-"),
    "nngeometry/1": ("nngeometry", "#009E73", "^", ":"),
    "BackPACK": ("BackPACK", "#D55E00", "s", "--"),
}
AXES = {"users": "users $N$", "items": "items $I$", "samples": "samples $S$"}


def load(folder: Path, name: str) -> dict:
    return json.loads((folder / f"gradients-{name}.json").read_text(encoding="utf-8"))


def draw(folder: Path) -> Path:
    """Draw time (above) and memory (below) against N, I and S, all axes logarithmic."""
    figure = Figure(figsize=(7.2, 4.2), layout="constrained")
    panels = figure.subplots(2, 3, sharey="row")
    for column, (axis, label) in enumerate(AXES.items()):
        rows = load(folder, f"growth-{axis}")["rows"]
        sizes = [row["size"] for row in rows]
        for name, (title, colour, marker, line) in STYLES.items():
            if name not in rows[0]["seconds"]:
                continue
            style = {"color": colour, "marker": marker, "linestyle": line, "label": title, "markersize": 4}
            panels[0, column].loglog(sizes, [row["seconds"][name] for row in rows], **style)
            panels[1, column].loglog(sizes, [row["peak_megabytes"][name] for row in rows], **style)
        limit = [row["seconds"]["limit"] for row in rows]
        panels[0, column].loglog(sizes, limit, color="#666666", linewidth=1, label="matrix products alone")
        panels[1, column].set_xlabel(label)
        for panel in panels[:, column]:
            panel.set_xticks(sizes, [f"{size:,}" for size in sizes])
            panel.minorticks_off()
            panel.tick_params(labelsize=8)
    panels[0, 0].set_ylabel("CPU seconds")
    panels[1, 0].set_ylabel("peak MB besides the input")
    figure.legend(
        *panels[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=4, frameon=False, fontsize=8
    )
    path = folder / "gradients-growth.svg"
    with mpl.rc_context({"svg.hashsalt": "speed", "svg.fonttype": "path"}):
        figure.savefig(path, metadata={"Date": None})
    return path


if __name__ == "__main__":
    print(draw(Path(sys.argv[1])))
