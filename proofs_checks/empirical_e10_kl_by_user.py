"""E10: per-user KL weights rank better than one global weight."""

from __future__ import annotations

from collabtheory.claims import Evidence, Statement, Subject, check
from collabtheory.studies.comparisons import FAIR_COMPARISON, NO_LAW, accuracies, better, permuted_labels, turned_round

STATEMENT = Statement(
    identifier="E10",
    title="E10: a KL weight for each user ranks better than one for all",
    source="arXiv:1912.11160, and an open question",
    kind="empirical",
    position=210,
    text=(
        "A KL weight in proportion to the length of the user's history, and one that the user's own "
        "reconstruction gap drives, each give a higher nDCG@100 than one tuned weight for all."
    ),
    assumptions=FAIR_COMPARISON,
    proof=(),
    limits=(
        (
            "The learned weight is one rule among many: it gives users whose loss per item is farther from its "
            "least possible value more latent room."
        ),
        NO_LAW,
    ),
)
METHODS = ("kl_by_size", "kl_learned", "mult_vae")


@check(STATEMENT, stages="study", methods=METHODS)
def weights_by_user_rank_better(subject: Subject) -> Evidence:
    """per-user KL weights rank better than one global weight."""
    study = subject.study
    parts = (
        better(study, "kl_by_size", "mult_vae"),
        better(study, "kl_learned", "mult_vae"),
    )
    return Evidence(parts=parts, numbers=accuracies(study, METHODS))


permuted = permuted_labels(STATEMENT, "kl_by_size", "mult_vae")
turned = turned_round(STATEMENT, "kl_by_size", "mult_vae")
