"""E12: modern training closes the gap between Mult-VAE and EASE."""

from __future__ import annotations

from collabtheory.claims import Evidence, Statement, Subject, check
from collabtheory.studies.comparisons import FAIR_COMPARISON, NO_LAW, accuracies, better, permuted_labels, turned_round

STATEMENT = Statement(
    identifier="E12",
    title="E12: modern training closes the gap to EASE",
    source="open question",
    kind="empirical",
    position=212,
    text=(
        "With AdamW, a cosine schedule, sampled softmax over hard negatives and wider nets to choose from, "
        "Mult-VAE ranks better than with its published training, and no worse than EASE."
    ),
    assumptions=FAIR_COMPARISON,
    proof=(),
    limits=(
        "Closing the gap is read as: above EASE. The remaining difference is in the table.",
        "Published as an open question; the search space is small.",
        NO_LAW,
    ),
)
METHODS = ("modern", "mult_vae", "ease")


@check(STATEMENT, stages="study", methods=METHODS)
def modern_training_closes_the_gap(subject: Subject) -> Evidence:
    """Modern training closes the gap between Mult-VAE and EASE."""
    study = subject.study
    parts = (
        better(study, "modern", "mult_vae"),
        better(study, "modern", "ease"),
    )
    return Evidence(parts=parts, numbers=accuracies(study, METHODS))


permuted = permuted_labels(STATEMENT, "modern", "mult_vae")
turned = turned_round(STATEMENT, "modern", "mult_vae")
