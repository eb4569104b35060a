"""The write side of a run folder: what people and tools find there when a run has finished."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from collabtheory.claims.counterexample import counterexample_name
from collabtheory.claims.discovery import StatementFile
from collabtheory.claims.measured_violations import measured_violations
from collabtheory.claims.plan import Plan
from collabtheory.claims.record import Side
from collabtheory.claims.steps import TRAINED
from collabtheory.data import Interactions
from collabtheory.runs.data_files import describe
from collabtheory.runs.files import write_atomically, write_text
from collabtheory.runs.provenance import provenance
from collabtheory.runs.published import forget_published, note_published
from collabtheory.runs.statement_texts import STATEMENTS_FILE
from collabtheory.runs.store import Store


def publish_files(folder: Path, plan: Plan, store: Store) -> None:
    """Show checkpoints, training histories and pair tables under readable names, in place of another run's results."""
    forget_published(folder)
    for seed, task in plan.models.items():
        for file in sorted(store.path(task).glob("*.safetensors")):
            _link(file, folder / "models" / f"seed-{seed}" / file.name)
        _link(store.path(task) / "history.jsonl", folder / "training" / f"seed-{seed}.jsonl")
    for seed, ladder in plan.rungs.items():
        for name, task in ladder.items():
            _link(
                store.path(task) / f"{TRAINED}.safetensors", folder / "ladders" / f"seed-{seed}" / f"{name}.safetensors"
            )
    for (seed, stage), task in plan.pairs.items():
        _link(store.path(task) / "pairs.parquet", folder / "pairs" / f"seed-{seed}" / f"{stage}.parquet")
    empty = [place for place, task in plan.portraits.items() if not any(store.path(task).iterdir())]
    for place, task in plan.portraits.items():
        if any(place.startswith(f"{one}/") for one in empty):
            continue  # pairs of a model that has no portrait: too few users
        for file in sorted(store.path(task).iterdir()):
            _link(file, folder / place / file.name)


def write_sides(folder: Path, rows: list[Side]) -> None:
    """Write both sides of the shown cases of every inequality to ``bounds.parquet``."""
    import pandas as pd

    frame = pd.DataFrame(rows, columns=["id", "stage", "seed", "part", "text", "left", "right"])
    frame = frame.astype({"left": "float64", "right": "float64"})
    write_atomically(folder / "bounds.parquet", lambda path: frame.to_parquet(path, index=False))
    note_published(folder / "bounds.parquet")


def write_statements(folder: Path, files: Iterable[StatementFile]) -> None:
    """Write what is claimed in words to ``statements.json``: who reads the run needs no checks to know what it says."""
    held = {file.identifier: _in_words(file) for file in files}
    write_text(folder / STATEMENTS_FILE, json.dumps(held, indent=1, ensure_ascii=False) + "\n")
    note_published(folder / STATEMENTS_FILE)


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
    texts = {
        "run.json": json.dumps(meta, indent=1, sort_keys=True) + "\n",
        "times.json": json.dumps(times, indent=1) + "\n",
        "claims.jsonl": "".join(f"{line}\n" for line in lines),
    }
    texts = {**_counterexamples(lines), **texts}
    for name, text in texts.items():
        write_text(folder / name, text)
        note_published(folder / name)


def _in_words(file: StatementFile) -> dict[str, Any]:
    one = file.statement
    return {
        "title": one.title,
        "source": one.source,
        "text": one.text,
        "assumptions": list(one.assumptions),
        "limits": list(one.limits),
        "unchecked": [step for step in one.proof if isinstance(step, str)],
        "kind": one.kind,
        "file": file.path.name,
    }


def _counterexamples(lines: list[str]) -> dict[str, str]:
    """Return the counterexamples of all records as files to be replayed, by their names in the run folder."""
    records = [json.loads(line) for line in lines]
    explicit = [part["counterexample"] for record in records for part in record["parts"] if part["counterexample"]]
    named = {counterexample_name(found): found for found in explicit} | dict(measured_violations(records))
    return {f"counterexamples/{name}.json": json.dumps(found, indent=1) + "\n" for name, found in named.items()}


def _link(source: Path, target: Path) -> None:
    """Show a stored result under a readable name, without a second copy where the file system allows."""

    def link(temporary: Path) -> None:
        temporary.unlink()
        try:
            os.link(source, temporary)
        except OSError:  # another file system, or one without hard links
            shutil.copyfile(source, temporary)

    write_atomically(target, link)
    note_published(target)
