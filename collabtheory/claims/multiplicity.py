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
    counts, times the number of parts (Bonferroni). Holm's factor of the claim then multiplies the p-value of each of
    its parts, and a part whose adjusted p-value is not below ``ERROR_RATE`` turns inconclusive, and with it the
    claim. No verdict ever gets stronger. Records without comparisons stay as they are.
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
    """Return what each claim's p-value is multiplied by: the number of claims with as large a p-value or larger.

    Holm's adjusted p-values are made monotone; so are the factors' products, since a claim after one that failed
    fails as well.
    """
    order = np.argsort(p_values, kind="stable")
    factors = np.empty(len(p_values))
    failed = False
    for rank, index in enumerate(order):
        factors[index] = len(p_values) - rank
        failed = failed or factors[index] * p_values[index] >= ERROR_RATE
        if failed:
            # Holm stops at the first failure: whatever comes after it is not decided.
            factors[index] = max(factors[index], ERROR_RATE / max(p_values[index], 1e-300))
    return factors.tolist()
