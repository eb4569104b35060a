"""E8: a capped KL weight ranks better than full strength."""

from __future__ import annotations

from collabtheory.claims import Evidence, Statement, Subject, check
from collabtheory.studies.comparisons import FAIR_COMPARISON, NO_LAW, accuracies, better, permuted_labels, turned_round

STATEMENT = Statement(
    identifier="E8",
    title="E8: full-strength KL is too strong",
    source="arXiv:1802.05814",
    kind="empirical",
    position=208,
    text=(
        "A KL weight annealed to a tuned cap below 1 gives a higher nDCG@100 than one annealed to 1, and than "
        "1 from the start."
    ),
    assumptions=FAIR_COMPARISON,
    proof=(),
    limits=(
        "The capped side tunes its cap, the others have one setting fewer to tune.",
        NO_LAW,
    ),
)
METHODS = ("mult_vae", "full_kl", "no_annealing")


@check(STATEMENT, stages="study", methods=METHODS)
def a_capped_weight_ranks_better(subject: Subject) -> Evidence:
    """Compare: a capped KL weight ranks better than full strength."""
    study = subject.study
    parts = (
        better(study, "mult_vae", "full_kl"),
        better(study, "mult_vae", "no_annealing"),
    )
    return Evidence(parts=parts, numbers=accuracies(study, METHODS))


permuted = permuted_labels(STATEMENT, "mult_vae", "full_kl")
turned = turned_round(STATEMENT, "mult_vae", "full_kl")
