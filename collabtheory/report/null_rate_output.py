"""The measured false-positive rate of comparisons, in the terminal and as a small JSON file."""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from collabtheory.runs.files import write_text
from collabtheory.runs.provenance import provenance

if TYPE_CHECKING:
    from rich.console import Console

    from collabtheory.data import Interactions
    from collabtheory.stats import ErrorRate
    from collabtheory.studies.null_rate import NullRate

RESULT_FILE = "null_rate.json"


def print_null_rate(console: Console, found: NullRate) -> None:
    """Print the rate of verdicts where nothing differs, with its interval."""
    rates = {
        "verdict supported or contradicted": found.either,
        "verdict supported": found.supported,
        "p < 0.05 by Student's t over folds": found.by_runs,
        "p < 0.05 over users, training noise ignored": found.by_users,
    }
    for words, rate in rates.items():
        console.print(f"{words}: {sentence(rate)}", highlight=False)


def sentence(rate: ErrorRate) -> str:
    """Return a rate, its interval, and how that stands to the nominal rate."""
    inside = "in agreement with" if rate.contains_nominal else "below"
    judgement = "above" if rate.exceeds_nominal else inside
    return (
        f"{rate.count} of {rate.repetitions} repetitions, {rate.rate:.1%} [{rate.low:.1%}, {rate.high:.1%}], "
        f"{judgement} the nominal {rate.nominal:.1%}"
    )


def write_null_rate(folder: Path, found: NullRate, data: Interactions, command: str, seed: int) -> Path:
    """Write ``null_rate.json`` into a run folder and return its path."""
    content = {
        "command": command,
        "seed": seed,
        "date": datetime.datetime.now(tz=datetime.UTC).date().isoformat(),
        "machine": provenance(),
        "data": {"name": data.name, "n_users": data.n_users, "n_items": data.n_items, "fingerprint": data.fingerprint},
        "supported_or_contradicted": _as_json(found.either),
        "supported": _as_json(found.supported),
        "by_runs": _as_json(found.by_runs),
        "by_users": _as_json(found.by_users),
        "differences": [float(f"{value:.4g}") for value in found.differences],
        "p_values": [float(f"{value:.4g}") for value in found.p_values],
    }
    path = folder / RESULT_FILE
    write_text(path, json.dumps(content, indent=1, sort_keys=True) + "\n")
    return path


def _as_json(rate: ErrorRate) -> dict[str, Any]:
    interval = {"rate": rate.rate, "low": rate.low, "high": rate.high}
    return {"count": rate.count, "repetitions": rate.repetitions, "nominal": rate.nominal, **interval}
