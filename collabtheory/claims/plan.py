"""From what the user asked for to the tasks that answer it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

from collabtheory.claims.discovery import StatementFile
from collabtheory.claims.profiles import Profile, stage_name
from collabtheory.claims.statement import LADDER, STUDY, Check, Stages
from collabtheory.claims.steps import (
    TRAINED,
    AdoptStep,
    CheckStep,
    PairsStep,
    TrainStep,
    adopt_model,
    build_pair_table,
    run_checks,
    train_model,
)
from collabtheory.runs.task import Task
from collabtheory.studies.plan import StudyPlan, plan_study
from collabtheory.studies.profiles import StudyProfile


@dataclass(frozen=True)
class Plan:
    """The tasks of a run: models by seed, pair tables by (seed, stage), and the checks in the order of the records.

    ``rungs`` are the models of the ladders, by seed and then by ``setting=value``; ``portraits`` are what pictures
    need, by the folder where a run shows it.
    """

    models: dict[int, Task]
    pairs: dict[tuple[int, str], Task]
    rungs: dict[int, dict[str, Task]]
    checks: tuple[Task, ...]
    study: StudyPlan | None = None
    portraits: dict[str, Task] = field(default_factory=dict)

    @property
    def tasks(self) -> tuple[Task, ...]:
        """Everything, needs first."""
        ladders = (task for ladder in self.rungs.values() for task in ladder.values())
        study = self.study.tasks if self.study else ()
        return (
            *self.models.values(),
            *self.pairs.values(),
            *dict.fromkeys(ladders),
            *self.portraits.values(),
            *study,
            *self.checks,
        )

    @property
    def stages(self) -> list[str]:
        """The stages of training, in order."""
        return list(dict.fromkeys(stage for _, stage in self.pairs))

    @property
    def identity(self) -> str:
        """SHA-256 of all task keys: two runs with the same identity have the same results."""
        return hashlib.sha256("".join(task.key for task in self.tasks).encode()).hexdigest()


def make_plan(
    files: tuple[StatementFile, ...],
    profile: Profile,
    seeds: tuple[int, ...],
    *,
    data: str,
    data_file: Path,
    checkpoint: Path | None = None,
    profile_name: str = "quick",
    study_profile: StudyProfile | None = None,
    methods: tuple[str, ...] = (),
    portraits: bool = False,
) -> Plan:
    """Lay out training, pair tables and checks.

    Parameters
    ----------
    files
        The statements to check.
    profile
        Model, training and pairs.
    seeds
        One run of everything for each.
    data, data_file
        Fingerprint of the data, and where it is stored.
    checkpoint
        Check this model instead of training one; its only stage is ``trained``, and there are no ladders.
    profile_name
        What checks are told about how much work they may do.
    study_profile
        Folds, models and tuning of the checks that compare methods; needed where there are any.
    methods
        Methods to fit besides those that checks compare.
    portraits
        Whether to measure what pictures need, of the first seed, where there is a model.
    """
    wanted = {check.stages for file in files for check in file.checks}
    models: dict[int, Task] = {}
    pairs: dict[tuple[int, str], Task] = {}
    rungs: dict[int, dict[str, Task]] = {}
    if wanted & {"every", "last", LADDER}:
        stages = _stages(profile, every="every" in wanted and checkpoint is None)
        for seed in seeds:
            models[seed] = _model(profile, seed, data, data_file, checkpoint)
            for stage in stages:
                spec = PairsStep(pairs=profile.pairs, stage=stage, seed=seed)
                pairs[seed, stage] = Task(
                    f"pairs, seed {seed}, {stage}", build_pair_table, spec, (("model", models[seed]),)
                )
    if LADDER in wanted and checkpoint is None:
        rungs = {seed: _rungs(profile, seed, data, data_file) for seed in seeds}
    checks = [task for file in files for task in _checks(file, seeds, models, pairs, rungs, data, profile_name)]
    compared = [check for file in files for check in file.checks if check.stages == STUDY]
    study = None
    if study_profile is not None and (compared or methods):
        study = plan_study(
            [*methods, *(name for check in compared for name in check.methods)],
            [name for check in compared for name in check.measured],
            study_profile,
            data=data,
            data_file=data_file,
            seed=seeds[0],
        )
        checks += [
            _study_check(file, study, seeds[0], data, data_file, profile_name)
            for file in files
            if any(check.stages == STUDY for check in file.checks)
        ]
    portrayed = {}
    if portraits and models:
        portrayed = _portraits(profile, seeds[0], models, pairs, rungs, data, data_file, checkpoint is not None)
    return Plan(models, pairs, rungs, tuple(checks), study, portrayed)


def _portraits(
    profile: Profile,
    seed: int,
    models: dict[int, Task],
    pairs: dict[tuple[int, str], Task],
    rungs: dict[int, dict[str, Task]],
    data: str,
    data_file: Path,
    given: bool,
) -> dict[str, Task]:
    from collabtheory.portraits.plan import plan_portraits

    tables = {stage: task for (of, stage), task in pairs.items() if of == seed}
    return plan_portraits(
        profile, seed, models[seed], tables, rungs.get(seed, {}), data=data, data_file=data_file, given=given
    )


def _study_check(file: StatementFile, study: StudyPlan, seed: int, data: str, data_file: Path, profile: str) -> Task:
    chosen: list[Check] = [check for check in file.checks if check.stages == STUDY]
    needs = study.needs(
        [name for check in chosen for name in check.methods], [name for check in chosen for name in check.measured]
    )
    spec = CheckStep(
        file=file.fingerprint,
        path=file.path,
        stage=None,
        seed=seed,
        kinds=(STUDY,),
        data=data,
        profile=profile,
        data_file=data_file,
    )
    return Task(f"check {file.identifier}, study", run_checks, spec, needs)


def _stages(profile: Profile, *, every: bool) -> list[str]:
    snapshots = [stage_name(epoch) for epoch in profile.training.snapshots] if every else []
    return [*snapshots, TRAINED]


def _model(profile: Profile, seed: int, data: str, data_file: Path, checkpoint: Path | None) -> Task:
    if checkpoint is None:
        train = TrainStep(data=data, data_file=data_file, model=profile.model, training=profile.training, seed=seed)
        return Task(f"train, seed {seed}", train_model, train)
    digest = hashlib.sha256(checkpoint.read_bytes()).hexdigest()
    adopt = AdoptStep(data=data, data_file=data_file, checkpoint=digest, checkpoint_file=checkpoint)
    return Task("read the model", adopt_model, adopt)


def _rungs(profile: Profile, seed: int, data: str, data_file: Path) -> dict[str, Task]:
    """Return the training tasks of the ladders; rungs of two ladders that are one model are one task."""
    tasks: dict[str, Task] = {}
    known: dict[str, Task] = {}
    for (setting, value), (model, training) in profile.ladder.rungs(profile.model).items():
        step = TrainStep(data=data, data_file=data_file, model=model, training=training, seed=seed)
        task = Task(f"train, seed {seed}, {setting} {value:g}", train_model, step)
        tasks[f"{setting}={value!r}"] = known.setdefault(task.key, task)
    return tasks


def _checks(
    file: StatementFile,
    seeds: tuple[int, ...],
    models: dict[int, Task],
    pairs: dict[tuple[int, str], Task],
    rungs: dict[int, dict[str, Task]],
    data: str,
    profile: str,
) -> list[Task]:
    kinds = {check.stages for check in file.checks}
    tasks = []
    if "none" in kinds:
        tasks.append(_check(file, None, seeds[0], ("none",), (), None, profile))
    for seed, stage in pairs:
        here: tuple[Stages, ...] = ("every", "last") if stage == TRAINED else ("every",)
        if kinds & set(here):
            needs = (("model", models[seed]), ("pairs", pairs[seed, stage]))
            tasks.append(_check(file, stage, seed, here, needs, data, profile))
    if LADDER in kinds:
        for seed, ladder in rungs.items():
            with_rungs = (("model", models[seed]), ("pairs", pairs[seed, TRAINED]), *ladder.items())
            tasks.append(_check(file, TRAINED, seed, (LADDER,), with_rungs, data, profile))
    return tasks


def _check(
    file: StatementFile,
    stage: str | None,
    seed: int,
    kinds: tuple[Stages, ...],
    needs: tuple[tuple[str, Task], ...],
    data: str | None,
    profile: str,
) -> Task:
    spec = CheckStep(
        file=file.fingerprint, path=file.path, stage=stage, seed=seed, kinds=kinds, data=data, profile=profile
    )
    where = f", seed {seed}, {LADDER if LADDER in kinds else stage}" if stage is not None else ""
    return Task(f"check {file.identifier}{where}", run_checks, spec, needs)
