"""E12: modern training closes the gap between Mult-VAE and EASE."""

from __future__ import annotations

from collabtheory.claims import Evidence, Statement, Subject, check
from collabtheory.studies.comparisons import accuracies, better, permuted_labels, turned_round

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
        "Closing the gap is read as: above EASE. The remaining difference is in the table.",
        "Published as an open question; the search space is small.",
        "A verdict is about these data, these model sizes and this tuning budget; it is no law.",
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
