"""From the methods of a study to the tasks that fit and measure them on every fold."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from collabtheory.runs.task import Task
from collabtheory.studies.methods import Method, get_method
from collabtheory.studies.profiles import StudyProfile
from collabtheory.studies.steps import (
    TUNED_FOLD,
    FitStep,
    FoldSpec,
    MeasureStep,
    TrialStep,
    fit_best,
    measure_posteriors,
    try_settings,
)

FIT, MEASURE = "fit", "measure"


@dataclass(frozen=True)
class StudyPlan:
    """The tasks of a study: trials by method, fits by (method, fold), measures by (method, fold) where wanted."""

    folds: int
    trials: dict[str, tuple[Task, ...]]
    fits: dict[tuple[str, int], Task]
    measures: dict[tuple[str, int], Task]

    @property
    def tasks(self) -> tuple[Task, ...]:
        """Everything, fold by fold, so that all methods can be compared early."""
        trials = (task for tasks in self.trials.values() for task in tasks)
        return (*trials, *self.fits.values(), *self.measures.values())

    def needs(self, methods: Iterable[str], measured: Iterable[str]) -> tuple[tuple[str, Task], ...]:
        """Return the fits and measures of these methods under the names that :class:`Study` finds them by."""
        fits = [(f"{FIT} {name} {fold}", task) for (name, fold), task in self.fits.items() if name in set(methods)]
        wanted = set(measured)
        measures = [
            (f"{MEASURE} {name} {fold}", task) for (name, fold), task in self.measures.items() if name in wanted
        ]
        return (*fits, *measures)


def plan_study(
    methods: Iterable[str], measured: Iterable[str], profile: StudyProfile, *, data: str, data_file: Path, seed: int = 0
) -> StudyPlan:
    """Lay out a study.

    Parameters
    ----------
    methods, measured
        Names of what is fitted, and of those whose posteriors are measured as well.
    profile
        Base model, training, folds and tuning budget.
    data, data_file
        Fingerprint of the data, and where it is stored.
    seed
        Root of folds, tuning draws, weights, masks and noise.
    """
    base = FoldSpec(
        data=data,
        data_file=data_file,
        folds=profile.folds,
        fold=TUNED_FOLD,
        seed=seed,
        model=profile.model,
        training=profile.training,
    )
    chosen = [get_method(name) for name in dict.fromkeys(methods)]
    trials = {method.name: _trials(method, profile.trials, base) for method in chosen}
    fits = {
        (method.name, fold): _fit(method, trials[method.name], base, fold)
        for fold in range(profile.folds)
        for method in chosen
    }
    wanted = [name for name in dict.fromkeys(measured) if get_method(name).measured]
    measures = {
        (name, fold): _measure(name, fits[name, fold], base, fold, profile.measured_users)
        for fold in range(profile.folds)
        for name in wanted
    }
    return StudyPlan(profile.folds, trials, fits, measures)


def _trials(method: Method, wanted: int, base: FoldSpec) -> tuple[Task, ...]:
    count = method.trials(wanted)
    return tuple(
        Task(f"try {method.name}, {trial + 1} of {count}", try_settings, spec)
        for trial, spec in enumerate(TrialStep(method=method.name, trial=trial, where=base) for trial in range(count))
    )


def _fit(method: Method, trials: tuple[Task, ...], base: FoldSpec, fold: int) -> Task:
    spec = FitStep(method=method.name, where=base.model_copy(update={"fold": fold}))
    needs = tuple((f"trial {number}", task) for number, task in enumerate(trials))
    return Task(f"fit {method.name}, fold {fold + 1} of {base.folds}", fit_best, spec, needs)


def _measure(name: str, fit: Task, base: FoldSpec, fold: int, users: int) -> Task:
    spec = MeasureStep(method=name, where=base.model_copy(update={"fold": fold}), users=users)
    return Task(f"measure {name}, fold {fold + 1} of {base.folds}", measure_posteriors, spec, (("fit", fit),))
