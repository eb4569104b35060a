"""The commands. Nothing heavy is imported before a command runs, so that ``--help`` is instant."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from collabtheory._version import __version__
from collabtheory.errors import CollabTheoryError, InvalidInput

if TYPE_CHECKING:
    from rich.console import Console

    from collabtheory.claims.attack import Attack
    from collabtheory.claims.discovery import StatementFile
    from collabtheory.data import Interactions
    from collabtheory.runs.frozen import Frozen

Spec = TypeVar("Spec", bound="Frozen")

EXIT_CODES = (
    "Exit codes: 0 fine; 1 something violated or contradicted, or a negative control not caught; 2 usage, bad input or "
    "unwritable output; 3 vacuous or inconclusive under --strict; 4 crash, or a check that broke; 5 nothing selected; "
    "130 interrupted."
)

app = typer.Typer(
    name="collabtheory",
    help="Verify the theory of collaborative learning in VAE recommenders, on your data and your model.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
data_app = typer.Typer(help="Data sets: what exists, fetch one, check a file of yours.", no_args_is_help=True)
app.add_typer(data_app, name="data")

DataOption = Annotated[
    str,
    typer.Option("--data", help="A name (see `data list`) or a file (user,item[,rating[,timestamp]])."),
]
MinRating = Annotated[
    float | None, typer.Option(help="Keep ratings of at least this; default 4, or the data set's own.")
]
MinUserItems = Annotated[int | None, typer.Option(min=0, help="Keep users with at least this many items; default 5.")]
Duplicates = Annotated[str, typer.Option(help="Repeated (user, item) rows: error, first, last or max.")]
Offline = Annotated[bool, typer.Option("--offline", help="Never download.")]
ChecksOption = Annotated[
    Path | None, typer.Option("--checks", help="Folder with statements of your own, instead of the built-in ones.")
]


@app.command(epilog=EXIT_CODES)
def verify(
    ids: Annotated[list[str] | None, typer.Argument(help="Statements to check; all if none is given.")] = None,
    data: DataOption = "planted",
    model: Annotated[Path | None, typer.Option(help="Check this checkpoint instead of training a model.")] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Number of seeds (each has its own split, weights and draws).")] = 1,
    profile: Annotated[str, typer.Option(help="quick, full or paper.")] = "quick",
    jobs: Annotated[
        int, typer.Option(min=0, help="Worker processes; 0 = one a core. Results do not depend on it.")
    ] = 0,
    out: Annotated[Path | None, typer.Option(help="Run folder; default runs/<data>-<profile>.")] = None,
    checks: ChecksOption = None,
    kind: Annotated[str | None, typer.Option(help="Only statements of this kind: theorem or empirical.")] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Vacuous or inconclusive counts as failure (exit code 3).")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the records as JSON lines instead of the table.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress.")] = False,
    min_rating: MinRating = None,
    min_user_items: MinUserItems = None,
    duplicates: Duplicates = "error",
    offline: Offline = False,
) -> None:
    """Check statements, each with its negative controls, and write a run folder with verdicts, figures and a report."""
    from collabtheory.runs.engine import THREAD_VARIABLES, Pool

    for variable in THREAD_VARIABLES:
        os.environ.setdefault(variable, "1")
    jobs = jobs or os.cpu_count() or 1
    console = _stderr()
    with Pool(jobs) as pool:
        # The workers import what they need while this process does: together that takes half as long.
        pool.warm("collabtheory.claims.steps", "collabtheory.models.trainer", "collabtheory.transfer.pair_table")
        from collabtheory.claims.runner import verify as run_verification
        from collabtheory.report import write_report
        from collabtheory.runs.progress import show_progress

        with contextlib.redirect_stdout(sys.stderr):  # a file of checks may print; standard output is for results
            files = _chosen(checks, ids or [], kind)
        interactions = _load(data, min_rating, min_user_items, duplicates, offline)
        if not quiet:
            _describe(console, interactions)
        folder = out or Path("runs") / f"{_plain_name(interactions.name)}-{profile}"
        with show_progress(console, quiet=quiet) as (expect, on_event):
            outcome = run_verification(
                interactions,
                files,
                folder,
                profile=profile,
                seeds=seeds,
                jobs=jobs,
                checkpoint=model,
                on_event=on_event,
                on_plan=lambda plan: expect(len(plan.tasks)),
                pool=pool,
            )
    report = write_report(outcome.folder)
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
    print_attacks(_stdout(), tuple(attacks), as_json=json)
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
    min_rating: MinRating = None,
    min_user_items: MinUserItems = None,
    duplicates: Duplicates = "error",
    offline: Offline = False,
) -> None:
    """Train a Mult-VAE (with item anchors if asked), write its checkpoint; after a kill the same command goes on."""
    from rich.progress import Progress

    from collabtheory.claims.profiles import get_profile
    from collabtheory.models.specification import ModelSpec, TrainingSpec
    from collabtheory.models.training_run import train_to_file

    settings = get_profile(profile)
    model = _changed(
        ModelSpec,
        settings.model,
        keep_probability=keep_probability,
        masking=masking,
        likelihood=likelihood,
        alignment_weight=alignment_weight,
    )
    training = _changed(TrainingSpec, settings.training, epochs=epochs, beta=beta, snapshots=())
    interactions = _load(data, min_rating, min_user_items, duplicates, offline)
    console = _stderr()
    _describe(console, interactions)
    with Progress(console=console, transient=True) as bars:
        bar = bars.add_task("training", total=training.epochs)
        trained, test_ndcg = train_to_file(
            interactions,
            out,
            model,
            training,
            seed=seed,
            on_epoch=lambda epoch: bars.update(bar, completed=epoch.epoch),
        )
    typer.echo(f"{out}: best epoch {trained.best_epoch} of {len(trained.history)}, test nDCG@100 {test_ndcg:.4f}")


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
    duplicates: Duplicates = "error",
    offline: Offline = False,
) -> None:
    """Read a data set as `verify` would and say what is in it."""
    from collabtheory.data import check

    report = check(data, min_rating=min_rating, min_user_items=min_user_items, duplicates=duplicates, offline=offline)
    typer.echo(str(report))
    raise typer.Exit(0 if report.usable else 2)


@app.callback(invoke_without_command=True)
def _version(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    if version:
        typer.echo(__version__)
        raise typer.Exit(0)


class Interrupted(BaseException):
    """Ctrl-C or a polite kill; not a KeyboardInterrupt, which the command-line library would turn into exit code 1."""


def main() -> None:
    """Run the command line; every failure is one line on stderr and a documented exit code."""
    signal.signal(signal.SIGINT, _interrupt)
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        app()
    except Interrupted:
        _fail("interrupted; the same command goes on from here", 130)
    except CollabTheoryError as error:
        _fail(f"error: {error}", error.exit_code)
    except OSError as error:
        _fail(f"error: {error.filename or 'input or output'}: {error.strerror or error}", 2)
    except Exception as error:
        import traceback

        traceback.print_exc()
        _fail(f"crash: {type(error).__name__}: {error}", 4)


def _say(message: str) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"{message}\n")


def _interrupt(*signal_and_frame: object) -> None:
    raise Interrupted


def _fail(message: str, code: int) -> None:
    sys.stderr.write(" ".join(message.split()) + "\n")
    sys.exit(code)


def _changed(kind: type[Spec], spec: Spec, **changes: object) -> Spec:
    given = {name: value for name, value in changes.items() if value is not None}
    try:
        return kind.model_validate({**spec.model_dump(), **given})
    except ValueError as error:
        first = error.errors()[0]  # type: ignore[attr-defined]
        raise InvalidInput(f"--{'-'.join(map(str, first['loc'])).replace('_', '-')}: {first['msg']}") from error


def _chosen(folder: Path | None, ids: list[str], kind: str | None) -> tuple[StatementFile, ...]:
    from collabtheory.claims.discovery import discover, select

    files = select(discover(folder), ids)
    chosen = tuple(file for file in files if kind is None or file.statement.kind == kind)
    if not chosen:
        _fail(f"error: no statement selected (kind {kind!r})", 5)
    return chosen


def _load(
    data: str, min_rating: float | None, min_user_items: int | None, duplicates: str, offline: bool
) -> Interactions:
    from collabtheory.data import load

    return load(data, min_rating=min_rating, min_user_items=min_user_items, duplicates=duplicates, offline=offline)


def _describe(console: Console, data: Interactions) -> None:
    for step in data.filters:
        console.print(str(step), highlight=False, markup=False)
    console.print(
        f"{data.name}: {data.n_users:,} users x {data.n_items:,} items, {data.n_interactions:,} interactions",
        highlight=False,
        markup=False,
    )


def _print_outcome(folder: Path, *, as_json: bool) -> None:
    if as_json:
        sys.stdout.write((folder / "claims.jsonl").read_text(encoding="utf-8"))
        return
    from collabtheory.report import print_verdicts

    print_verdicts(folder)


def _plain_name(name: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "-_." else "-" for letter in name) or "data"


def _stdout() -> Console:
    from rich.console import Console

    return Console()


def _stderr() -> Console:
    from rich.console import Console

    return Console(stderr=True)
