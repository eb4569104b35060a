"""E5: PIA gains in every cohort of interaction count."""

from __future__ import annotations

from collabtheory.claims import Evidence, Statement, Subject, check
from collabtheory.studies.comparisons import (
    FAIR_COMPARISON,
    NO_LAW,
    accuracies,
    cohort_parts,
    permuted_labels,
    turned_round,
)

STATEMENT = Statement(
    identifier="E5",
    title="E5: PIA gains in every cohort of interaction count",
    source="arXiv:2511.06781 (ML-20M nDCG@100: .317 to .323, .429 to .434, .497 to .502, .474 to .486)",
    kind="empirical",
    position=205,
    text=(
        "In each cohort of interaction count, [5-10], [11-50], [51-100] and [100+], Mult-VAE with PIA has a "
        "higher nDCG@100 than Mult-VAE."
    ),
    assumptions=FAIR_COMPARISON,
    proof=(),
    limits=(
        "Cohorts of fewer than 20 users are inconclusive by themselves.",
        NO_LAW,
    ),
)
METHODS = ("mult_vae_pia", "mult_vae")


@check(STATEMENT, stages="study", methods=METHODS)
def every_cohort_gains(subject: Subject) -> Evidence:
    """PIA ranks better than masking alone in each cohort of interaction count."""
    study = subject.study
    return Evidence(parts=cohort_parts(study, "mult_vae_pia", "mult_vae"), numbers=accuracies(study, METHODS))


permuted = permuted_labels(STATEMENT, "mult_vae_pia", "mult_vae")
turned = turned_round(STATEMENT, "mult_vae_pia", "mult_vae")
