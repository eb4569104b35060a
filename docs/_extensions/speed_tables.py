"""A directive that shows the benchmarks of ``speed/*.json`` as tables: ``speed gram``, ``speed growth``, ..."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from docutils import nodes
from measured_tables import between, made_by
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from study_results import table_nodes

from collabtheory.report.table import Column, Table

FOLDER = "speed"
Found = dict[str, Any]
Cell = str | None

METHODS = {"nngeometry": "nngeometry (best number of batches)", "limit": "matrix products alone"}
CASES = ("1024-1700-1", "1024-1700-4", "1024-20000-4", "256-1700-4", "256-1700-4-float64", "256-1700-16-same-sample")
AXES = {"users": "users N", "items": "items I", "samples": "samples S"}
LIPSCHITZ = {
    "exact": "exact d x d matrix",
    "lanczos_same_steps": "Lanczos, as many products as power iteration",
    "lanczos_to_1e-9": "Lanczos to 1e-9",
    "power_iteration": "power iteration by jvp and vjp",
}


def gram_table(folder: Path) -> Table:
    """Return seconds, ratio to ours, to the limit and memory of every method and size."""
    files = [read(folder, f"gradients-gram-{case}") for case in CASES]
    rows = [row for found in files for row in _gram_rows(found)]
    columns = ("Users, items, samples", "Method", "CPU seconds", "Time over ours", "Over the limit", "Peak MB")
    return _table("Gram matrix of users' gradients, decoder 200-600-I", columns, rows, made_by(files[0]))


def _gram_rows(found: Found) -> list[tuple[Cell, ...]]:
    job = found["job"]
    title = f"{job['users']:,}, {job['items']:,}, {job['samples']}"
    title += ", float64" * (job["dtype"] == "float64") + ", same sample" * (job["pairing"] == "same_sample")
    rows: list[tuple[Cell, ...]] = []
    for name, row in found["summary"].items():
        words = METHODS.get(name, name) + ", one pair of blocks scaled to all" * bool(
            job["block"] and name == "BackPACK"
        )
        ratio = between(row["over_ours"], ".3g") if "over_ours" in row else "1"
        limit = between(row["over_limit"], ".2f") if "over_limit" in row else None
        rows.append((title, words, f"{row['seconds']['median']:.3g}", ratio, limit, f"{row['peak_megabytes']:,.0f}"))
    return rows


def gram_error_table(folder: Path) -> Table:
    """Return the errors of our Gram matrices against autograd in float64."""
    rows = []
    for case in CASES[:5]:
        found = read(folder, f"gradients-gram-{case}")
        error = found["result"]["errors"]["collabtheory"]
        size = f"{found['job']['users']:,}, {found['job']['items']:,}, {found['job']['samples']}"
        rows.append((size, found["job"]["dtype"], f"{error['elementwise']:.1e}", f"{error['of_norms']:.1e}"))
    columns = ("Users, items, samples", "Precision", "Largest error, of the entry", "of the product of norms")
    return _table("Against autograd in float64", columns, rows, "")


def growth_table(folder: Path) -> Table:
    """Return fitted exponents of time and memory."""
    rows = []
    for axis, label in AXES.items():
        fits = read(folder, f"gradients-growth-{axis}")["exponents"]
        for name, fit in fits.items():
            memory = _slope(fit["memory"]) if "memory" in fit else None
            words = "operations needed" if name == "limit" else name.split("/")[0]
            rows.append((label, words, _slope(fit["time"]), memory))
    columns = ("Grows with", "", "Time (operations)", "Memory")
    return _table("Exponents in log-log, standard error of the fit in brackets", columns, rows, "")


def _slope(fit: Found) -> str:
    return f"{fit['slope']:.2f} ({fit['standard_error']:.2f})"


def loss_change_table(folder: Path) -> Table:
    """Return the exact loss change: times over limit and loop."""
    found = read(folder, "gradients-loss-change")
    rows = []
    for name, row in found["summary"].items():
        ratios = between(row["over_limit"], ".2f"), between(row["naive_over_ours"], ".2f")
        errors = [one["of_norm"] for one in found["float32_errors"].values()]
        error = f"{max(errors):.0e} of the norm" if name == "float32" else "compared with the loop"
        rows.append((name, f"{row['seconds']['median']:.2f}", *ratios, error))
    columns = ("Precision", "CPU seconds", "Over the limit", "Naive float64 loop over ours", "Largest error")
    return _table(f"Exact loss change: {_sizes(found)}", columns, rows, made_by(found))


def surrogate_table(folder: Path) -> Table:
    """Return the surrogate's errors by step size."""
    found = read(folder, "gradients-loss-change-surrogate")
    rows = []
    for rate, one in found["accuracy"].items():
        honest = one["actual_over_reported"]
        worst = f"{honest['0.5']:.2f} [{honest['0.05']:.2f}, {honest['0.95']:.2f}], at most {honest['1']:.2f}"
        rows.append((rate, f"{one['median_relative']:.1e}", f"{one['relative_95']:.1e}", worst))
    columns = ("Step size", "Median error", "95 % of errors below", "Error over standard error, by pair")
    draws = next(iter(found["accuracy"].values()))
    faster = between(found["summary"]["exact_over_surrogate"], ".1f")
    how = (
        f"{faster} times faster than the exact kernel; {draws['pairs']:,} pairs, {draws['draws']} draws of items each. "
    )
    return _table(f"Surrogate from 256 items: {_sizes(found)}", columns, rows, how + made_by(found))


def _sizes(found: Found) -> str:
    size = found["size"]
    return f"{size['users']:,} users, {size['sources']} sources, {size['items']:,} items, {size['samples']} samples"


def neighbours_table(folder: Path) -> Table:
    """Return the search for nearest users beside libraries."""
    found = read(folder, "distances-neighbours")
    result, rows = found["result"], []
    for row in result["rows"]:
        over = row["ours_over"]
        ratios = [between(over[name], ".2f") if name in over else None for name in ("faiss", "sklearn", "limit")]
        seconds = row["seconds"]["collabtheory"] * row["n"] / row["queries"]
        memory = f"{row['peak_megabytes']:.0f} ({row['predicted_megabytes']:.0f})"
        rows.append((f"{row['n']:,}", f"{seconds:.1f}", *ratios, str(row["doubtful"]), memory))
    columns = (
        "Users",
        "CPU seconds",
        "Over faiss",
        "Over scikit-learn",
        "Over the limit",
        "In doubt",
        "MiB (predicted)",
    )
    title = f"The {result['k']} nearest users of everybody, d = {result['d']}"
    return _table(title, columns, rows, f"Time grows with exponent {result['exponent']:.2f}. {made_by(found)}")


def bracket_table(folder: Path) -> Table:
    """Return microseconds of the bracket of W_1 beside sampled optimal transport."""
    found = read(folder, "distances-w1-brackets")
    rows = []
    for row in found["result"]["rows"]:
        times = between(row["microseconds_upper"], ".1f"), between(row["microseconds_bracket"], ".1f")
        rows.append((str(row["d"]), *times, between(row["emd2_over_bracket"], ",.0f"), f"{row['relative_error']:.0e}"))
    columns = ("d", "Upper end, microseconds a pair", "Bracket, microseconds", "ot.emd2 over bracket", "Largest error")
    return _table("Brackets of W_1", columns, rows, made_by(found))


def masking_table(folder: Path) -> Table:
    """Return pairs a second of the exact masking law."""
    found = read(folder, "distances-masking-law")
    rows = [
        (f"{row['pairs']:,}", f"{row['distinct']:,}", between(row["pairs_per_second"], ",.0f"))
        for row in found["result"]["rows"]
    ]
    return _table("Exact masking law", ("Pairs", "Distinct cases", "Pairs a CPU second"), rows, made_by(found))


def encoder_table(folder: Path) -> Table:
    """Return certified brackets of an encoder's Lipschitz constant."""
    found = read(folder, "distances-encoder-lipschitz")
    rows = [
        (
            row["weights"],
            *(f"{row[name]:.4f}" for name in ("lower", "upper", "ratio", "product_of_norms")),
            f"{row['seconds']:.0f}",
        )
        for row in found["result"]["rows"]
    ]
    columns = ("Initial weights", "Lower end", "Certified upper end", "Ratio", "Product of norms", "CPU seconds")
    widths = "-".join(map(str, found["result"]["widths"]))
    return _table(f"Lipschitz constant of an encoder {widths}, tanh", columns, rows, made_by(found))


def gradient_table(folder: Path) -> Table:
    """Return the local constant of ``z -> gradient`` by several methods."""
    found = read(folder, "distances-gradient-lipschitz")
    result, rows = found["result"], []
    for name, words in LIPSCHITZ.items():
        ratio = result["power_iteration_over"].get(name)
        short = result["relative_shortfall"].get(name)
        rows.append(
            (
                words,
                between(result["milliseconds_a_user"][name], ".1f"),
                between(ratio, ".1f") if ratio else "1",
                f"{short:.1%}" if short is not None else None,
            )
        )
    columns = ("Method", "Milliseconds a user", "Power iteration over it", "Below the constant by")
    return _table(f"Decoder 200-600-{result['items']}, one thread", columns, rows, made_by(found))


def population_table(folder: Path) -> Table:
    """Return pairs, time and memory of a population."""
    found = read(folder, "distances-population")
    one = found["result"]
    row = (
        f"{one['users']:,}",
        f"{one['items']:,}",
        f"{one['pairs']:,}",
        f"{one['seconds']:.0f}",
        f"{one['over_limit']:.2f}",
        f"{one['peak_megabytes']:,.0f} ({one['predicted_megabytes']:,.0f})",
    )
    columns = ("Users", "Items", "Pairs", "CPU seconds", "Over the limit", "Peak MiB (predicted)")
    return _table("Influence of sampled pairs of a population", columns, [row], made_by(found))


def read(folder: Path, name: str) -> Found:
    """Return a measured file."""
    found: Found = json.loads((folder / f"{name}.json").read_text("utf-8"))
    return found


def _table(title: str, columns: tuple[str, ...], rows: list[tuple[Cell, ...]], caption: str) -> Table:
    return Table(title, tuple(Column(name) for name in columns), tuple(rows), caption)


TABLES: dict[str, Callable[[Path], Table]] = {
    "gram": gram_table,
    "gram-errors": gram_error_table,
    "growth": growth_table,
    "loss-change": loss_change_table,
    "surrogate": surrogate_table,
    "neighbours": neighbours_table,
    "brackets": bracket_table,
    "masking": masking_table,
    "encoder": encoder_table,
    "gradient": gradient_table,
    "population": population_table,
}


class Speed(SphinxDirective):
    """Shows one of :data:`TABLES`."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Make the table; a file that is missing or wrong is an error of the page."""
        folder = Path(self.env.srcdir) / FOLDER
        for path in folder.glob("*.json"):
            self.env.note_dependency(str(path))
        try:
            return table_nodes(TABLES[self.arguments[0]](folder))
        except (OSError, json.JSONDecodeError, KeyError) as error:
            raise self.error(f"{self.arguments[0]}: {error!r}") from error


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive."""
    app.add_directive("speed", Speed)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
