"""E2: masking raises global collaboration, and causes neighbourhood drift."""

from __future__ import annotations

from collabtheory.claims import Evidence, Statement, Subject, check
from collabtheory.studies.comparisons import FAIR_COMPARISON, NO_LAW
from collabtheory.studies.measured_evidence import measure_above, measure_below, measured_numbers, permuted_measures

STATEMENT = Statement(
    identifier="E2",
    title="E2: masking raises global collaboration and causes neighbourhood drift",
    source="arXiv:2511.06781",
    kind="empirical",
    position=202,
    text=(
        "The share of a user's received help that comes from far, related users is larger with masked than with "
        "clean inputs of one and the same Mult-VAE, and larger with masked inputs of one trained with masks than of "
        "one trained without; and between two draws of the mask less than half of a user's nearest latent "
        "neighbours, by Jaccard overlap, are the same."
    ),
    assumptions=FAIR_COMPARISON,
    proof=(),
    limits=(
        (
            "Masks keep an item with probability one half for every model, whatever it was tuned to: global help and "
            "drift depend on it. The drift at the model's own is beside it."
        ),
        "One half is a border chosen here; the paper gives none.",
        NO_LAW,
    ),
)
METHODS = ("mult_vae", "mult_vae_clean")
CLEAN, MASKED = "collaboration.clean.cosine.global", "collaboration.reference.cosine.global"
DRIFT = "drift.reference.between_draws"


@check(STATEMENT, stages="study", methods=METHODS, measured=METHODS)
def masking_raises_global_help_and_moves_neighbours(subject: Subject) -> Evidence:
    """Compare global help with and without masks, trained with and without them, and neighbours between two masks."""
    study = subject.study
    parts = (
        measure_above(study, ("mult_vae", MASKED), ("mult_vae", CLEAN), "global help with masked inputs"),
        measure_above(study, ("mult_vae", MASKED), ("mult_vae_clean", MASKED), "global help with masked inputs"),
        measure_below(study, ("mult_vae", DRIFT), 0.5, "share of nearest neighbours kept between two masks"),
    )
    names = (f"{CLEAN}.mass", f"{MASKED}.mass", DRIFT, "drift.own.between_draws")
    return Evidence(parts=parts, numbers=measured_numbers(study, METHODS, names))


permuted = permuted_measures(STATEMENT, ("mult_vae", MASKED), ("mult_vae_clean", MASKED))
