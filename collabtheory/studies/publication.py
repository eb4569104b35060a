"""The published result of a study: one small JSON file from which every table is made."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from collabtheory.data import Interactions
from collabtheory.ranking.cohorts import COHORTS, cohort_of
from collabtheory.ranking.definitions import DEFAULT_METRICS
from collabtheory.runs.data_files import describe
from collabtheory.runs.files import write_text
from collabtheory.runs.provenance import provenance
from collabtheory.runs.published import note_published
from collabtheory.runs.seeds import derive
from collabtheory.runs.store import Store
from collabtheory.stats import bootstrap_mean
from collabtheory.studies.methods import get_method
from collabtheory.studies.plan import StudyPlan
from collabtheory.studies.profiles import StudyProfile
from collabtheory.studies.published_users import publish_users
from collabtheory.studies.results import Study, fold_strata, mean_over_folds
from collabtheory.studies.steps import read_fit

if TYPE_CHECKING:
    import pandas as pd

STUDY_FILE = "study.json"
SETTINGS = (
    ("clean", "mult_vae_clean", "clean"),
    ("masked", "mult_vae", "reference"),
    ("masked + PIA", "mult_vae_pia", "reference"),
)
"""The paper's three settings: name, method, and the masking at which its help is measured.

Masked models are compared at one keep probability: each has its own by tuning, and the drift depends on it.
"""


def publish_study(
    folder: Path,
    plan: StudyPlan,
    store: Store,
    data: Interactions,
    lines: Iterable[str],
    *,
    settings: StudyProfile,
    command: str,
) -> Path:
    """Write ``study.json`` into a run folder and return its path."""
    needs = plan.needs([name for name, _ in plan.fits], [name for name, _ in plan.measures])
    study = Study.of_inputs({name: store.path(task) for name, task in needs}, seed=0)
    seconds = store.times(plan.tasks)
    content = {
        "schema": 1,
        "command": command,
        "seed": 0,
        "seconds": round(sum(seconds.values()), 1),
        "date": datetime.datetime.now(tz=datetime.UTC).date().isoformat(),
        "machine": provenance(),
        "data": {name: value for name, value in describe(data).items() if name != "density"},
        "protocol": _protocol(settings),
        "methods": [_method(study, plan, store, name, seconds) for name in study.methods],
        **_claims([json.loads(line) for line in lines]),
    }
    rows = [_setting(study, *setting) for setting in SETTINGS if setting[1] in study.measured]
    if rows:
        content["settings_study"] = {"rows": rows}
    path = folder / STUDY_FILE
    write_text(path, json.dumps(_short(content), indent=1, sort_keys=True, ensure_ascii=False) + "\n")
    note_published(path)
    publish_users(folder, study)
    return path


def _protocol(settings: StudyProfile) -> dict[str, Any]:
    return {
        "folds": settings.folds,
        "metrics": {name: _in_words(name) for name in DEFAULT_METRICS},
        "tuning_trials": settings.trials,
        "unit": "user",
        "base_model": settings.model.model_dump(mode="json"),
        "base_training": settings.training.model_dump(mode="json"),
    }


def _in_words(metric: str) -> str:
    name, _, k = metric.partition("@")
    if name == "ndcg":
        return f"discounted gain of the first {k}, ideal list of min({k}, n) held-out items (arXiv:1802.05814)"
    return f"hits among the first {k} over min({k}, n) held-out items (arXiv:1802.05814)"


def _method(study: Study, plan: StudyPlan, store: Store, name: str, seconds: dict[str, float]) -> dict[str, Any]:
    frame, about = study.users(name), study.about(name)
    rising = study.still_rising(name)
    trials = [read_fit(store.path(task)) for task in plan.trials[name]]
    times = [value for label, value in seconds.items() if label.split(",")[0] in (f"try {name}", f"fit {name}")]
    return {
        "name": name,
        "title": get_method(name).title,
        "metrics": _metrics(study, name, frame),
        "cohorts": _cohorts(study, name, frame),
        "coverage@100": float(np.mean([one["exposure"]["coverage"] for one in about])),
        "popularity_percentile@100": float(np.mean([one["exposure"]["popularity_percentile"] for one in about])),
        "settings": about[0]["settings"],
        "tuning": [{"settings": one["settings"], "validation_ndcg": one["validation"]} for one in trials],
        "best_epochs": [one["best_epoch"] for one in about if "best_epoch" in one],
        "converged": not rising,
        "note": "still improving when training ended" if rising else "",
        "seconds": round(sum(times), 1),
    }


def _metrics(study: Study, name: str, frame: pd.DataFrame) -> dict[str, Any]:
    return {one: _mean(study, name, frame, one) for one in DEFAULT_METRICS}


def _cohorts(study: Study, name: str, frame: pd.DataFrame) -> dict[str, Any]:
    cohorts = cohort_of(frame["n_items"].to_numpy())
    return {
        cohort.name: _metrics(study, name, frame[cohorts == cohort.name])
        for cohort in COHORTS
        if (cohorts == cohort.name).sum() > 1
    }


def _mean(study: Study, name: str, frame: pd.DataFrame, column: str) -> dict[str, Any]:
    values, folds = frame[column].to_numpy(), frame["fold"].to_numpy()
    found = bootstrap_mean(
        values,
        strata=fold_strata(folds),
        rng=derive(study.seed, "published", name, column),
    )
    error = float(values.std(ddof=1) / np.sqrt(len(values)))
    return {"value": found.value, "low": found.low, "high": found.high, "n": found.n, "standard_error": error}


def _claims(records: list[dict[str, Any]]) -> dict[str, Any]:
    chosen = [record for record in records if not record["control"] and record["stage"] == "study"]
    comparisons = [
        _comparison(record["id"], part) for record in chosen for part in record["parts"] if part["comparison"]
    ]
    claims = [
        {
            "id": record["id"],
            "title": record["title"],
            "verdict": record["verdict"],
            "numbers": [
                {name: number[name] for name in ("label", "value", "low", "high", "n", "unit")}
                for _, number in sorted(record["numbers"].items(), key=lambda item: item[1]["order"])
                if number["value"] is not None
            ],
            "notes": [f"{part['text']}: {part['verdict']} ({part['detail']})" for part in record["parts"]]
            or record["notes"],
        }
        for record in chosen
    ]
    return {"comparisons": comparisons, "claims": claims}


def _comparison(claim: str, part: dict[str, Any]) -> dict[str, Any]:
    names = ("first", "second", "metric", "cohort", "difference", "effect_size", "p", "p_adjusted")
    found = {name: part["comparison"].get(name) for name in (*names, "smallest_detectable")}
    expected = part["comparison"].get("expected", "greater")
    return {"claim": claim, **found, "expected": expected, "verdict": part["verdict"]}


def _setting(study: Study, setting: str, method: str, masking: str) -> dict[str, Any]:
    frame = study.users(method)
    row: dict[str, Any] = {
        "setting": setting,
        "ndcg@100": _mean(study, method, frame, "ndcg@100"),
        "cohorts": _cohorts(study, method, frame),
        "global_mass": _over_folds(study, method, f"collaboration.{masking}.cosine.global.mass"),
        "local_mass": _over_folds(study, method, f"collaboration.{masking}.cosine.local.mass"),
    }
    row["neighbour_overlap"] = _over_folds(study, method, "drift.reference.between_draws")
    return row


def _over_folds(study: Study, method: str, name: str) -> dict[str, Any] | None:
    found = mean_over_folds([one["values"].get(name, {}).get("value") for one in study.measures(method)])
    return None if found is None else {**asdict(found.interval), "standard_error": found.standard_error}


def _short(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _short(one) for name, one in value.items() if one is not None or name == "cohort"}
    if isinstance(value, list | tuple):
        return [_short(one) for one in value]
    return float(f"{value:.6g}") if isinstance(value, float) else value
