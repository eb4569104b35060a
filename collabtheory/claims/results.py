"""The write side of a run folder: what people and tools find there when a run has finished."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from collabtheory.claims.plan import Plan
from collabtheory.data import Interactions
from collabtheory.runs.files import write_atomically, write_text
from collabtheory.runs.provenance import provenance
from collabtheory.runs.store import Store

RESULT_FILES = ("claims.jsonl", "report.html", "junit.xml", "run.json", "times.json")
RESULT_FOLDERS = ("models", "pairs", "training", "figures", "tables")


def forget_other_run(folder: Path, identity: str) -> None:
    """Remove the visible results of a different run, so that nobody takes them for this one's.

    Stored steps stay: another run may share them.
    """
    description = folder / "run.json"
    if not description.exists() or json.loads(description.read_text("utf-8")).get("identity") == identity:
        return
    for name in RESULT_FILES:
        (folder / name).unlink(missing_ok=True)
    for name in RESULT_FOLDERS:
        shutil.rmtree(folder / name, ignore_errors=True)


def publish_files(folder: Path, plan: Plan, store: Store) -> None:
    """Show checkpoints, training histories and pair tables under readable names."""
    for seed, task in plan.models.items():
        for file in sorted(store.path(task).glob("*.safetensors")):
            _publish(file, folder / "models" / f"seed-{seed}" / file.name)
        _publish(store.path(task) / "history.jsonl", folder / "training" / f"seed-{seed}.jsonl")
    for (seed, stage), task in plan.pairs.items():
        _publish(store.path(task) / "pairs.parquet", folder / "pairs" / f"seed-{seed}" / f"{stage}.parquet")


def write_results(
    folder: Path,
    lines: list[str],
    data: Interactions,
    *,
    identity: str,
    profile: str,
    settings: dict[str, Any],
    seeds: Iterable[int],
    stages: Iterable[str],
    times: dict[str, float],
) -> None:
    """Write ``run.json``, ``times.json`` and, last, ``claims.jsonl``."""
    meta = {
        "identity": identity,
        "profile": profile,
        "settings": settings,
        "seeds": list(seeds),
        "stages": list(stages),
        "statements": list(dict.fromkeys(json.loads(line)["id"] for line in lines)),
        "data": describe(data),
        "provenance": provenance(),
    }
    write_text(folder / "run.json", json.dumps(meta, indent=1, sort_keys=True) + "\n")
    write_text(folder / "times.json", json.dumps(times, indent=1) + "\n")
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


def _publish(source: Path, target: Path) -> None:
    """Show a stored result under a readable name, without a second copy where the file system allows."""

    def link(temporary: Path) -> None:
        temporary.unlink()
        try:
            os.link(source, temporary)
        except OSError:  # another file system, or one without hard links
            shutil.copyfile(source, temporary)

    write_atomically(target, link)
