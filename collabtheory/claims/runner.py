"""Running a verification: from a data set to a run folder with verdicts, tables, figures and a report."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from collabtheory.claims.discovery import StatementFile
from collabtheory.claims.plan import Plan, make_plan
from collabtheory.claims.profiles import get_profile
from collabtheory.claims.verdict import Verdict
from collabtheory.data import Interactions
from collabtheory.errors import InvalidInput
from collabtheory.runs.engine import Event, execute
from collabtheory.runs.files import write_atomically, write_text
from collabtheory.runs.provenance import provenance
from collabtheory.runs.store import Store, exclusive


@dataclass(frozen=True)
class Outcome:
    """What a verification came to."""

    folder: Path
    records: tuple[dict[str, Any], ...]

    @property
    def uncaught(self) -> tuple[dict[str, Any], ...]:
        """Negative controls that were not refuted."""
        return tuple(record for record in self.records if record["control"] and not record["caught"])

    def exit_code(self, *, strict: bool = False) -> int:
        """Return the exit code: 0 fine, 1 refuted or control not caught, 3 vacuous if ``strict``, 4 broken."""
        verdicts = {Verdict(record["verdict"]) for record in self.records if not record["control"]}
        broken = any(record["verdict"] == Verdict.ERROR for record in self.records)
        if any(verdict.is_refutation for verdict in verdicts) or (self.uncaught and not broken):
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

    Raises
    ------
    InvalidInput
        If no statement is given, or an argument is out of range.
    OutputError
        If the folder cannot be written or is in use.
    """
    if not files:
        raise InvalidInput("no statement to check")
    if seeds < 1 or jobs < 1:
        raise InvalidInput(f"seeds and jobs must be at least 1; they are {seeds} and {jobs}")
    settings = get_profile(profile)
    folder = folder.absolute()
    with exclusive(folder):
        store = Store(folder / "store")
        data_file = _store_data(data, store)
        plan = make_plan(
            files, settings, tuple(range(seeds)), data=data.fingerprint, data_file=data_file, checkpoint=checkpoint
        )
        on_plan(plan)
        execute(plan.tasks, store, jobs=jobs, on_event=on_event)
        records = _collect(plan, store)
        _write_run(folder, plan, store, records, data, profile, settings.model_dump(mode="json"), seeds)
    return Outcome(folder, records)


def _store_data(data: Interactions, store: Store) -> Path:
    path = store.root / f"data-{data.fingerprint[:20]}.npz"
    if not path.exists():
        write_atomically(path, data.save)
    return path


def _collect(plan: Plan, store: Store) -> tuple[dict[str, Any], ...]:
    lines = [
        line for task in plan.checks for line in (store.path(task) / "records.jsonl").read_text("utf-8").splitlines()
    ]
    return tuple(json.loads(line) for line in lines)


def _write_run(
    folder: Path,
    plan: Plan,
    store: Store,
    records: tuple[dict[str, Any], ...],
    data: Interactions,
    profile: str,
    settings: dict[str, Any],
    seeds: int,
) -> None:
    lines = [
        line for task in plan.checks for line in (store.path(task) / "records.jsonl").read_text("utf-8").splitlines()
    ]
    for seed, task in plan.models.items():
        for file in sorted(store.path(task).glob("*.safetensors")):
            _publish(file, folder / "models" / f"seed-{seed}" / file.name)
        _publish(store.path(task) / "history.jsonl", folder / "training" / f"seed-{seed}.jsonl")
    for (seed, stage), task in plan.pairs.items():
        _publish(store.path(task) / "pairs.parquet", folder / "pairs" / f"seed-{seed}" / f"{stage}.parquet")
    meta = {
        "profile": profile,
        "settings": settings,
        "seeds": list(range(seeds)),
        "stages": list(dict.fromkeys(stage for _, stage in plan.pairs)),
        "statements": list(dict.fromkeys(record["id"] for record in records)),
        "data": describe(data),
        "provenance": provenance(),
    }
    write_text(folder / "run.json", json.dumps(meta, indent=1, sort_keys=True) + "\n")
    write_text(folder / "times.json", json.dumps(_times(plan, store), indent=1) + "\n")
    write_text(folder / "claims.jsonl", "".join(f"{line}\n" for line in lines))


def describe(data: Interactions) -> dict[str, Any]:
    """Return name, sizes, filters and fingerprint of a data set, for the run's description."""
    return {
        "name": data.name,
        "n_users": data.n_users,
        "n_items": data.n_items,
        "n_interactions": data.n_interactions,
        "density": data.density,
        "fingerprint": data.fingerprint,
        "filters": [str(step) for step in data.filters],
    }


def _times(plan: Plan, store: Store) -> dict[str, float]:
    log = store.root / "steps.jsonl"
    entries = [json.loads(line) for line in log.read_text("utf-8").splitlines()] if log.exists() else []
    wanted = {task.key for task in plan.tasks}
    return {entry["step"]: entry["seconds"] for entry in entries if entry["key"] in wanted}


def _publish(source: Path, target: Path) -> None:
    """Show a stored result under a readable name, without a second copy where the file system allows."""

    def link(temporary: Path) -> None:
        temporary.unlink()
        try:
            os.link(source, temporary)
        except OSError:  # another file system, or one without hard links
            shutil.copyfile(source, temporary)

    write_atomically(target, link)
