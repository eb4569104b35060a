"""E7: the multinomial likelihood ranks better than Gaussian and logistic ones."""

from __future__ import annotations

from collabtheory.claims import Evidence, Statement, Subject, check
from collabtheory.studies.comparisons import FAIR_COMPARISON, NO_LAW, accuracies, better, permuted_labels, turned_round

STATEMENT = Statement(
    identifier="E7",
    title="E7: the multinomial likelihood ranks best",
    source="arXiv:1802.05814",
    kind="empirical",
    position=207,
    text=(
        "The multinomial likelihood gives a higher nDCG@100 than the Gaussian and the logistic likelihood in "
        "the same architecture."
    ),
    assumptions=FAIR_COMPARISON,
    proof=(),
    limits=(
        (
            "The Gaussian likelihood has a weight for observed items, tuned with the rest; the published "
            "comparison does not say which it used."
        ),
        ("The Poisson likelihood, trained with the others, is in the table of models; the paper says nothing of it."),
        NO_LAW,
    ),
)
METHODS = ("mult_vae", "gaussian", "bernoulli")


@check(STATEMENT, stages="study", methods=METHODS)
def multinomial_ranks_best(subject: Subject) -> Evidence:
    """Compare: the multinomial likelihood ranks better than Gaussian and logistic ones."""
    study = subject.study
    parts = (
        better(study, "mult_vae", "gaussian"),
        better(study, "mult_vae", "bernoulli"),
    )
    return Evidence(parts=parts, numbers=accuracies(study, METHODS))


permuted = permuted_labels(STATEMENT, "mult_vae", "gaussian")
turned = turned_round(STATEMENT, "mult_vae", "gaussian")
