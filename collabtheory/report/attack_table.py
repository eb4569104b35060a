"""The outcome of attacks as a table for the terminal, or as JSON lines."""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from collabtheory.report.formats import share, signed
from collabtheory.report.words import count_words, enumerate_words, statement_name

if TYPE_CHECKING:
    from collabtheory.claims.attack import Attack

TIE = 1e-9
"""A true statement that misses by less, relatively, in float64 is met with equality."""
ROOMY = 100


def print_attacks(console: Console, attacks: tuple[Attack, ...], *, as_json: bool = False) -> None:
    """Print one row an inequality: what came out, cases tried, worst margin, the smallest counterexample.

    False twins stand indented below the inequality that they are made of; a sentence at the end sums up.
    """
    if as_json:
        for one in attacks:
            line = json.dumps({**one.as_json(), "as_expected": one.as_expected}, sort_keys=True)
            console.print(line, soft_wrap=True, highlight=False, markup=False)
        return
    roomy = console.width >= ROOMY
    groups = [list(group) for _, group in itertools.groupby(attacks, key=_statement)]
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 2 if roomy else 1, 0, 0), pad_edge=False, show_edge=False)
    table.add_column("Inequality, its false twins", no_wrap=True)
    table.add_column("Came out", no_wrap=True)
    table.add_column("Premise met" if roomy else "Premise\nmet", justify="right", no_wrap=True)
    table.add_column("Margin", justify="right", no_wrap=True)
    table.add_column("Smallest case")
    for group in groups:
        table.add_row(Text(statement_name(_statement(group[0])), style="bold"))
        for one in group:
            table.add_row(*_row(one, roomy=roomy))
    console.print(table)
    console.print(Text(f"\n{summary(attacks)}"))


def summary(attacks: tuple[Attack, ...]) -> str:
    """Return in a sentence whether all came out as it should: every twin broken, no true inequality."""
    twins = [one for one in attacks if one.inequality.control]
    true = [one for one in attacks if not one.inequality.control]
    stand, broken = (sum(one.as_expected for one in group) for group in (true, twins))
    sentences = [
        f"{stand} of {count_words(len(true), 'inequality', 'inequalities')} met and not broken",
        f"{broken} of {count_words(len(twins), 'false twin')} broken",
    ]
    wrong = [
        f"{_statement(one)} {one.inequality.control or one.inequality.name} ({one.outcome})"
        for one in attacks
        if not one.as_expected
    ]
    return "; ".join(sentences) + "." + (f" Not as it should be: {enumerate_words(wrong)}." if wrong else "")


def _row(one: Attack, *, roomy: bool) -> tuple[Text, Text, str, str, str]:
    twin = one.inequality.control
    name = f"    {twin}" if twin else f"  {one.inequality.name}"
    outcome = Text(one.outcome, style="" if one.as_expected else "bold red")
    return Text(name), outcome, _premise(one, roomy=roomy), _margin(one), one.size


def _premise(one: Attack, *, roomy: bool) -> str:
    if not one.tried:
        return "none tried"
    return f"{one.met:,} of {one.tried:,}" if roomy else share(one.met / one.tried)


def _margin(one: Attack) -> str:
    if one.margin is None:
        return "n/a"
    # The rigorous comparison found no violation here: such a deficit is rounding.
    if one.counterexample is None and abs(one.margin) < TIE:
        return "0 (tie)"
    return signed(one.margin)


def _statement(one: Attack) -> str:
    return one.inequality.statement.identifier
