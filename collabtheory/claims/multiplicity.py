"""Claims about data stand together: p-values are corrected over the claims of a run before verdicts are final."""

from __future__ import annotations

from typing import Any

import numpy as np

from collabtheory.claims.verdict import Verdict, worst

ERROR_RATE = 0.05
"""Chance that any claim of a run comes out supported or contradicted where nothing differs."""


def corrected(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the records with Holm's correction over the claims of the run, controls aside.

    A claim of several parts is supported only if every part is, so its p-value is the largest of them (an
    intersection-union test needs no correction within); one contradicted part contradicts it, so there the smallest
    counts, times the number of parts (Bonferroni). Holm's factor of the claim (of an undecided one: the number of
    claims) then multiplies the p-value of each of its parts. A part whose adjusted p-value is not below ``ERROR_RATE``
    turns inconclusive, and with it the claim. No verdict ever gets stronger. Records without comparisons stay.
    """
    claims = [
        record
        for record in records
        if not record["control"] and any(part.get("comparison") for part in record["parts"])
    ]
    for record, factor in zip(claims, _factors([_claim_p(record) for record in claims]), strict=True):
        parts = [part for part in record["parts"] if part["comparison"]]
        for part in parts:
            within = len(parts) if part["verdict"] == Verdict.CONTRADICTED else 1
            adjusted = min(1.0, factor * within * part["comparison"]["p"])
            part["comparison"]["p_adjusted"] = float(f"{adjusted:.9g}")
            if adjusted >= ERROR_RATE:
                part["verdict"] = Verdict.INCONCLUSIVE.value
        record["verdict"] = worst(Verdict(part["verdict"]) for part in record["parts"]).value
    return records


def _claim_p(record: dict[str, Any]) -> float:
    parts = [part for part in record["parts"] if part["comparison"]]
    against = [part["comparison"]["p"] for part in parts if part["verdict"] == Verdict.CONTRADICTED]
    if against:
        return float(min(1.0, len(parts) * min(against)))
    return float(max(part["comparison"]["p"] for part in parts))


def _factors(p_values: list[float]) -> list[float]:
    """Return what the p-values of each claim's parts are multiplied by.

    Holm goes from the smallest p-value up and stops at the first that fails. Until then the factor is the number of
    claims not yet passed; the claims from there on are undecided, and their parts pay for all claims.
    """
    size = len(p_values)
    factors = np.full(size, float(size))
    for rank, index in enumerate(np.argsort(p_values, kind="stable")):
        if (size - rank) * p_values[index] >= ERROR_RATE:
            break
        factors[index] = size - rank
    return [float(factor) for factor in factors]
