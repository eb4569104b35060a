"""One setting varied and all else equal: accuracy, and measures of the posteriors, as a curve with intervals."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from collabtheory.errors import InvalidInput
from collabtheory.runs.data_files import data_path, keep_data
from collabtheory.runs.engine import Engine, Event, execute
from collabtheory.runs.frozen import Frozen
from collabtheory.runs.published import STORE, forget_published, refuse_foreign_folder
from collabtheory.runs.seeds import derive
from collabtheory.runs.store import Store, exclusive
from collabtheory.runs.task import Task, Workspace
from collabtheory.stats import Estimate, PairedComparison, bootstrap_mean, with_holm
from collabtheory.studies.methods import Method, Setting, get_method
from collabtheory.studies.profiles import StudyProfile
from collabtheory.studies.results import MAIN_METRIC, Study, fold_strata, mean_over_folds
from collabtheory.studies.steps import FoldSpec, MeasureStep, fit_and_write, measure_posteriors
from collabtheory.studies.swept_values import check_measurable, parse_values

if TYPE_CHECKING:
    from collabtheory.data import Interactions

MEASURES = {
    "active_units": "information.active_units",
    "neighbours_kept": "drift.{masking}.between_draws",
    "global_mass": "collaboration.{masking}.cosine.global.mass",
}
"""What is read of measured posteriors, at the model's own masking (clean where it masks nothing)."""


class SweepStep(Frozen):
    """Fit one method on one fold with settings that are given, not tuned."""

    method: str
    settings: tuple[tuple[str, Setting], ...]
    """Names and values, by name."""
    where: FoldSpec


@dataclass(frozen=True)
class Point:
    """What one value of the setting came to.

    Parameters
    ----------
    value, label
        The value, and how it is written.
    ndcg
        Mean nDCG@100 over users with its BCa interval; the trained models count as fixed.
    per_fold
        Mean of each fold's test users.
    measures
        By the names of :data:`MEASURES`: mean over folds with Student's t interval, n the folds; None if not defined.
        Empty where nothing was measured.
    still_rising
        Whether accuracy still rose in a fold when training ended: such a point says little.
    difference
        This value minus the first, over the same users, p-values corrected over the points (Holm); None for the first.
    """

    value: Setting
    label: str
    ndcg: Estimate
    per_fold: tuple[float, ...]
    measures: Mapping[str, Estimate | None]
    still_rising: bool
    difference: PairedComparison | None


@dataclass(frozen=True)
class Curve:
    """The points of a sweep in the order given, with the data, the base that was held fixed, and the seconds."""

    data: Interactions
    method: Method
    setting: str
    points: tuple[Point, ...]
    profile: StudyProfile
    seed: int
    seconds: float

    @property
    def changes_nothing(self) -> bool:
        """Whether every user came out the same at every value: the method does not use the setting."""
        return all(point.difference.equal == 1.0 for point in self.points if point.difference is not None)


@dataclass(frozen=True)
class SweepPlan:
    """The tasks of a sweep, by label of the value and fold."""

    method: Method
    setting: str
    values: Mapping[str, Setting]
    profile: StudyProfile
    seed: int
    fits: Mapping[tuple[str, int], Task]
    measures: Mapping[tuple[str, int], Task]

    @property
    def tasks(self) -> tuple[Task, ...]:
        """Everything, fold by fold, so that all values can be compared early."""
        return (*self.fits.values(), *self.measures.values())


def run_sweep(
    data: Interactions,
    method: str,
    setting: str,
    values: Sequence[str],
    settings: StudyProfile,
    folder: Path,
    *,
    measure: bool = False,
    jobs: int = 1,
    engine: Engine | None = None,
    seed: int = 0,
    on_event: Callable[[Event], None] = lambda event: None,
    on_plan: Callable[[int], None] = lambda steps: None,
) -> Curve:
    """Fit a method at each value of one setting, on the same folds, users and seeds; all else at its defaults.

    Parameters
    ----------
    data
        The interactions.
    method
        Name, see :data:`~collabtheory.studies.methods.METHODS`.
    setting, values
        A field of its model or training, and at least two values as they are typed (widths as ``200,100``).
    settings
        Base model and training, folds, and number of users whose posteriors are measured.
    folder
        The run folder; results that it already holds are used again.
    measure
        Measure the posteriors as well.
    jobs
        Worker processes; no result depends on it.
    engine
        Where tasks run, in place of ``jobs`` new worker processes.
    seed
        Root of folds, weights, masks and noise.
    on_event, on_plan
        Called with progress, and once with the number of steps.

    Raises
    ------
    InvalidInput
        If there is no such method or setting (those that exist are listed), a value does not fit, fewer than two
        values differ, or posteriors shall be measured that the method does not have.
    OutputError
        If the folder cannot be written or is in use.
    """
    if jobs < 1:
        raise InvalidInput(f"jobs must be at least 1; it is {jobs}")
    folder = folder.absolute()
    data_file = data_path(folder / STORE, data.fingerprint)
    plan = plan_sweep(
        method, setting, values, settings, measure=measure, data=data.fingerprint, data_file=data_file, seed=seed
    )
    refuse_foreign_folder(folder)
    with exclusive(folder):
        store = Store(folder / STORE)
        keep_data(store.root, data)
        on_plan(len(plan.tasks))
        execute(plan.tasks, store, jobs=jobs, on_event=on_event, engine=engine)
        forget_published(folder)
        return read_curve(plan, store, data)


def plan_sweep(
    method: str,
    setting: str,
    values: Sequence[str],
    profile: StudyProfile,
    *,
    measure: bool,
    data: str,
    data_file: Path,
    seed: int = 0,
) -> SweepPlan:
    """Lay out a sweep; arguments and errors as those of :func:`run_sweep`, ``data`` a fingerprint."""
    chosen = get_method(method)
    parsed = parse_values(chosen, setting, values, profile)
    if measure:
        check_measurable(chosen, setting, parsed, profile)
    fits, measures = {}, {}
    for fold in range(profile.folds):
        where = FoldSpec(
            data=data, data_file=data_file, folds=profile.folds, fold=fold, seed=seed,
            model=profile.model, training=profile.training,
        )  # fmt: skip
        for label, value in parsed.items():
            words = f"{method} with {setting} = {label}, fold {fold + 1} of {profile.folds}"
            given = tuple(sorted({**chosen.changes, setting: value}.items()))
            step = SweepStep(method=method, settings=given, where=where)
            fits[label, fold] = Task(f"fit {words}", fit_with, step)
            if measure:
                spec = MeasureStep(method=method, where=where, users=profile.measured_users)
                needs = (("fit", fits[label, fold]),)
                measures[label, fold] = Task(f"measure {words}", measure_posteriors, spec, needs)
    return SweepPlan(chosen, setting, parsed, profile, seed, fits, measures)


def fit_with(spec: SweepStep, work: Workspace) -> None:
    """Fit with the settings given; keep its accuracy on validation and test users, and its model."""
    fit_and_write(spec.method, dict(spec.settings), spec.where, work)


def read_curve(plan: SweepPlan, store: Store, data: Interactions) -> Curve:
    """Return the curve of a sweep whose tasks have all run."""
    study = Study(_by_label(plan.fits, store), _by_label(plan.measures, store), plan.seed)
    first, *others = plan.values
    family = with_holm([study.compare(label, first) for label in others])
    points = [_point(study, label, value) for label, value in plan.values.items()]
    compared = [replace(point, difference=found) for point, found in zip(points[1:], family, strict=True)]
    seconds = sum(store.times(plan.tasks).values())
    return Curve(data, plan.method, plan.setting, (points[0], *compared), plan.profile, plan.seed, seconds)


def _point(study: Study, label: str, value: Setting) -> Point:
    frame = study.users(label)
    folds, ndcg = frame["fold"].to_numpy(), frame[MAIN_METRIC].to_numpy()
    estimate = bootstrap_mean(ndcg, strata=fold_strata(folds), rng=derive(study.seed, "sweep", label))
    per_fold = tuple(float(ndcg[folds == fold].mean()) for fold in np.unique(folds))
    measures = _measures(study.measures(label)) if label in study.measured else {}
    return Point(value, label, estimate, per_fold, measures, bool(study.still_rising(label)), None)


def _measures(found: list[dict[str, Any]]) -> dict[str, Estimate | None]:
    masking = "own" if all("own" in one["about"]["maskings"] for one in found) else "clean"
    names = {short: name.format(masking=masking) for short, name in MEASURES.items()}
    values = {short: [one["values"].get(name, {}).get("value") for one in found] for short, name in names.items()}
    means = {short: mean_over_folds(of_folds) for short, of_folds in values.items()}
    return {short: None if mean is None else mean.interval for short, mean in means.items()}


def _by_label(tasks: Mapping[tuple[str, int], Task], store: Store) -> dict[str, dict[int, Path]]:
    found: dict[str, dict[int, Path]] = {}
    for (label, fold), task in tasks.items():
        found.setdefault(label, {})[fold] = store.path(task)
    return found
