"""The command that draws the figures of runs, for a paper, slides or a poster, and says which are stale."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from collabtheory.errors import InvalidInput

if TYPE_CHECKING:
    from collabtheory.report.figure_files import DrawnFigure, FigureFile
    from collabtheory.report.venues import Venue
    from collabtheory.runs.folder import RunFolder

EXIT_CODES = "Exit codes: 0 fine; 1 a figure is stale (--check); 2 usage or bad input; 5 no figure could be drawn."


def add_figure_commands(app: typer.Typer) -> None:
    """Register the command."""
    app.command(epilog=EXIT_CODES)(figures)


def figures(
    names: Annotated[list[str] | None, typer.Argument(help="Figures, see --list; all if none is given.")] = None,
    run: Annotated[
        list[Path] | None,
        typer.Option(help="Run folder; more than one: each figure comes from the first that has its data."),
    ] = None,
    venue: Annotated[str, typer.Option(help="report, iclr-full, iclr-half, icml-column, slides or poster.")] = "report",
    format: Annotated[
        list[str] | None, typer.Option(help="svg, png or pdf, more than once if you like; the venue's if not given.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder of the images; default <run>/figures, for other venues a folder in it.")
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Option("--figures", help="Folder with figure files of your own, instead of the built-in ones."),
    ] = None,
    check: Annotated[bool, typer.Option("--check", help="Draw nothing; say which images are stale.")] = False,
    show: Annotated[bool, typer.Option("--list", help="Draw nothing; list the figures there are.")] = False,
) -> None:
    """Draw the figures of finished runs, with a side file each, and the numbers of the runs as LaTeX macros."""
    from collabtheory.report.figure_files import load_figures
    from collabtheory.report.venues import REPORT, get_venue
    from collabtheory.runs.folder import open_run

    chosen, place = load_figures(folder, names or ()), get_venue(venue)
    if show:
        _list(chosen)
        raise typer.Exit(0)
    if not run:
        raise InvalidInput("name the run folder to draw from: --run RUN")
    runs = [open_run(one) for one in run]
    target = out or runs[0].path / "figures" / ("" if place is REPORT else place.name)
    if check:
        raise typer.Exit(_check(runs, chosen, target, place, format or ()))
    raise typer.Exit(_draw(runs, chosen, target, place, format or ()))


def _list(figures: Sequence[FigureFile]) -> None:
    for figure in figures:
        supports = ", ".join(getattr(figure.module, "SUPPORTS", ())) or "no statement in particular"
        typer.echo(f"{figure.name:<28} {figure.module.TITLE}\n{'':28} about: {supports}")


def _draw(
    runs: Sequence[RunFolder], figures: Sequence[FigureFile], out: Path, venue: Venue, formats: Sequence[str]
) -> int:
    from collabtheory.report.figure_files import draw_figures
    from collabtheory.report.numbers_tex import write_numbers
    from collabtheory.runs.published import note_published

    drawn = draw_figures(runs, figures, out, venue, formats)
    for one in drawn:
        _tell(one)
    numbers = write_numbers(runs, out / "numbers.tex")
    note_published(numbers)
    typer.echo(numbers)
    return 0 if any(not one.skipped for one in drawn) else 5


def _tell(one: DrawnFigure) -> None:
    if one.skipped:
        typer.echo(f"not drawn: {one.name}: {one.skipped}" + (f" [needs: {one.needs}]" if one.needs else ""))
    for path in one.files:
        if path.suffix != ".json":
            typer.echo(path)
    for fault in one.faults:
        sys.stderr.write(f"hard to read: {one.name}: {fault}\n")


def _check(
    runs: Sequence[RunFolder], figures: Sequence[FigureFile], out: Path, venue: Venue, formats: Sequence[str]
) -> int:
    from collabtheory.report.figure_check import check_figures
    from collabtheory.report.numbers_tex import numbers_text

    checked = check_figures(runs, figures, out, venue, formats)
    for one in checked:
        if one.stale:
            typer.echo(f"stale: {one.name}: {'; '.join(one.reasons)}")
        elif one.undrawable:
            typer.echo(f"no data: {one.name}: {one.undrawable}")
        else:
            typer.echo(f"fine: {one.name}")
    numbers = out / "numbers.tex"
    drifted = numbers.is_file() and numbers.read_text(encoding="utf-8") != numbers_text(runs)
    if drifted:
        typer.echo("stale: numbers.tex: the numbers changed")
    return 1 if drifted or any(one.stale for one in checked) else 0
