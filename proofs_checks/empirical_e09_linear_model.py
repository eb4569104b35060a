"""E9: EASE ranks better than deep models, and than its fit without negative weights."""

from __future__ import annotations

from collabtheory.claims import Evidence, Statement, Subject, check
from collabtheory.studies.comparisons import FAIR_COMPARISON, NO_LAW, accuracies, better, permuted_labels, turned_round

STATEMENT = Statement(
    identifier="E9",
    title="E9: EASE beats the deep models, and needs its negative weights",
    source="arXiv:1905.03375",
    kind="empirical",
    position=209,
    text=(
        "EASE has a higher nDCG@100 than Mult-VAE, Mult-DAE and RecVAE; and than the same model fitted under "
        "the constraint that no weight is negative."
    ),
    assumptions=FAIR_COMPARISON,
    proof=(),
    limits=(
        (
            "The constrained model is fitted to its optimum; dropping negative weights after an unconstrained "
            "fit, another row of the table, is another model."
        ),
        NO_LAW,
    ),
)
METHODS = ("ease", "mult_vae", "mult_dae", "rec_vae", "ease_nonnegative")


@check(STATEMENT, stages="study", methods=METHODS)
def the_linear_model_wins(subject: Subject) -> Evidence:
    """EASE ranks better than deep models, and than its fit without negative weights."""
    study = subject.study
    parts = (
        better(study, "ease", "mult_vae"),
        better(study, "ease", "mult_dae"),
        better(study, "ease", "rec_vae"),
        better(study, "ease", "ease_nonnegative"),
    )
    return Evidence(parts=parts, numbers=accuracies(study, METHODS))


permuted = permuted_labels(STATEMENT, "ease", "mult_vae")
turned = turned_round(STATEMENT, "ease", "mult_vae")
