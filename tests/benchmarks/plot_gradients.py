"""Table and pictures of the gradient benchmarks from their results: ``python plot_gradients.py docs/speed``."""

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


def between(values: dict, form: str) -> str:
    return f"{values['median']:{form}} ({values['smallest']:{form}}-{values['largest']:{form}})"


def table(folder: Path) -> str:
    """Return the Gram cases as a Markdown table, one row a method."""
    lines = ["| N, I, S | | seconds | time over ours | x limit | peak MB |", "|:--|:--|--:|--:|--:|--:|"]
    for path in sorted(folder.glob("gradients-gram-*.json"), key=lambda one: (one.stem.count("-"), one.stem)):
        result = json.loads(path.read_text(encoding="utf-8"))
        job = result["job"]
        title = f"{job['users']:,}, {job['items']:,}, {job['samples']}"
        title += " float64" if job["dtype"] == "float64" else ""
        title += ", same sample" if job["pairing"] == "same_sample" else ""
        for name, row in result["summary"].items():
            ratio = between(row["over_ours"], ".1f") if "over_ours" in row else "1"
            limit = between(row["over_limit"], ".2f") if "over_limit" in row else ""
            scaled = ", two blocks scaled to all" if job["block"] and name == "BackPACK" else ""
            seconds = f"{row['seconds']['median']:.3g}"
            lines.append(f"| {title} | {name}{scaled} | {seconds} | {ratio} | {limit} | {row['peak_megabytes']:,.0f} |")
            title = ""
    return "\n".join(lines) + "\n"


def exponents(folder: Path) -> str:
    """Return the fitted exponents as a Markdown table."""
    lines = ["| grows with | | time | operations | memory |", "|:--|:--|--:|--:|--:|"]
    for axis in AXES:
        fits = load(folder, f"growth-{axis}")["exponents"]
        for name, (label, *_) in STYLES.items():
            if name in fits:
                shown = [f"{fits[name][what]['slope']:.2f}" for what in ("time", "memory")]
                flops = f"{fits['limit']['time']['slope']:.2f}" if name == "collabtheory" else ""
                lines.append(f"| {axis} | {label} | {shown[0]} | {flops} | {shown[1]} |")
    return "\n".join(lines) + "\n"


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
    target = Path(sys.argv[1])
    (target / "gradients-table.md").write_text(table(target), encoding="utf-8")
    (target / "gradients-exponents.md").write_text(exponents(target), encoding="utf-8")
    print(draw(target))
