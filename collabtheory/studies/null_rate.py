"""How often the comparison procedure finds a difference where there is none: one method against itself, repeated."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field

from collabtheory.data import Interactions
from collabtheory.data.split import StrongSplit, user_folds
from collabtheory.errors import InvalidInput
from collabtheory.models.specification import ModelSpec, TrainingSpec
from collabtheory.runs.data_files import keep_data
from collabtheory.runs.engine import Engine, Event, execute
from collabtheory.runs.files import write_text
from collabtheory.runs.frozen import Frozen
from collabtheory.runs.published import STORE, refuse_foreign_folder
from collabtheory.runs.seeds import derive, derive_integer
from collabtheory.runs.store import Store, exclusive
from collabtheory.runs.task import Task, Workspace
from collabtheory.stats import ErrorRate

if TYPE_CHECKING:
    from collabtheory.stats import PairedComparison

NOMINAL = 0.05
RESULT_FILE = "comparison.json"
SIDES = ("first", "second")


class NullStep(Frozen):
    """Train one method twice on every fold, from different seeds, and compare the two."""

    data: str
    data_file: Path = Field(exclude=True)
    repetition: int
    folds: int
    seed: int
    model: ModelSpec
    training: TrainingSpec


@dataclass(frozen=True)
class NullRate:
    """What the repetitions came to.

    Parameters
    ----------
    either
        Repetitions that came out supported or contradicted, against the nominal rate of the two-sided procedure.
    supported
        Those that came out supported alone, against half of it.
    by_runs
        Those where Student's t over the folds alone has p < 0.05: it should err at the nominal rate, while a verdict
        needs the test over users as well and so errs less often where training noise is small.
    by_users
        Those where the test over users alone has p < 0.05: what ignoring training noise would have called different.
    differences, p_values
        Of each repetition, in nDCG@100.
    """

    either: ErrorRate
    supported: ErrorRate
    by_runs: ErrorRate
    by_users: ErrorRate
    differences: tuple[float, ...]
    p_values: tuple[float, ...]


def measure_null_rate(
    data: Interactions,
    folder: Path,
    *,
    repetitions: int = 200,
    folds: int = 5,
    model: ModelSpec,
    training: TrainingSpec,
    seed: int = 0,
    jobs: int = 1,
    engine: Engine | None = None,
    on_event: Callable[[Event], None] = lambda event: None,
    on_plan: Callable[[int], None] = lambda steps: None,
) -> NullRate:
    """Compare a method with itself, trained from other seeds, as often as asked.

    Every repetition draws its own folds and seeds, trains both sides on the same folds, and decides by the procedure
    of every claim about data (:func:`collabtheory.stats.compare_paired`, folds as runs). Nothing differs, so each
    verdict other than ``inconclusive`` is an error.

    Parameters
    ----------
    data
        Small, since ``2 * folds * repetitions`` models are trained.
    folder
        Run folder; finished repetitions are used again.
    repetitions, folds
        At least 1, and at least 2.
    model, training
        The method.
    seed, jobs, engine, on_event, on_plan
        As for a study.

    Raises
    ------
    InvalidInput
        If ``repetitions`` is below 1.
    """
    if repetitions < 1:
        raise InvalidInput(f"repetitions must be at least 1; it is {repetitions}")
    folder = folder.absolute()
    refuse_foreign_folder(folder)
    with exclusive(folder):
        store = Store(folder / STORE)
        data_file = keep_data(store.root, data)
        tasks = [
            Task(
                f"repetition {number + 1} of {repetitions}",
                compare_with_itself,
                NullStep(
                    data=data.fingerprint,
                    data_file=data_file,
                    repetition=number,
                    folds=folds,
                    seed=seed,
                    model=model,
                    training=training,
                ),
            )
            for number in range(repetitions)
        ]
        on_plan(len(tasks))
        execute(tasks, store, jobs=jobs, on_event=on_event, engine=engine)
        found = [json.loads((store.path(task) / RESULT_FILE).read_text("utf-8")) for task in tasks]
    verdicts = [one["verdict"] for one in found]
    return NullRate(
        ErrorRate.of(sum(verdict != "inconclusive" for verdict in verdicts), repetitions, NOMINAL),
        ErrorRate.of(verdicts.count("supported"), repetitions, NOMINAL / 2),
        ErrorRate.of(sum(one["p_by_runs"] < NOMINAL for one in found), repetitions, NOMINAL),
        ErrorRate.of(sum(one["p_by_users"] < NOMINAL for one in found), repetitions, NOMINAL),
        tuple(one["difference"] for one in found),
        tuple(one["p"] for one in found),
    )


def compare_with_itself(spec: NullStep, work: Workspace) -> None:
    """Train both sides on every fold and write the verdict of their comparison."""
    data = Interactions.load(spec.data_file)
    splits = user_folds(data, spec.folds, rng=derive(spec.seed, "null folds", spec.repetition))
    found = _compared(splits, spec)
    by_runs = found.by_users if found.by_runs is None else found.by_runs
    summary = {
        "verdict": found.verdict,
        "difference": found.difference.value,
        "p": found.p,
        "p_by_runs": by_runs.p,
        "p_by_users": found.by_users.p,
        "n": found.n,
    }
    write_text(work.output / RESULT_FILE, json.dumps(summary, sort_keys=True) + "\n")


def _compared(splits: list[StrongSplit], spec: NullStep) -> PairedComparison:
    from collabtheory.models.trainer import train
    from collabtheory.ranking import evaluate
    from collabtheory.stats import compare_paired

    sides: dict[str, list[np.ndarray]] = {side: [] for side in SIDES}
    for fold, split in enumerate(splits):
        for side in SIDES:
            seed = derive_integer(spec.seed, "null", spec.repetition, side, fold) % 2**31
            model = train(spec.model, spec.training, split, seed=seed).model
            sides[side].append(evaluate(model.scores, split.test, metrics=("ndcg@100",), count_at=())["ndcg@100"])
    folds = np.concatenate([np.full(len(values), fold) for fold, values in enumerate(sides["first"])])
    first, second = (np.concatenate(sides[side]) for side in SIDES)
    rng = derive(spec.seed, "null comparison", spec.repetition)
    return compare_paired(first, second, strata=folds, runs=folds, rng=rng, level=1 - NOMINAL)
