"""E6: RecVAE with PIA ranks better than RecVAE."""

from __future__ import annotations

from collabtheory.claims import Evidence, Statement, Subject, check
from collabtheory.studies.comparisons import FAIR_COMPARISON, NO_LAW, accuracies, better, permuted_labels, turned_round

STATEMENT = Statement(
    identifier="E6",
    title="E6: PIA also lifts RecVAE",
    source="arXiv:2511.06781",
    kind="empirical",
    position=206,
    text=("RecVAE with PIA has a higher nDCG@100 than RecVAE."),
    assumptions=FAIR_COMPARISON,
    proof=(),
    limits=(
        "The weight of the PIA loss is one more setting that the same budget has to cover.",
        NO_LAW,
    ),
)
METHODS = ("rec_vae_pia", "rec_vae")


@check(STATEMENT, stages="study", methods=METHODS)
def alignment_lifts_recvae(subject: Subject) -> Evidence:
    """RecVAE with PIA ranks better than RecVAE."""
    study = subject.study
    parts = (better(study, "rec_vae_pia", "rec_vae"),)
    return Evidence(parts=parts, numbers=accuracies(study, METHODS))


permuted = permuted_labels(STATEMENT, "rec_vae_pia", "rec_vae")
turned = turned_round(STATEMENT, "rec_vae_pia", "rec_vae")
