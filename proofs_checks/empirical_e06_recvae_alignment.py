"""E6: RecVAE with PIA ranks better than RecVAE."""

from __future__ import annotations

from collabtheory.claims import Evidence, Statement, Subject, check
from collabtheory.studies.comparisons import accuracies, better, permuted_labels, turned_round

STATEMENT = Statement(
    identifier="E6",
    title="E6: PIA also lifts RecVAE",
    source="arXiv:2511.06781",
    kind="empirical",
    position=206,
    text=("RecVAE with PIA has a higher nDCG@100 than RecVAE."),
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
        "The weight of the PIA loss is one more setting that the same budget has to cover.",
        "A verdict is about these data, these model sizes and this tuning budget; it is no law.",
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
