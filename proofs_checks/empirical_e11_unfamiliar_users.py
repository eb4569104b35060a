"""E11: codes of unfamiliar users are less committed."""

from __future__ import annotations

from collabtheory.claims import Evidence, Statement, Subject, check
from collabtheory.studies.comparisons import NO_LAW
from collabtheory.studies.measured_evidence import (
    measure_above,
    measure_below,
    measured_numbers,
    turned_round_difference,
)

STATEMENT = Statement(
    identifier="E11",
    title="E11: codes of unfamiliar users are less committed",
    source="open question",
    kind="empirical",
    position=211,
    text=(
        "A user's code spends less KL (is closer to the prior) if its history is cut to half, if its items "
        "are replaced by as many unrelated ones of the same popularity, and if half of its items are replaced "
        "by rare rather than by popular ones."
    ),
    assumptions=(
        (
            "The comparison is within users: the same user, changed in one respect at a time, so that length, "
            "popularity and typicality do not stand for one another."
        ),
    ),
    proof=(),
    limits=(
        (
            "Partial rank correlations over users, given the other two kinds of familiarity, are beside it; they "
            "are associations."
        ),
        (
            "Committed is measured by KL to the prior; sparsity by the Hoyer measure may say something else and "
            "is listed."
        ),
        NO_LAW,
    ),
)
METHODS = ("mult_vae",)


@check(STATEMENT, stages="study", methods=METHODS, measured=METHODS)
def unfamiliar_users_spend_less(subject: Subject) -> Evidence:
    """Shortening a user's own history, or replacing its items by unrelated ones, lowers the KL that its code spends."""
    study = subject.study
    parts = (
        measure_above(study, ("mult_vae", "familiarity.per_doubling.kl"), 0.0, "KL gained by twice the history"),
        measure_below(study, ("mult_vae", "familiarity.unrelated_items.kl"), 0.0, "KL change by unrelated items"),
        measure_above(study, ("mult_vae", "familiarity.popular_minus_rare.kl"), 0.0, "KL of popular over rare items"),
    )
    names = tuple(
        f"familiarity.partial.{cause}.{outcome}"
        for cause in ("history", "popularity", "typicality")
        for outcome in ("kl", "hoyer_mean", "hoyer_kl")
    )
    return Evidence(parts=parts, numbers=measured_numbers(study, METHODS, names))


turned = turned_round_difference(STATEMENT, "mult_vae", "familiarity.per_doubling.kl")
