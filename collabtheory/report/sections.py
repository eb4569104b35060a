"""A statement's section of the report: its words and formulas, its card, its pictures, and how to check it again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from collabtheory.report.cards import Card, make_card
from collabtheory.report.figure_files import DrawnFigure
from collabtheory.report.figure_side_files import read_side_file
from collabtheory.report.headline import statements
from collabtheory.report.mathml import prose
from collabtheory.report.verdicts import SEARCH
from collabtheory.runs.folder import RunFolder
from collabtheory.runs.statement_texts import StatementText, statement_texts


@dataclass(frozen=True)
class Section:
    """One statement as the report shows it.

    Parameters
    ----------
    id
        The statement's id.
    card
        Verdicts, parts and controls.
    source, says, assumptions, limits
        Where it comes from, what it says, presupposes and does not say; empty where the run kept titles alone.
    unchecked
        Steps of its proof that no machine checks.
    figures
        Pictures that are shown here.
    elsewhere
        Pictures that bear on it and are shown with another statement.
    commands
        What explains it and looks for counterexamples, each with what it does.
    """

    id: str
    card: Card
    source: str
    says: tuple[Markup, ...]
    assumptions: tuple[Markup, ...]
    limits: tuple[Markup, ...]
    unchecked: tuple[Markup, ...]
    figures: tuple[DrawnFigure, ...]
    elsewhere: tuple[DrawnFigure, ...]
    commands: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Placed:
    """Figures by the statement that they are shown with, those that bear on none, and those not drawn."""

    by_statement: dict[str, tuple[DrawnFigure, ...]]
    elsewhere: dict[str, tuple[DrawnFigure, ...]]
    others: tuple[DrawnFigure, ...]
    skipped: tuple[DrawnFigure, ...]


def make_sections(run: RunFolder, placed: Placed) -> tuple[Section, ...]:
    """Return a section for each statement of a run, in the order of the records."""
    texts = statement_texts(run)
    return tuple(
        _section(
            name, make_card(rows, run), texts.get(name), placed, has_search=any(row.stage == SEARCH for row in rows)
        )
        for name, rows in statements(run).items()
    )


def place_figures(figures: Sequence[DrawnFigure], statement_ids: Sequence[str]) -> Placed:
    """Give every figure a place: with the first statement of the run that it supports, one picture never twice."""
    drawn = [figure for figure in figures if not figure.skipped]
    supports = {figure.name: [one for one in supported(figure) if one in statement_ids] for figure in drawn}
    home = {figure.name: next(iter(supports[figure.name]), None) for figure in drawn}
    return Placed(
        {one: tuple(figure for figure in drawn if home[figure.name] == one) for one in statement_ids},
        {
            one: tuple(figure for figure in drawn if one in supports[figure.name] and home[figure.name] != one)
            for one in statement_ids
        },
        tuple(figure for figure in drawn if home[figure.name] is None),
        tuple(figure for figure in figures if figure.skipped),
    )


def supported(figure: DrawnFigure) -> tuple[str, ...]:
    """Return the ids of the statements that a figure bears on, as its side file says; none without a side file."""
    side = next((path for path in figure.files if path.suffix == ".json"), None)
    return () if side is None else read_side_file(side).supports


def _section(name: str, card: Card, text: StatementText | None, placed: Placed, *, has_search: bool) -> Section:
    commands = [(f"collabtheory explain {name}", "prints it with its proof, and checks every step anew")]
    commands += [(f"collabtheory attack {name}", "looks for counterexamples, for as long as you like")] * has_search
    return Section(
        id=name,
        card=card,
        source=text.source if text else "",
        says=tuple(prose(line) for line in text.text.splitlines() if line.strip()) if text else (),
        assumptions=tuple(map(prose, text.assumptions)) if text else (),
        limits=tuple(map(prose, text.limits)) if text else (),
        unchecked=tuple(map(prose, text.unchecked)) if text else (),
        figures=placed.by_statement[name],
        elsewhere=placed.elsewhere[name],
        commands=tuple(commands),
    )


__all__ = ["Placed", "Section", "make_sections", "place_figures", "supported"]
