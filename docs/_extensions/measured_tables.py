"""Directives that show measured files of this folder as tables: ``null-rate FILE`` and ``training-speed FILE``."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from study_results import table_nodes

from collabtheory.report.table import Column, Table

RATES = {
    "supported_or_contradicted": ("a verdict other than inconclusive", "5 %"),
    "supported": ("supported", "2.5 %"),
    "by_runs": ("p < 0.05 by Student's t over folds", "5 %"),
    "by_users": ("p < 0.05 over users, training noise ignored", "5 %"),
}
NAMES = {"limit": "matrix products alone", "recbole": "RecBole", "recpack": "RecPack", "cornac": "Cornac"}


def null_rate_table(found: dict[str, Any]) -> Table:
    """Return how often comparisons of a model with itself were called a difference."""
    rows = []
    for key, (words, _) in RATES.items():
        rate = found[key]
        interval = f"{rate['rate']:.1%} [{rate['low']:.1%}, {rate['high']:.1%}]"
        rows.append((words, f"{rate['count']} of {rate['repetitions']}", interval, f"{rate['nominal']:.1%}"))
    columns = ("What is called a difference", "Repetitions", "Rate, exact 95 % interval", "Promised")
    title = (
        f"{found['data']['name']}, {found['data']['n_users']:,} users: nothing differs, so what is found is an error"
    )
    return Table(title, tuple(Column(name) for name in columns), tuple(rows), made_by(found))


def training_speed_table(found: dict[str, Any]) -> Table:
    """Return users per second of CPU time of every library beside ours, and their accuracy."""
    rows = []
    for name, one in sorted(found["summary"].items(), key=lambda item: item[1]["time_over_collabtheory"]["median"]):
        ratio = one["time_over_collabtheory"]
        accuracy = f"{one['ndcg@100']:.4f}" if "ndcg@100" in one else ""
        speed = f"{one['users_per_cpu_second']['median']:,.0f}"
        rows.append((NAMES.get(name, name), speed, "1" if name == "collabtheory" else between(ratio, ".2f"), accuracy))
    columns = ("Library", "Users a second", "Time over ours [smallest, largest]", "nDCG@100")
    settings = ", ".join(f"{name} {value:g}" for name, value in found["settings"].items())
    title = f"{found['model']} on {found['data']}: {settings}"
    where = f"{found['n_users']:,} users, {found['n_items']:,} items; {found['rounds']} rounds. {made_by(found)}"
    return Table(title, tuple(Column(name) for name in columns), tuple(rows), where)


def between(values: dict[str, float], form: str) -> str:
    """Return a median with the smallest and the largest."""
    return f"{values['median']:{form}} [{values['smallest']:{form}}, {values['largest']:{form}}]"


def made_by(found: dict[str, Any]) -> str:
    """Return how, where and when, and beside how much other work if the file says so."""
    machine = found["machine"]
    parts = [f"`{found['command']}`", f"seed {found['seed']}"] if "command" in found else []
    parts += [f"revision {machine['revision']}"] if machine.get("revision") else []
    load = f" at load {found['load'][0]:.0f}" if "load" in found else ""
    text = ", ".join([*parts, machine["processor"], f"{machine['cores']} cores{load}", found["date"]])
    return f"{text[0].upper()}{text[1:]}."


def _directive(make: Callable[[dict[str, Any]], Table]) -> type[SphinxDirective]:
    class Measured(SphinxDirective):
        required_arguments = 1

        def run(self) -> list[nodes.Node]:
            path = Path(self.env.srcdir) / self.arguments[0]
            self.env.note_dependency(str(path))
            try:
                return table_nodes(make(json.loads(path.read_text("utf-8"))))
            except (OSError, json.JSONDecodeError, KeyError) as error:
                raise self.error(f"{path}: not a measured file of this kind ({error!r})") from error

    return Measured


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directives."""
    app.add_directive("null-rate", _directive(null_rate_table))
    app.add_directive("training-speed", _directive(training_speed_table))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
