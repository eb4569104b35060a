"""E3: beta contracts the latent space; too much of it collapses."""

from __future__ import annotations

from collabtheory.claims import Evidence, Statement, Subject, check
from collabtheory.studies.comparisons import FAIR_COMPARISON, NO_LAW, accuracies, better, permuted_labels, turned_round
from collabtheory.studies.measured_evidence import measure_above, measured_numbers

STATEMENT = Statement(
    identifier="E3",
    title="E3: beta contracts uniformly, and too much collapses",
    source="arXiv:2511.06781",
    kind="empirical",
    position=203,
    text=(
        "From the tuned KL weight to 1 and to 5 the KL that a user's code spends falls; at 5 fewer units are "
        "used and nDCG@100 is lower. How uniform the contraction of distances is, pair by pair, is the matter "
        "of the statement beta_kl."
    ),
    assumptions=FAIR_COMPARISON,
    proof=(),
    limits=(
        "Three weights are compared, not a curve; `collabtheory sweep` draws one.",
        NO_LAW,
    ),
)
METHODS = ("mult_vae", "full_kl", "strong_kl")
KL, UNITS = "sparsity.kl", "sparsity.active_units"


@check(STATEMENT, stages="study", methods=METHODS, measured=METHODS)
def a_larger_beta_contracts_and_then_collapses(subject: Subject) -> Evidence:
    """Spread between users falls along beta, and the strongest KL costs units and accuracy."""
    study = subject.study
    parts = (
        measure_above(study, ("mult_vae", KL), ("full_kl", KL), "KL spent a user"),
        measure_above(study, ("full_kl", KL), ("strong_kl", KL), "KL spent a user"),
        measure_above(study, ("mult_vae", UNITS), ("strong_kl", UNITS), "active units a user"),
        better(study, "mult_vae", "strong_kl"),
    )
    names = ("spread.between_users", "sparsity.kl", "information.active_units", "information.mutual")
    return Evidence(parts=parts, numbers=measured_numbers(study, METHODS, names) | accuracies(study, METHODS))


permuted = permuted_labels(STATEMENT, "mult_vae", "strong_kl")
turned = turned_round(STATEMENT, "mult_vae", "strong_kl")
