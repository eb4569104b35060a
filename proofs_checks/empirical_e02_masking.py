"""E2: masking raises global collaboration, and causes neighbourhood drift."""

from __future__ import annotations

from collabtheory.claims import Evidence, Statement, Subject, check
from collabtheory.studies.measured_evidence import measure_above, measure_below, measured_numbers, permuted_measures

STATEMENT = Statement(
    identifier="E2",
    title="E2: masking raises global collaboration and causes neighbourhood drift",
    source="arXiv:2511.06781",
    kind="empirical",
    position=202,
    text=(
        "The share of a user's received help that comes from far, related users is larger in a Mult-VAE "
        "trained (and measured) with masked inputs than in one trained on clean inputs; and between two draws "
        "of the mask less than half of a user's nearest latent neighbours, by Jaccard overlap, are the same."
    ),
    assumptions=(
        (
            "Both sides are tuned by the same number of trials of the same random search, on validation users of "
            "one fold."
        ),
        (
            "Training has converged: a side that was still improving at its last epochs makes the comparison "
            "inconclusive."
        ),
    ),
    proof=(),
    limits=(
        (
            "Each model is measured at its own masking, the way it was trained; the numbers at a common keep "
            "probability are beside it."
        ),
        "One half is a border chosen here; the paper gives none.",
        "A verdict is about these data, these model sizes and this tuning budget; it is no law.",
    ),
)
METHODS = ("mult_vae", "mult_vae_clean")
GLOBAL = "collaboration.clean.cosine.global"


@check(STATEMENT, stages="study", methods=METHODS, measured=METHODS)
def masking_raises_global_help_and_moves_neighbours(subject: Subject) -> Evidence:
    """Compare: the masked model's share of global help is above the clean model's, and its neighbours change with the mask."""
    study = subject.study
    parts = (
        measure_above(
            study, ("mult_vae", "collaboration.own.cosine.global"), ("mult_vae_clean", GLOBAL), "global help"
        ),
        measure_below(study, ("mult_vae", "drift.own.between_draws"), 0.5, "half of the nearest neighbours are kept"),
    )
    names = (GLOBAL, "collaboration.own.cosine.global.mass", "drift.own.between_draws", "drift.reference.between_draws")
    return Evidence(parts=parts, numbers=measured_numbers(study, METHODS, names))


permuted = permuted_measures(STATEMENT, ("mult_vae", GLOBAL), ("mult_vae_clean", GLOBAL))
