"""The outcome of an attack as a table for the terminal, or as JSON lines."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from collabtheory.claims.attack import Attack


def print_attacks(console: Console, attacks: tuple[Attack, ...], *, as_json: bool = False) -> None:
    """Print one row an inequality: what came out, cases tried, worst margin, the smallest counterexample."""
    if as_json:
        for one in attacks:
            console.print(json.dumps(one.as_json(), sort_keys=True), soft_wrap=True, highlight=False, markup=False)
        return
    table = Table(title=f"Attack on {attacks[0].inequality.statement.identifier}", title_justify="left")
    for column in ("Inequality", "False twin", "Came out", "Premise met", "Worst margin", "Smallest case"):
        table.add_column(column, justify="right" if column in ("Premise met", "Worst margin") else "left")
    for one in attacks:
        table.add_row(
            one.inequality.name,
            one.inequality.control or "",
            one.outcome,
            f"{one.met:,} of {one.tried:,}",
            f"{one.margin:+.2e}" if one.margin is not None else "n/a",
            one.size,
        )
    console.print(table)
