"""The commands. Nothing heavy is imported before a command runs, so that ``--help`` is instant."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from collabtheory._version import __version__
from collabtheory.cli_common import (
    EXIT_CODES,
    ChecksOption,
    DataOption,
    Device,
    Duplicates,
    Memory,
    MinItemUsers,
    MinRating,
    MinUserItems,
    Offline,
    changed,
    describe,
    fail,
    load_data,
    plain_name,
    say_device,
    share_memory,
    stderr,
    stdout,
)
from collabtheory.cli_engines import EngineName, EngineOptions, Jobs, Scheduler
from collabtheory.cli_figures import add_figure_commands
from collabtheory.cli_pairs import add_pairs_command
from collabtheory.cli_studies import add_study_commands
from collabtheory.errors import CollabTheoryError, InvalidInput

if TYPE_CHECKING:
    from collabtheory.claims.attack import Attack
    from collabtheory.claims.discovery import StatementFile

app = typer.Typer(
    name="collabtheory",
    help="Verify the theory of collaborative learning in VAE recommenders, on your data and your model.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    add_completion=False,
    context_settings={"max_content_width": 120},
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # its boxes cost as much time as everything else that --help does
)
data_app = typer.Typer(help="Data sets: what exists, fetch one, check a file of yours.", no_args_is_help=True)
app.add_typer(data_app, name="data")


@app.command(epilog=EXIT_CODES)
def verify(
    ids: Annotated[list[str] | None, typer.Argument(help="Statements to check; all if none is given.")] = None,
    data: DataOption = "planted",
    model: Annotated[Path | None, typer.Option(help="Check this checkpoint instead of training a model.")] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Number of seeds (each has its own split, weights and draws).")] = 1,
    profile: Annotated[str, typer.Option(help="quick, full or paper.")] = "quick",
    jobs: Jobs = 0,
    engine: EngineName = None,
    scheduler: Scheduler = None,
    engine_option: EngineOptions = None,
    memory: Memory = None,
    out: Annotated[Path | None, typer.Option(help="Run folder; default runs/<data>-<profile>.")] = None,
    checks: ChecksOption = None,
    kind: Annotated[
        str | None,
        typer.Option(help="theorem, empirical (trains and compares many models: minutes to hours) or all."),
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Vacuous or inconclusive counts as failure (exit code 3).")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the records as JSON lines instead of the table.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress.")] = False,
    figures: Annotated[
        bool, typer.Option(help="Draw the figures of the report; `collabtheory report` can later.")
    ] = True,
    min_rating: MinRating = None,
    min_user_items: MinUserItems = None,
    min_item_users: MinItemUsers = None,
    duplicates: Duplicates = "error",
    offline: Offline = False,
) -> None:
    """Check statements, each with its negative controls, and write a run folder with verdicts, figures and a report."""
    from collabtheory.runs.engines import open_engine
    from collabtheory.runs.pool import THREAD_VARIABLES, Pool

    for variable in THREAD_VARIABLES:
        os.environ.setdefault(variable, "1")
    console, where = stderr(), out or Path("runs")
    with (
        share_memory(memory, jobs),
        open_engine(engine, jobs=jobs, scheduler=scheduler, options=engine_option or (), folder=where) as workers,
    ):
        pool = workers if isinstance(workers, Pool) else None
        if pool:
            # They import what they need while this process does: together that takes half as long.
            pool.warm("collabtheory.claims.steps", "collabtheory.models.trainer", "collabtheory.transfer.pair_table")
        # What is wrong with the data is said before all else is imported.
        interactions = load_data(data, min_rating, min_user_items, min_item_users, duplicates, offline)
        from collabtheory.claims.runner import verify as run_verification
        from collabtheory.report import write_report
        from collabtheory.runs.progress import show_progress

        with contextlib.redirect_stdout(sys.stderr):  # a file of checks may print; standard output is for results
            files = _chosen(checks, ids or [], kind)
        if not quiet:
            describe(console, interactions)
        folder = out or Path("runs") / f"{plain_name(interactions.name)}-{profile}"
        with show_progress(console, quiet=quiet) as (expect, on_event):
            outcome = run_verification(
                interactions,
                files,
                folder,
                profile=profile,
                seeds=seeds,
                checkpoint=model,
                on_event=on_event,
                on_plan=lambda plan: expect(len(plan.tasks)),
                engine=workers,
                portraits=not ids and checks is None,
            )
        if pool and figures:
            pool.warm("collabtheory.report.figure_files")
        report = write_report(outcome.folder, None if figures else (), engine=pool)
    _print_outcome(outcome.folder, as_json=json)
    console.print(f"report: {report}", highlight=False, soft_wrap=True)
    raise typer.Exit(outcome.exit_code(strict=strict))


@app.command("list")
def list_statements(checks: ChecksOption = None) -> None:
    """List the statements that can be checked, with their controls."""
    from collabtheory.claims.discovery import discover

    for file in discover(checks):
        controls = ", ".join(dict.fromkeys(check.control for check in file.checks if check.control))
        typer.echo(f"{file.identifier:<20} {file.statement.title}\n{'':20} controls: {controls}")


@app.command()
def explain(
    identifier: Annotated[str, typer.Argument(help="A statement's id, see `collabtheory list`.")],
    checks: ChecksOption = None,
) -> None:
    """Print a statement, its assumptions, proof, controls, and what it does not say."""
    from collabtheory.claims.discovery import discover, select
    from collabtheory.report.explanation import explain_statement

    file = select(discover(checks), [identifier])[0]
    for line in explain_statement(file):
        typer.echo(line)


@app.command()
def attack(
    ids: Annotated[list[str] | None, typer.Argument(help="Statements, see `collabtheory list`.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="All statements that have inequalities.")] = False,
    seconds: Annotated[float, typer.Option(min=0.1, help="Time budget of each inequality.")] = 5.0,
    seed: Annotated[int, typer.Option(min=0, help="Root of every draw.")] = 0,
    out: Annotated[Path | None, typer.Option(help="Folder for counterexamples; not written if not given.")] = None,
    checks: ChecksOption = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON lines instead of the table.")] = False,
) -> None:
    """Look for violations of statements and of their false twins; ends with the worst margin found for each."""
    from collabtheory.claims.attack import attack_file
    from collabtheory.claims.discovery import discover, select
    from collabtheory.report.attack_table import print_attacks

    if bool(ids) == everything:
        raise InvalidInput("name the statements to attack, or --all of them")
    files = [file for file in select(discover(checks), ids or []) if file.inequalities or not everything]
    attacks: list[Attack] = []
    for file in files:
        _say(file.identifier)
        attacks += attack_file(file, seconds=seconds, seed=seed, out=out, on_start=_say)
    print_attacks(stdout(), tuple(attacks), as_json=json)
    raise typer.Exit(1 if any(not one.as_expected for one in attacks) else 0)


@app.command()
def replay(
    path: Annotated[Path, typer.Argument(help="A counterexample file, see a run's folder `counterexamples`.")],
    checks: ChecksOption = None,
) -> None:
    """Decide a saved counterexample again in interval arithmetic. Exit code 1: a true statement is violated."""
    from collabtheory.claims.counterexample import read_content
    from collabtheory.claims.counterexample import replay as read_and_decide
    from collabtheory.claims.discovery import discover
    from collabtheory.claims.measured_violations import replay_measured
    from collabtheory.report.explanation import explain_replay

    content = read_content(path)
    if content.get("measured"):
        for line in replay_measured(path, content):
            typer.echo(line)
        raise typer.Exit(1)
    found = read_and_decide(path, discover(checks))
    for line in explain_replay(found):
        typer.echo(line)
    raise typer.Exit(found.exit_code)


@app.command()
def train(
    out: Annotated[Path, typer.Option(help="Checkpoint to write (.safetensors).")],
    data: DataOption = "planted",
    profile: Annotated[str, typer.Option(help="quick, full or paper: the model and its training.")] = "quick",
    seed: Annotated[int, typer.Option(min=0, help="Root of every draw.")] = 0,
    epochs: Annotated[int | None, typer.Option(min=0, help="Epochs; the profile's if not given.")] = None,
    beta: Annotated[float | None, typer.Option(min=0, help="Cap of the KL weight.")] = None,
    keep_probability: Annotated[
        float | None, typer.Option(help="Probability of keeping an input item; 1 trains on clean inputs.")
    ] = None,
    masking: Annotated[str | None, typer.Option(help="normalise_then_mask, mask_then_normalise or mask_only.")] = None,
    likelihood: Annotated[str | None, typer.Option(help="multinomial, bernoulli, gaussian or poisson.")] = None,
    alignment_weight: Annotated[
        float | None, typer.Option(min=0, help="Weight lambda_A of the PIA loss; 0 = no anchors.")
    ] = None,
    device: Device = "cpu",
    min_rating: MinRating = None,
    min_user_items: MinUserItems = None,
    min_item_users: MinItemUsers = None,
    duplicates: Duplicates = "error",
    offline: Offline = False,
) -> None:
    """Train a Mult-VAE (with item anchors if asked), write its checkpoint; after a kill the same command goes on."""
    from rich.progress import Progress

    from collabtheory.claims.profiles import get_profile
    from collabtheory.models.devices import find_device
    from collabtheory.models.specification import ModelSpec, TrainingSpec
    from collabtheory.models.training_run import train_to_file

    place, settings = find_device(device), get_profile(profile)
    model = changed(
        ModelSpec,
        settings.model,
        keep_probability=keep_probability,
        masking=masking,
        likelihood=likelihood,
        alignment_weight=alignment_weight,
    )
    training = changed(TrainingSpec, settings.training, epochs=epochs, beta=beta, snapshots=())
    interactions = load_data(data, min_rating, min_user_items, min_item_users, duplicates, offline)
    console = stderr()
    describe(console, interactions)
    say_device(console, place)
    with Progress(console=console, transient=True) as bars:
        bar = bars.add_task("training", total=training.epochs)
        trained, test_ndcg = train_to_file(
            interactions,
            out,
            model,
            training,
            seed=seed,
            on_epoch=lambda epoch: bars.update(bar, completed=epoch.epoch),
            device=place,
        )
    typer.echo(f"{out}: best epoch {trained.best_epoch} of {len(trained.history)}, test nDCG@100 {test_ndcg:.4f}")


@app.command()
def evaluate(
    model: Annotated[Path, typer.Argument(help="A checkpoint that `train` wrote.")],
    data: DataOption = "planted",
    seed: Annotated[
        int | None, typer.Option(min=0, help="Draw of the held-out items; that of the training if not given.")
    ] = None,
    metric: Annotated[list[str] | None, typer.Option(help="Metrics, such as recall@20/n; the usual three.")] = None,
    device: Device = "cpu",
    min_rating: MinRating = None,
    min_user_items: MinUserItems = None,
    min_item_users: MinItemUsers = None,
    duplicates: Duplicates = "error",
    offline: Offline = False,
) -> None:
    """Test a checkpoint on users that its training never saw: accuracy by cohort, coverage, popularity bias."""
    from collabtheory.models.devices import find_device
    from collabtheory.models.training_run import evaluate_file
    from collabtheory.report.evaluation_table import print_evaluation

    place = find_device(device)
    interactions = load_data(data, min_rating, min_user_items, min_item_users, duplicates, offline)
    if device != "cpu":
        say_device(stderr(), place)
    print_evaluation(stdout(), evaluate_file(model, interactions, seed=seed, metrics=metric, device=place))


@app.command("check-vae")
def check_vae(
    target: Annotated[str, typer.Argument(help="A checkpoint of this project, or path/to/file.py:NAME.")],
    data: Annotated[str | None, typer.Option("--data", help="Users to probe it with; made up if not given.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Root of every draw.")] = 0,
    json: Annotated[bool, typer.Option("--json", help="Print JSON lines instead of the table.")] = False,
) -> None:
    """Check any VAE recommender for the errors known from public code. Exit code 1: something is wrong."""
    from collabtheory.conformance import check_vae as run_checks
    from collabtheory.conformance import contents_for, exit_code, load_under_test, print_findings
    from collabtheory.runs.seeds import derive

    tested = load_under_test(target)
    interactions = load_data(data, None, None, None, "error", offline=False) if data else None
    contents = contents_for(target, tested, interactions, derive(seed, "contents"))
    findings = run_checks(tested, contents, rng=derive(seed, "checks"))
    print_findings(stdout(), findings, as_json=json)
    raise typer.Exit(exit_code(findings))


@app.command()
def report(folder: Annotated[Path, typer.Argument(help="A run folder.")]) -> None:
    """Draw the figures and write the report of a run folder anew."""
    from collabtheory.report import write_report

    typer.echo(write_report(folder))


@app.command()
def doctor() -> None:
    """Say whether this installation works: versions, threads, folders, and a small exact computation."""
    from collabtheory.runs.doctor import examine

    findings = examine()
    for finding in findings:
        typer.echo(f"{'ok  ' if finding.fine else 'FAIL'} {finding.what}: {finding.text}")
    raise typer.Exit(0 if all(finding.fine for finding in findings) else 4)


@data_app.command("list")
def data_list() -> None:
    """List the data sets that can be named."""
    from collabtheory.data import catalogue

    for entry in catalogue():
        typer.echo(f"{entry.name:<16} {entry.where}")
        typer.echo(f"{'':16} {entry.description}; {entry.size}; {entry.licence}")


@data_app.command("fetch")
def data_fetch(name: str, offline: Offline = False) -> None:
    """Download a data set of the catalogue and verify its checksum."""
    from collabtheory.data import fetch

    found = fetch(name, offline=offline)
    typer.echo(found or f"{name} is embedded; there is nothing to fetch")


@data_app.command("check")
def data_check(
    data: Annotated[str, typer.Argument(help="A name or a file.")],
    min_rating: MinRating = None,
    min_user_items: MinUserItems = None,
    min_item_users: MinItemUsers = None,
    duplicates: Duplicates = "error",
    offline: Offline = False,
) -> None:
    """Read a data set as `verify` would and say what is in it."""
    from collabtheory.data import check

    report = check(
        data,
        min_rating=min_rating,
        min_user_items=min_user_items,
        min_item_users=min_item_users,
        duplicates=duplicates,
        offline=offline,
    )
    typer.echo(str(report))
    raise typer.Exit(0 if report.usable else 2)


@app.callback(invoke_without_command=True)
def _version(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    if version:
        typer.echo(__version__)
        raise typer.Exit(0)


add_study_commands(app)
add_figure_commands(app)
add_pairs_command(app)


class Interrupted(BaseException):
    """Ctrl-C or a polite kill; not a KeyboardInterrupt, which the command-line library would turn into exit code 1."""


def main() -> None:
    """Run the command line; every failure is one line on stderr and a documented exit code."""
    signal.signal(signal.SIGINT, _interrupt)
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        app()
    except Interrupted:
        fail("interrupted; the same command goes on from here", 130)
    except CollabTheoryError as error:
        fail(f"error: {error}", error.exit_code)
    except OSError as error:
        fail(f"error: {error.filename or 'input or output'}: {error.strerror or error}", 2)
    except Exception as error:
        import traceback

        traceback.print_exc()
        fail(f"crash: {type(error).__name__}: {error}", 4)


def _say(message: str) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"{message}\n")


def _interrupt(*signal_and_frame: object) -> None:
    raise Interrupted


def _chosen(folder: Path | None, ids: list[str], kind: str | None) -> tuple[StatementFile, ...]:
    from collabtheory.claims.discovery import discover, select

    files = select(discover(folder), ids)
    # Claims about data train dozens of models, so they run only where they are asked for.
    kind = kind or ("all" if ids or folder else "theorem")
    chosen = tuple(file for file in files if kind == "all" or file.statement.kind == kind)
    if not chosen:
        fail(f"error: no statement selected (kind {kind!r})", 5)
    return chosen


def _print_outcome(folder: Path, *, as_json: bool) -> None:
    if as_json:
        sys.stdout.write((folder / "claims.jsonl").read_text(encoding="utf-8"))
        return
    from collabtheory.report import print_verdicts

    print_verdicts(folder)
