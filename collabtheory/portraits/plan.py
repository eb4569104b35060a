"""Which portraits a run makes, and under what names they are found in its folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from collabtheory.claims.profiles import Profile
from collabtheory.claims.steps import TRAINED, PairsStep, TrainStep, build_pair_table, train_model
from collabtheory.portraits.steps import (
    CompromiseStep,
    GridStep,
    LadderStep,
    PortraitStep,
    WeightsStep,
    count_weights,
    measure_compromise,
    measure_rungs,
    portray,
    tabulate_masking,
)
from collabtheory.runs.task import Task

MASKED, CLEAN, ALIGNED = "masked", "clean", "pia"
"""The settings that the paper compares: masked inputs, clean inputs, and masked inputs with item alignment."""
OWN = "given"
"""A model that was not trained here."""


def plan_portraits(
    profile: Profile,
    seed: int,
    model: Task,
    pairs: Mapping[str, Task],
    rungs: Mapping[str, Task],
    *,
    data: str,
    data_file: Path,
    given: bool,
) -> dict[str, Task]:
    """Return the tasks by the folder in the run where their files are shown.

    Parameters
    ----------
    profile, seed
        Model, training and pairs; one seed is portrayed.
    model, pairs, rungs
        The tasks of this seed's model, of its pair tables by stage, and of its ladders' models by ``setting=value``.
    data, data_file
        Fingerprint of the data, and where it is stored.
    given
        Whether the model was not trained here; then it alone is portrayed.
    """
    tasks = _setting(OWN if given else MASKED, seed, model, pairs[TRAINED])
    if not given:
        changes = {CLEAN: {"keep_probability": 1.0}, ALIGNED: {"alignment_weight": profile.portrayed_alignment}}
        for name, change in changes.items():
            tasks |= _trained(name, profile, seed, change, data, data_file)
    for setting in dict.fromkeys(name.partition("=")[0] for name in rungs):
        needs = [(name, task) for name, task in rungs.items() if name.startswith(f"{setting}=")]
        spec = LadderStep(seed=seed, data_file=data_file)
        tasks[f"ladders/{setting}"] = Task(
            f"measure ladder {setting}", measure_rungs, spec, (("pairs", pairs[TRAINED]), *needs)
        )
    for stage, table in pairs.items():
        tasks[f"laws/compromise/{stage}"] = Task(
            f"compromise of pairs, {stage}",
            measure_compromise,
            CompromiseStep(seed=seed, stage=stage),
            (("model", model), ("pairs", table)),
        )
    tasks["laws/masking"] = Task("masking law on its grid", tabulate_masking, GridStep())
    tasks["laws/item_weights"] = Task("weights of EASE", count_weights, WeightsStep(data=data, data_file=data_file))
    return tasks


def _trained(
    name: str, profile: Profile, seed: int, change: Mapping[str, float], data: str, data_file: Path
) -> dict[str, Task]:
    training = profile.training.model_copy(update={"snapshots": ()})
    step = TrainStep(
        data=data, data_file=data_file, model=profile.model.model_copy(update=change), training=training, seed=seed
    )
    model = Task(f"train, seed {seed}, {name}", train_model, step)
    # Coarser Lipschitz bounds than those of the checks, at half the time: they are drawn, not decided upon.
    coarse = profile.pairs.model_copy(update={"tube_radii": min(profile.pairs.tube_radii, 4)})
    spec = PairsStep(pairs=coarse, stage=TRAINED, seed=seed)
    table = Task(f"pairs, seed {seed}, {name}", build_pair_table, spec, (("model", model),))
    return _setting(name, seed, model, table)


def _setting(name: str, seed: int, model: Task, table: Task) -> dict[str, Task]:
    needs = (("model", model), ("pairs", table))
    portrait = Task(f"portrait, {name}", portray, PortraitStep(seed=seed), needs)
    return {f"portraits/{name}": portrait, f"portraits/{name}/pairs": table}
