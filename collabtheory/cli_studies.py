"""The commands that compare recommenders: ``compare`` and ``sweep``."""

from __future__ import annotations

import contextlib
import os
import shlex
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from collabtheory.cli_common import (
    EXIT_CODES,
    ChecksOption,
    DataOption,
    Duplicates,
    Memory,
    MinItemUsers,
    MinRating,
    MinUserItems,
    Offline,
    changed,
    describe,
    load_data,
    plain_name,
    share_memory,
    stderr,
    stdout,
)
from collabtheory.cli_engines import EngineName, EngineOptions, Jobs, Scheduler

if TYPE_CHECKING:
    from collabtheory.claims.discovery import StatementFile
    from collabtheory.runs.engine import Event
    from collabtheory.studies.profiles import StudyProfile

ProfileOption = Annotated[str, typer.Option(help="quick, full or paper: model, folds, tuning.")]
Folds = Annotated[int | None, typer.Option(min=2, help="Folds of users; each user is tested once.")]
Epochs = Annotated[int | None, typer.Option(min=1, help="Most epochs of each training.")]
Batch = Annotated[int | None, typer.Option(min=1, help="Users a step.")]
Patience = Annotated[int | None, typer.Option(min=1, help="Epochs without a better validation nDCG@100.")]
Hidden = Annotated[int | None, typer.Option(min=1, help="Width of the hidden layer.")]
Latent = Annotated[int | None, typer.Option(min=1, help="Latent dimensions.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress.")]


def add_study_commands(app: typer.Typer) -> None:
    """Register the commands."""
    app.command(epilog=EXIT_CODES)(compare)
    app.command()(sweep)
    app.command("null-rate")(null_rate)
    app.command("methods")(list_methods)


def list_methods() -> None:
    """List the methods that can be compared, with the settings that are tuned."""
    from collabtheory.studies.methods import METHODS

    for method in METHODS.values():
        tuned = ", ".join(method.search) or "nothing"
        typer.echo(f"{method.name:<22} {method.title}\n{'':22} tuned: {tuned}")


def compare(
    methods: Annotated[list[str] | None, typer.Argument(help="Methods, see `methods`; all if none is given.")] = None,
    data: DataOption = "planted",
    profile: ProfileOption = "quick",
    folds: Folds = None,
    trials: Annotated[int | None, typer.Option(min=1, help="Tuning trials of each method.")] = None,
    epochs: Epochs = None,
    batch_size: Batch = None,
    patience: Patience = None,
    hidden: Hidden = None,
    latent: Latent = None,
    jobs: Jobs = 0,
    engine: EngineName = None,
    scheduler: Scheduler = None,
    engine_option: EngineOptions = None,
    memory: Memory = None,
    out: Annotated[Path | None, typer.Option(help="Run folder; default runs/<data>-study-<profile>.")] = None,
    checks: ChecksOption = None,
    quiet: Quiet = False,
    min_rating: MinRating = None,
    min_user_items: MinUserItems = None,
    min_item_users: MinItemUsers = None,
    duplicates: Duplicates = "error",
    offline: Offline = False,
) -> None:
    """Compare recommenders on the same users by K-fold, and decide every claim about data that they bear on.

    Writes a run folder with study.json and tables; after a kill the same command goes on.
    """
    from collabtheory.claims.runner import verify
    from collabtheory.report import write_report
    from collabtheory.report.study_output import write_study_tables
    from collabtheory.report.study_tables import print_study
    from collabtheory.runs.engines import open_engine
    from collabtheory.studies.methods import METHODS, get_method

    names = tuple(dict.fromkeys(methods or METHODS))
    for name in names:
        get_method(name)
    settings = _settings(profile, folds, trials, epochs, batch_size, patience, hidden, latent)
    console = stderr()
    interactions = load_data(data, min_rating, min_user_items, min_item_users, duplicates, offline)
    folder = out or Path("runs") / f"{plain_name(interactions.name)}-study-{profile}"
    with (
        share_memory(memory, jobs),
        open_engine(engine, jobs=jobs, scheduler=scheduler, options=engine_option or (), folder=folder) as workers,
        _at_work(quiet) as (expect, on_event),
    ):
        describe(console, interactions)
        outcome = verify(
            interactions,
            _decidable(checks, names),
            folder,
            profile=profile,
            engine=workers,
            on_event=on_event,
            on_plan=lambda plan: expect(len(plan.tasks)),
            methods=names,
            study_profile=settings,
            command=shlex.join(["collabtheory", *sys.argv[1:]]),
        )
    study, tables = write_study_tables(outcome.folder)
    print_study(study)
    console.print(f"tables: {tables}", highlight=False, soft_wrap=True)
    if outcome.records:
        console.print(f"report: {write_report(outcome.folder)}", highlight=False, soft_wrap=True)
    raise typer.Exit(outcome.exit_code())


def sweep(
    setting: Annotated[str, typer.Argument(help="A setting of model or training, such as alignment_weight.")],
    values: Annotated[list[str], typer.Argument(help="Its values.")],
    method: Annotated[str, typer.Option(help="The method whose setting is varied, see `methods`.")] = "mult_vae",
    data: DataOption = "planted",
    profile: ProfileOption = "quick",
    folds: Folds = None,
    epochs: Epochs = None,
    batch_size: Batch = None,
    patience: Patience = None,
    hidden: Hidden = None,
    latent: Latent = None,
    measure: Annotated[bool, typer.Option("--measure", help="Measure drift and collaboration as well.")] = False,
    jobs: Jobs = 0,
    engine: EngineName = None,
    scheduler: Scheduler = None,
    engine_option: EngineOptions = None,
    out: Annotated[Path | None, typer.Option(help="Run folder; default runs/<data>-sweep-<method>-<setting>.")] = None,
    quiet: Quiet = False,
    min_rating: MinRating = None,
    min_user_items: MinUserItems = None,
    min_item_users: MinItemUsers = None,
    duplicates: Duplicates = "error",
    offline: Offline = False,
) -> None:
    """Vary one setting, all else equal, and draw accuracy (and measures) as curves with intervals."""
    from collabtheory.report.sweep_output import print_sweep, write_sweep
    from collabtheory.runs.engines import open_engine
    from collabtheory.studies.sweep import run_sweep

    settings = _settings(profile, folds, None, epochs, batch_size, patience, hidden, latent)
    console = stderr()
    interactions = load_data(data, min_rating, min_user_items, min_item_users, duplicates, offline)
    folder = out or Path("runs") / f"{plain_name(interactions.name)}-sweep-{method}-{setting}"
    with (
        open_engine(engine, jobs=jobs, scheduler=scheduler, options=engine_option or (), folder=folder) as workers,
        _at_work(quiet) as (expect, on_event),
    ):
        describe(console, interactions)
        curve = run_sweep(
            interactions,
            method,
            setting,
            values,
            settings,
            folder,
            measure=measure,
            engine=workers,
            on_event=on_event,
            on_plan=expect,
        )
    print_sweep(stdout(), curve)
    for path in write_sweep(folder, curve, command=shlex.join(["collabtheory", *sys.argv[1:]])):
        console.print(f"wrote {path}", highlight=False, soft_wrap=True)


def null_rate(
    data: DataOption = "planted",
    repetitions: Annotated[int, typer.Option(min=1, help="Comparisons of the method with itself.")] = 200,
    folds: Annotated[int, typer.Option(min=2, help="Folds of users.")] = 5,
    epochs: Annotated[int, typer.Option(min=1, help="Epochs of each training.")] = 5,
    hidden: Annotated[int, typer.Option(min=1, help="Width of the hidden layer.")] = 50,
    latent: Annotated[int, typer.Option(min=1, help="Latent dimensions.")] = 16,
    seed: Annotated[int, typer.Option(min=0, help="Root of every draw.")] = 0,
    jobs: Jobs = 0,
    engine: EngineName = None,
    scheduler: Scheduler = None,
    engine_option: EngineOptions = None,
    out: Annotated[Path | None, typer.Option(help="Run folder; default runs/<data>-null-rate.")] = None,
    quiet: Quiet = False,
    min_rating: MinRating = None,
    min_user_items: MinUserItems = None,
    min_item_users: MinItemUsers = None,
    duplicates: Duplicates = "error",
    offline: Offline = False,
) -> None:
    """Measure how often comparing a model with itself, trained from other seeds, finds a difference."""
    from collabtheory.models.specification import ModelSpec, TrainingSpec
    from collabtheory.report.null_rate_output import print_null_rate, write_null_rate
    from collabtheory.runs.engines import open_engine
    from collabtheory.studies.null_rate import measure_null_rate

    console = stderr()
    interactions = load_data(data, min_rating, min_user_items, min_item_users, duplicates, offline)
    folder = out or Path("runs") / f"{plain_name(interactions.name)}-null-rate"
    with (
        open_engine(engine, jobs=jobs, scheduler=scheduler, options=engine_option or (), folder=folder) as workers,
        _at_work(quiet) as (expect, on_event),
    ):
        describe(console, interactions)
        found = measure_null_rate(
            interactions,
            folder,
            repetitions=repetitions,
            folds=folds,
            model=ModelSpec(hidden=(hidden,), latent=latent),
            training=TrainingSpec(epochs=epochs, learning_rate=3e-3, annealing=0.2),
            seed=seed,
            engine=workers,
            on_event=on_event,
            on_plan=expect,
        )
    print_null_rate(stdout(), found)
    path = write_null_rate(folder, found, interactions, shlex.join(["collabtheory", *sys.argv[1:]]), seed)
    console.print(f"wrote {path}", highlight=False, soft_wrap=True)
    raise typer.Exit(1 if found.either.exceeds_nominal else 0)


def _settings(
    profile: str,
    folds: int | None,
    trials: int | None,
    epochs: int | None,
    batch: int | None,
    patience: int | None,
    hidden: int | None,
    latent: int | None,
) -> StudyProfile:
    from collabtheory.models.specification import ModelSpec, TrainingSpec
    from collabtheory.studies.profiles import StudyProfile, get_study_profile

    base = get_study_profile(profile)
    model = changed(ModelSpec, base.model, hidden=(hidden,) if hidden else None, latent=latent)
    training = changed(TrainingSpec, base.training, epochs=epochs, batch_size=batch, patience=patience)
    return changed(StudyProfile, base, model=model, training=training, folds=folds, trials=trials)


def _decidable(folder: Path | None, methods: tuple[str, ...]) -> tuple[StatementFile, ...]:
    """Return the claims about data whose methods are all among those compared."""
    from collabtheory.claims.discovery import discover

    chosen = [file for file in discover(folder) if file.statement.kind == "empirical"]
    return tuple(file for file in chosen if {name for check in file.checks for name in check.methods} <= set(methods))


@contextlib.contextmanager
def _at_work(quiet: bool) -> Iterator[tuple[Callable[[int], None], Callable[[Event], None]]]:
    """Yield ``(expect, on_event)`` of the progress display, with one thread a process."""
    from collabtheory.runs.engine import THREAD_VARIABLES
    from collabtheory.runs.progress import show_progress

    for variable in THREAD_VARIABLES:
        os.environ.setdefault(variable, "1")
    with show_progress(stderr(), quiet=quiet) as shown:
        yield shown
