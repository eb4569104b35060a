"""What the tables of studies have in common: the claims in a few words, cells, columns, and who made a number."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from collabtheory.report.study_schema import Interval, Method, Study
from collabtheory.report.table import Cell, Column, Estimate
from collabtheory.report.words import count_words

MAIN = "ndcg@100"
"""The metric by which methods are ordered."""
CLAIMS = {
    "E1": "clean inputs: local collaboration dominates",
    "E2": "masking raises global collaboration, and drifts",
    "E3": "beta contracts uniformly; too much collapses",
    "E4": "PIA: clean < masked < masked + PIA, less drift",
    "E5": "PIA gains in each cohort of history length",
    "E6": "PIA lifts RecVAE as well",
    "E7": "multinomial beats Gaussian and logistic",
    "E8": "full-strength KL is too strong",
    "E9": "EASE beats deep models, by its negative weights",
    "E10": "a per-user KL weight ranks better",
    "E11": "codes of unfamiliar users are sparser",
    "E12": "modern training closes the gap to EASE",
}
"""The claims about data, in a few words each."""


def metric_label(name: str) -> str:
    """Return a metric as people write it.

    Examples
    --------
    >>> metric_label("ndcg@100"), metric_label("recall@20"), metric_label("neighbour_overlap")
    ('nDCG@100', 'Recall@20', 'neighbour overlap')
    """
    return re.sub(r"^ndcg(?=@)", "nDCG", re.sub(r"^recall(?=@)", "Recall", name)).translate(
        {ord("_"): " ", ord("."): " "}
    )


def claim_key(claim: str) -> tuple[int, str]:
    """Return by what claims are sorted: E2 before E10."""
    digits = re.sub(r"\D", "", claim)
    return int(digits) if digits else 0, claim


def cohort_key(name: str) -> tuple[float, str]:
    """Return by what cohorts are sorted: "<5", "5-10", "11-50", "51-100", "100+"."""
    first = re.search(r"\d+", name)
    return (float(first[0]) - 0.5 * name.startswith("<") if first else float("inf")), name


def by_accuracy(study: Study) -> list[Method]:
    """Return the methods, highest nDCG@100 first; those without it last, in their order."""
    return sorted(study.methods, key=lambda one: -one.metrics[MAIN].value if MAIN in one.metrics else float("inf"))


def method_title(method: Method) -> str:
    """Return the title of a method, saying so if its accuracy still rose when training ended."""
    return method.title if method.converged else f"{method.title} (not converged)"


def sizes_text(study: Study) -> str:
    """Return in a sentence how large the data of a study are, after which filters."""
    data = study.data
    filters = f" ({', '.join(data.filters)})" if data.filters else ""
    return f"{data.n_users:,} users, {data.n_items:,} items, {data.n_interactions:,} interactions{filters}."


def made_by(study: Study) -> str:
    """Return from what the numbers of a study come, beside its command: seed, time, machine, revision, date."""
    machine = study.machine
    processor = str(machine.get("processor") or machine.get("cpu") or "an unnamed processor")
    threads = machine.get("threads") or machine.get("threads_per_worker")
    revision = machine.get("revision") or machine.get("git_revision")
    parts = [
        f"seed {study.seed}",
        f"{time_text(study.seconds)} on {processor}" + (f" ({count_words(int(threads), 'thread')})" if threads else ""),
        *([f"revision {revision}"] if revision else []),
        study.date,
    ]
    return ", ".join(parts)


def interval_cell(interval: Interval | None) -> Cell:
    """Return the cell of a measured number; None stays what was not measured."""
    return None if interval is None else Estimate(interval.value, interval.low, interval.high)


def counted_column(label: str, shown: Sequence[Interval | None], form: str = "number") -> Column:
    """Return the column of these numbers, with its n if all have the same."""
    return Column(label, form=form, align="right", n=common_n(shown))


def common_n(shown: Sequence[Interval | None]) -> int | None:
    """Return over how many users a column is, if that is the same in every row."""
    found = {one.n for one in shown if one is not None}
    return found.pop() if len(found) == 1 else None


def union(maps: Iterable[Mapping[str, object]]) -> list[str]:
    """Return the keys of all maps, each once, as first met."""
    return list(dict.fromkeys(name for one in maps for name in one))


def time_text(seconds: float) -> str:
    """Return a time in words, in the largest unit of which there are two."""
    for size, unit in ((3600.0, "hour"), (60.0, "minute")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}s"
    return f"{seconds:.0f} seconds"
