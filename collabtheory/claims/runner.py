"""Running a verification: from a data set to a run folder with verdicts, tables, figures and a report."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from collabtheory.claims.discovery import StatementFile, discover
from collabtheory.claims.multiplicity import corrected
from collabtheory.claims.plan import Plan, make_plan
from collabtheory.claims.profiles import PairSpec, get_profile
from collabtheory.claims.record import Side, run_checks, take_sides, to_line
from collabtheory.claims.results import publish_files, write_results, write_sides, write_statements
from collabtheory.claims.steps import RECORDS_FILE, SIDES_FILE, TRAINED, measure_pairs
from collabtheory.claims.subject import Subject
from collabtheory.claims.verdict import Verdict
from collabtheory.data import Interactions
from collabtheory.errors import InvalidInput
from collabtheory.models.recommender import Recommender
from collabtheory.runs.data_files import keep_data
from collabtheory.runs.engine import Engine, Event, execute
from collabtheory.runs.files import write_atomically
from collabtheory.runs.published import STORE, forget_published, note_published, refuse_foreign_folder
from collabtheory.runs.store import Store, exclusive
from collabtheory.runs.task import Task, canonical_json
from collabtheory.studies.profiles import StudyProfile, get_study_profile
from collabtheory.studies.publication import publish_study


@dataclass(frozen=True)
class Outcome:
    """What a verification came to."""

    folder: Path
    records: tuple[dict[str, Any], ...]

    @property
    def uncaught(self) -> tuple[dict[str, Any], ...]:
        """Negative controls that ran and were not refuted."""
        return tuple(
            record
            for record in self.records
            if record["control"] and not record["caught"] and record["verdict"] != Verdict.ERROR
        )

    def exit_code(self, *, strict: bool = False) -> int:
        """Return the exit code: 0 fine, 1 refuted or control not caught, 3 vacuous if ``strict``, 4 broken."""
        verdicts = {Verdict(record["verdict"]) for record in self.records if not record["control"]}
        broken = any(record["verdict"] == Verdict.ERROR for record in self.records)
        if any(verdict.is_refutation for verdict in verdicts) or self.uncaught:
            return 1
        if broken:
            return 4
        if strict and verdicts & {Verdict.VACUOUS, Verdict.INCONCLUSIVE}:
            return 3
        return 0


def verify(
    data: Interactions,
    files: tuple[StatementFile, ...],
    folder: Path,
    *,
    profile: str = "quick",
    seeds: int = 1,
    jobs: int = 1,
    checkpoint: Path | None = None,
    on_event: Callable[[Event], None] = lambda event: None,
    on_plan: Callable[[Plan], None] = lambda plan: None,
    engine: Engine | None = None,
    methods: tuple[str, ...] = (),
    study_profile: StudyProfile | None = None,
    command: str = "",
    portraits: bool = False,
) -> Outcome:
    """Check statements on a data set and write the run folder.

    Parameters
    ----------
    data
        The interactions.
    files
        The statements, see :func:`collabtheory.claims.discover`.
    folder
        The run folder; results that it already holds are used again.
    profile
        ``"quick"``, ``"full"`` or ``"paper"``.
    seeds
        Number of seeds, 0 to ``seeds - 1``; each has its own split, weights and draws.
    jobs
        Worker processes; no result depends on it.
    checkpoint
        Check this model instead of training.
    on_event, on_plan
        Called with progress, and once with the plan.
    engine
        Where tasks run, in place of ``jobs`` new worker processes; see :func:`collabtheory.runs.engines.open_engine`.
    methods
        Methods to fit besides those that the statements compare, for the tables of a study.
    study_profile
        Sizes, folds and tuning of a study; those of ``profile`` if None.
    command
        The command line, kept with the results of a study.
    portraits
        Whether to measure what pictures need besides the checks: clean, masked and aligned models side by side, ladders
        and laws.

    Raises
    ------
    InvalidInput
        If no statement is given, or an argument is out of range.
    OutputError
        If the folder cannot be written or is in use.
    """
    if not files and not methods:
        raise InvalidInput("no statement to check")
    if seeds < 1 or jobs < 1:
        raise InvalidInput(f"seeds and jobs must be at least 1; they are {seeds} and {jobs}")
    settings = get_profile(profile)
    folder = folder.absolute()
    # Workers may have another working directory.
    files = tuple(replace(file, path=file.path.absolute()) for file in files)
    checkpoint = checkpoint and checkpoint.absolute()
    refuse_foreign_folder(folder)
    with exclusive(folder):
        store = Store(folder / STORE)
        data_file = keep_data(store.root, data)
        plan = make_plan(
            files, settings, tuple(range(seeds)), data=data.fingerprint, data_file=data_file, checkpoint=checkpoint,
            profile_name=profile, study_profile=study_profile or get_study_profile(profile), methods=methods,
            portraits=portraits,
        )  # fmt: skip
        on_plan(plan)
        forget_broken(plan.checks, store)
        execute(plan.tasks, store, jobs=jobs, on_event=on_event, engine=engine)
        publish_files(folder, plan, store)
        write_sides(folder, _sides(plan, store))
        write_statements(folder, files)
        lines = [
            line for task in plan.checks for line in (store.path(task) / RECORDS_FILE).read_text("utf-8").splitlines()
        ]
        lines = [to_line(record) for record in corrected([json.loads(line) for line in lines])]
        write_results(
            folder,
            lines,
            data,
            identity=plan.identity,
            profile=profile,
            settings=settings.model_dump(mode="json"),
            seeds=range(seeds),
            stages=plan.stages,
            times=store.times(plan.tasks),
        )
        if plan.study is not None:
            publish_study(
                folder,
                plan.study,
                store,
                data,
                lines,
                settings=study_profile or get_study_profile(profile),
                command=command,
            )
    return Outcome(folder, tuple(json.loads(line) for line in lines))


def verify_model(
    recommender: Recommender,
    data: Interactions,
    folder: Path,
    *,
    files: tuple[StatementFile, ...] | None = None,
    pairs: PairSpec | None = None,
    seed: int = 0,
) -> Outcome:
    """Check statements on a model of your own, in this process, and write the run folder.

    Parameters
    ----------
    recommender
        Your model as two callables, see :class:`~collabtheory.models.Recommender`.
    data
        The interactions, with the model's items as columns, in its order.
    folder
        The run folder; what it holds of another run is replaced.
    files
        The statements; default all of the project's.
    pairs
        Which pairs are measured, and how.
    seed
        Root of every draw.

    Returns
    -------
    Outcome
        With one stage, ``trained``. A statement whose premise your model does not meet (an encoder whose layers are
        not known has no certified Lipschitz constant) comes out as ``assumption_fails``, never as passed.
    """
    files, settings, folder = files or discover(), pairs or PairSpec(), folder.absolute()
    refuse_foreign_folder(folder)
    model = recommender.fingerprint()
    content = [model, data.fingerprint, settings.model_dump(mode="json"), seed, [file.fingerprint for file in files]]
    identity = hashlib.sha256(canonical_json(content).encode()).hexdigest()
    with exclusive(folder):
        (folder / STORE).mkdir(exist_ok=True)
        forget_published(folder)
        subject = measured_subject(recommender, data, folder, settings, seed)
        lines, sides = [], []
        for file in files:
            free = [check for check in file.checks if check.stages == "none"]
            bound = [check for check in file.checks if check.stages in ("every", "last")]
            found = [
                *run_checks(free, Subject(seed), data=None, model=None),
                *run_checks(bound, subject, data=data.fingerprint, model=model),
            ]
            sides += [side for record in found for side in take_sides(record)]
            lines += [to_line(record) for record in found]
        write_sides(folder, sides)
        write_statements(folder, files)
        profile = {"pairs": settings.model_dump(mode="json")}
        write_results(
            folder,
            lines,
            data,
            identity=identity,
            profile="own model",
            settings=profile,
            seeds=[seed],
            stages=[TRAINED],
            times={},
        )
    return Outcome(folder, tuple(json.loads(line) for line in lines))


def _sides(plan: Plan, store: Store) -> list[Side]:
    files = [store.path(task) / SIDES_FILE for task in plan.checks]
    return [tuple(json.loads(line)) for file in files for line in file.read_text("utf-8").splitlines()]


def measured_subject(
    recommender: Recommender, data: Interactions, folder: Path, settings: PairSpec, seed: int
) -> Subject:
    """Measure the pair table of a model in memory into a run folder and return what its checks may look at."""
    from collabtheory.transfer.pair_table import CODES_FILE

    interactions_file = folder / STORE / "interactions.npz"
    pairs_file = folder / "pairs" / f"seed-{seed}" / f"{TRAINED}.parquet"
    write_atomically(interactions_file, data.save)
    measure_pairs(pairs_file, recommender, data, settings, seed)
    note_published(pairs_file)
    note_published(pairs_file.with_name(CODES_FILE))
    return Subject(seed, TRAINED, interactions_file=interactions_file, pairs_file=pairs_file, given=recommender)


def forget_broken(checks: tuple[Task, ...], store: Store) -> None:
    """Drop stored results of checks that broke: whatever broke them may be over, so they are tried again."""
    for task in checks:
        records = store.path(task) / RECORDS_FILE
        if records.exists() and any(json.loads(line)["verdict"] == Verdict.ERROR for line in records.open("rb")):
            shutil.rmtree(store.path(task))
