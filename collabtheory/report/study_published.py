"""Published and independently measured accuracy beside what a study measured: a test of its evaluation."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from collabtheory.report.study_schema import Interval, Method, Study
from collabtheory.report.study_words import metric_label
from collabtheory.report.table import Column, Table

RECALL_20, RECALL_50, NDCG = "recall@20", "recall@50", "ndcg@100"
_SAME_PROTOCOL = "independent code"


@dataclass(frozen=True)
class Reference:
    """The accuracy of one method on one data set as given elsewhere.

    ``standard_error`` is what the source gives; without it, ``n_users`` (the test users there) tells how far two
    measurements of the same thing may lie apart.
    """

    data: str
    methods: tuple[str, ...]
    label: str
    values: tuple[tuple[str, float], ...]
    source: str
    standard_error: float | None = None
    n_users: int | None = None


def _reference(
    data: str,
    methods: str,
    label: str,
    values: tuple[float | None, float | None, float | None],
    source: str,
    standard_error: float | None = None,
    n_users: int | None = None,
) -> Reference:
    named = zip((RECALL_20, RECALL_50, NDCG), values, strict=True)
    known = tuple((name, value) for name, value in named if value is not None)
    return Reference(data, tuple(methods.split()), label, known, source, standard_error, n_users)


REFERENCES = (
    _reference("ml-1m", "popularity", "popularity", (0.169, 0.242, 0.214), _SAME_PROTOCOL, 0.007, 603),
    _reference("ml-1m", "ease", "EASE, l2 400", (0.358, 0.477, 0.426), _SAME_PROTOCOL, 0.007, 603),
    _reference("ml-1m", "ease", "EASE, 5 folds", (0.3550, None, 0.4204), _SAME_PROTOCOL, None, 6034),
    _reference(
        "ml-1m",
        "easeclipped",
        "EASE, negative weights clipped, 5 folds",
        (0.3412, None, 0.4034),
        _SAME_PROTOCOL,
        None,
        6034,
    ),
    _reference("ml-100k", "ease", "EASE, l2 500", (0.443, 0.614, 0.465), _SAME_PROTOCOL, 0.021),
    _reference("msweb", "ease", "EASE, l2 20", (0.828, 0.924, 0.576), _SAME_PROTOCOL, None, 627),
    _reference("ml-20m", "multvae", "Mult-VAE", (0.395, 0.537, None), "arXiv:1802.05814", 0.0027, 10_000),
    _reference("ml-20m", "multvae", "Mult-VAE", (None, None, 0.426), "arXiv:1802.05814", 0.0021, 10_000),
    _reference("ml-20m", "multvaepia", "Mult-VAE + PIA", (0.408, None, 0.437), "arXiv:2511.06781", None, 10_000),
    _reference("ml-20m", "multdae", "Mult-DAE", (0.387, 0.524, 0.419), "arXiv:1802.05814", None, 10_000),
    _reference("ml-20m", "ease", "EASE", (0.391, 0.521, 0.420), "arXiv:1905.03375", None, 10_000),
    _reference("ml-20m", "recvae", "RecVAE", (0.414, 0.553, 0.442), "arXiv:1912.11160", None, 10_000),
    _reference("netflix", "multvae", "Mult-VAE", (0.351, 0.444, 0.386), "arXiv:1802.05814", None, 40_000),
    _reference("netflix", "multvaepia", "Mult-VAE + PIA", (0.360, None, 0.392), "arXiv:2511.06781", None, 40_000),
    _reference("netflix", "multdae", "Mult-DAE", (0.344, 0.438, 0.380), "arXiv:1802.05814", None, 40_000),
    _reference("netflix", "ease", "EASE, l2 1200", (0.362, 0.445, 0.393), "arXiv:1905.03375", None, 40_000),
    _reference("netflix", "recvae", "RecVAE", (0.361, 0.452, 0.394), "arXiv:1912.11160", None, 40_000),
    _reference("msd", "ease", "EASE, l2 200", (0.333, 0.428, 0.389), "arXiv:1905.03375", None, 50_000),
    _reference("msd", "multvaepia", "Mult-VAE + PIA", (None, None, 0.326), "arXiv:2511.06781", None, 50_000),
    _reference("msd", "recvae", "RecVAE", (None, None, 0.326), "arXiv:1912.11160", None, 50_000),
)
"""Recall over min(k, n) and nDCG@100 with its ideal cut at min(k, n) throughout."""
KNOWN_CAPTION = (
    "Strong generalisation, Recall over min(k, n), throughout. SE: where the source gives one. Independent code: "
    "measured for this project by other code than its own."
)


def published_table(study: Study) -> Table | None:
    """Return measured beside known accuracy, and how many standard errors apart; None where nothing is known.

    The distance is ``(measured - known) / SE`` with the standard error that the source gives; where it gives none,
    the measured one, scaled to the number of test users of the source: ``SE * sqrt(n / n_users)``.
    """
    rows = [
        (reference.label, metric_label(name), value, found, error, distance, reference.source)
        for reference in REFERENCES
        if _key(reference.data) == _key(study.data.name)
        for method in study.methods
        if {_key(method.name), _key(method.title)} & set(reference.methods)
        for name, value in reference.values
        for found, error, distance in [_distance(method, name, value, reference)]
    ]
    if not rows:
        return None
    columns = (
        Column("Model, as known", group=True),
        Column("Measure"),
        Column("Known", form="number", align="right"),
        Column("Here", form="number", align="right"),
        Column("SE", form="number", align="right"),
        Column("Apart (SE)", form="signed", align="right"),
        Column("Source", spare=True, once=True),
    )
    caption = (
        "Apart: measured minus known in standard errors; beyond 2, data, protocol, settings or code differ. SE: as the "
        "source gives it, else that of the users here, scaled to the number of test users there. Independent code: "
        "measured for this project by other code on the same data, with the same protocol and metrics."
    )
    return Table(f"{study.data.name}: known accuracy, measured again", columns, tuple(rows), caption)


def known_table() -> Table:
    """Return every known accuracy with its source."""
    columns = (
        Column("Data", group=True),
        Column("Model"),
        *(Column(metric_label(name), form="number", align="right") for name in (RECALL_20, RECALL_50, NDCG)),
        Column("SE", form="number", align="right"),
        Column("Source"),
    )
    rows = tuple(
        (
            one.data,
            one.label,
            *(dict(one.values).get(name) for name in (RECALL_20, RECALL_50, NDCG)),
            one.standard_error,
            one.source,
        )
        for one in REFERENCES
    )
    return Table("Accuracy known from elsewhere", columns, rows, KNOWN_CAPTION)


def _distance(
    method: Method, name: str, value: float, reference: Reference
) -> tuple[float | None, float | None, float | None]:
    measured = method.metrics.get(name)
    if measured is None:
        return None, None, None
    error = reference.standard_error or _scaled_error(measured, reference.n_users)
    return measured.value, error, (measured.value - value) / error if error else None


def _scaled_error(measured: Interval, n_users: int | None) -> float | None:
    if measured.standard_error is None or not measured.n or not n_users:
        return None
    return measured.standard_error * math.sqrt(measured.n / n_users)


def _key(name: str) -> str:
    """Return a name without what writers differ in: Mult-VAE + PIA, mult_vae_pia."""
    return re.sub(r"[^a-z0-9]", "", name.lower())
