"""Claims about data stand together: p-values are corrected over all comparisons of a run before verdicts are final."""

from __future__ import annotations

from typing import Any

import numpy as np

from collabtheory.claims.verdict import Verdict, worst
from collabtheory.stats.holm import holm

ERROR_RATE = 0.05
"""Chance that any claim of a run comes out supported or contradicted where nothing differs."""


def corrected(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the records with Holm's correction over every comparison of the run, controls aside.

    A part whose adjusted p-value is not below ``ERROR_RATE`` turns inconclusive, and so may its record; no verdict
    ever gets stronger. Records without comparisons stay as they are.
    """
    compared = [part for record in records if not record["control"] for part in record["parts"] if part["comparison"]]
    adjusted = holm(np.array([part["comparison"]["p"] for part in compared], dtype=float))
    for part, p in zip(compared, adjusted.tolist(), strict=True):
        part["comparison"]["p_adjusted"] = float(f"{p:.9g}")
        if p >= ERROR_RATE:
            part["verdict"] = Verdict.INCONCLUSIVE.value
    for record in records:
        if not record["control"] and any(part["comparison"] for part in record["parts"]):
            record["verdict"] = worst(Verdict(part["verdict"]) for part in record["parts"]).value
    return records
