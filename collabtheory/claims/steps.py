"""The steps of a run: train, build the pair table, check. Each is a task that any engine can execute."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field

from collabtheory.claims.discovery import load_statement
from collabtheory.claims.profiles import PairSpec, stage_name
from collabtheory.claims.record import run_checks as run_statement
from collabtheory.claims.record import take_sides, to_line
from collabtheory.claims.statement import STUDY, Stages
from collabtheory.claims.subject import Subject
from collabtheory.data import Interactions
from collabtheory.data.split import strong_generalisation
from collabtheory.models.specification import ModelSpec, TrainingSpec
from collabtheory.runs.files import write_text
from collabtheory.runs.frozen import Frozen
from collabtheory.runs.seeds import derive
from collabtheory.runs.task import Workspace

if TYPE_CHECKING:
    from collabtheory.models.recommender import Recommender

TRAINED = "trained"
RECORDS_FILE, SIDES_FILE = "records.jsonl", "sides.jsonl"


class TrainStep(Frozen):
    """Train one model on one data set from one seed."""

    data: str
    data_file: Path = Field(exclude=True)
    model: ModelSpec
    training: TrainingSpec
    seed: int


class AdoptStep(Frozen):
    """Use a given checkpoint instead of training."""

    data: str
    data_file: Path = Field(exclude=True)
    checkpoint: str
    checkpoint_file: Path = Field(exclude=True)


class PairsStep(Frozen):
    """Build the pair table of one model at one stage."""

    pairs: PairSpec
    stage: str
    seed: int


class CheckStep(Frozen):
    """Run the checks and controls of one file at one stage."""

    file: str
    """Its fingerprint."""
    path: Path = Field(exclude=True)
    stage: str | None
    seed: int
    kinds: tuple[Stages, ...]
    data: str | None
    profile: str
    data_file: Path | None = Field(None, exclude=True)


def train_model(spec: TrainStep, work: Workspace) -> None:
    """Train, and write a checkpoint for every stage, the history and the data in the model's columns."""
    from collabtheory.models.checkpoints import save_model
    from collabtheory.models.trainer import train

    data = Interactions.load(spec.data_file)
    split = strong_generalisation(data, rng=derive(spec.seed, "split"))
    trained = train(
        spec.model,
        spec.training,
        split,
        seed=spec.seed,
        resume_from=work.scratch / "training.safetensors",
        on_epoch=lambda epoch: work.progress(epoch.epoch / spec.training.epochs),
    )
    items = [str(item) for item in split.train.item_ids.tolist()]
    about = {"data": spec.data, "item_ids": items, "seed": spec.seed, "training": spec.training.model_dump(mode="json")}
    # The best weights first: loading a snapshot into the model overwrites them.
    best = {**about, "stage": TRAINED, "epoch": trained.best_epoch}
    save_model(work.output / f"{TRAINED}.safetensors", trained.model, best)
    for epoch, weights in sorted(trained.snapshots.items()):
        trained.model.load_state_dict(weights)
        stage = stage_name(epoch)
        save_model(work.output / f"{stage}.safetensors", trained.model, {**about, "stage": stage, "epoch": epoch})
    lines = [json.dumps(asdict(epoch), sort_keys=True) for epoch in trained.history]
    write_text(work.output / "history.jsonl", "".join(f"{line}\n" for line in lines))
    data.select_items(split.items).save(work.output / "interactions.npz")


def adopt_model(spec: AdoptStep, work: Workspace) -> None:
    """Copy a given checkpoint into the run, as its only stage."""
    from collabtheory.models.checkpoints import load_model, save_model

    checkpoint = load_model(spec.checkpoint_file)
    data = checkpoint.on_its_items(Interactions.load(spec.data_file))
    save_model(work.output / f"{TRAINED}.safetensors", checkpoint.model, checkpoint.about)
    data.save(work.output / "interactions.npz")
    write_text(work.output / "history.jsonl", "")


def build_pair_table(spec: PairsStep, work: Workspace) -> None:
    """Measure all chosen pairs and write them block by block."""
    subject = _subject(spec.seed, spec.stage, work)
    path = work.output / "pairs.parquet"
    measure_pairs(path, subject.recommender, subject.interactions, spec.pairs, spec.seed, work.progress)


def measure_pairs(
    path: Path,
    recommender: Recommender,
    data: Interactions,
    spec: PairSpec,
    seed: int,
    progress: Callable[[float], None] = lambda share: None,
) -> None:
    """Choose users and write their pair table, with draws that depend on the seed alone."""
    from collabtheory.transfer.pair_table import write_pair_table
    from collabtheory.transfer.users import choose_users

    write_pair_table(
        path,
        recommender,
        data,
        choose_users(data, spec.random_users, spec.near_users, rng=derive(seed, "pairs", "users")),
        n_samples=spec.samples,
        learning_rate=spec.learning_rate,
        rng=derive(seed, "pairs", "noise"),
        tube_radii=spec.tube_radii,
        progress=progress,
    )


def run_checks(spec: CheckStep, work: Workspace) -> None:
    """Run every check of the file that belongs to this stage and write their records."""
    file = load_statement(spec.path)
    chosen = [check for check in file.checks if check.stages in spec.kinds]
    subject = Subject(spec.seed, profile=spec.profile)
    if STUDY in spec.kinds:
        subject = Subject(spec.seed, profile=spec.profile, inputs=work.inputs, interactions_file=spec.data_file)
    elif spec.stage is not None:
        subject = _subject(spec.seed, spec.stage, work, spec.profile)
    model = subject.recommender.fingerprint() if spec.stage is not None else None
    lines, sides = [], []
    for found in run_statement(chosen, subject, data=spec.data, model=model):
        sides += take_sides(found)
        lines.append(to_line(found))
        work.progress(len(lines) / len(chosen))
    write_text(work.output / RECORDS_FILE, "".join(f"{line}\n" for line in lines))
    write_text(work.output / SIDES_FILE, "".join(f"{json.dumps(side)}\n" for side in sides))


def _subject(seed: int, stage: str, work: Workspace, profile: str = "quick") -> Subject:
    trained = work.inputs["model"]
    pairs = work.inputs.get("pairs")
    rungs: dict[str, dict[float, Path]] = {}
    for name, folder in work.inputs.items():
        setting, _, value = name.partition("=")
        if value:
            rungs.setdefault(setting, {})[float(value)] = folder / f"{TRAINED}.safetensors"
    return Subject(
        seed=seed,
        stage=stage,
        checkpoint=trained / f"{stage}.safetensors",
        interactions_file=trained / "interactions.npz",
        pairs_file=pairs / "pairs.parquet" if pairs is not None else None,
        profile=profile,
        rungs=rungs,
    )
