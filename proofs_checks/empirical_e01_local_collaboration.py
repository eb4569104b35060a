"""E1: with clean inputs, local collaboration dominates and cohorts are isolated."""

from __future__ import annotations

from collabtheory.claims import Evidence, Statement, Subject, check
from collabtheory.studies.comparisons import FAIR_COMPARISON, NO_LAW
from collabtheory.studies.measured_evidence import (
    cohort_isolation,
    lift_gap,
    measured_numbers,
    shuffled_measure,
    turned_round_measure,
)

STATEMENT = Statement(
    identifier="E1",
    title="E1: clean inputs: local collaboration dominates, cohorts are isolated",
    source="arXiv:2511.06781",
    kind="empirical",
    position=201,
    text=(
        "In a Mult-VAE trained on clean inputs a user is helped, pair for pair, more by the 20 users nearest "
        "in input than by users of the farther half who are related through shared or co-occurring items; and "
        "a user's nearest neighbours in the latent space are of the same cohort of interaction count more "
        "often than by chance."
    ),
    assumptions=FAIR_COMPARISON,
    proof=(),
    limits=(
        (
            "Help is the positive part of the gradient cosine and, beside it, the measured decrease of one step, "
            "among users drawn at random: a share of the total, not its size."
        ),
        (
            "Cohorts of size can be isolated because similar sizes mean similar inputs; nothing here says that "
            "size is the cause."
        ),
        NO_LAW,
    ),
)
METHODS = ("mult_vae_clean",)


@check(STATEMENT, stages="study", methods=METHODS, measured=METHODS)
def local_help_outweighs_global_help(subject: Subject) -> Evidence:
    """Per pair, users near in input help more than related users far away; and cohorts keep to themselves."""
    study = subject.study
    parts = [
        lift_gap(study, "mult_vae_clean", "collaboration.clean.cosine", "gradient cosine"),
        lift_gap(study, "mult_vae_clean", "collaboration.clean.loss_change", "measured loss change"),
        cohort_isolation(study, "mult_vae_clean"),
    ]
    names = ("collaboration.clean.cosine.local.mass", "collaboration.clean.cosine.global.mass", "mixing.same")
    return Evidence(parts=tuple(parts), numbers=measured_numbers(study, METHODS, names))


distances_permuted = shuffled_measure(STATEMENT, "mult_vae_clean", "collaboration.clean.cosine")
turned = turned_round_measure(STATEMENT, "mult_vae_clean", "collaboration.clean.cosine")
