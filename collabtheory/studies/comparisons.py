"""Parts of evidence from a study: a difference between two methods or two quantities, and its verdict."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from collabtheory.claims import Check, Coverage, Evidence, Number, Part, Rigor, Statement, Subject, Verdict
from collabtheory.claims.statement import negative_control
from collabtheory.ranking.cohorts import COHORTS, cohort_of
from collabtheory.runs.seeds import derive
from collabtheory.stats import Comparison, bootstrap_mean, compare_paired
from collabtheory.studies.methods import get_method
from collabtheory.studies.results import MAIN_METRIC, Study

FAIR_COMPARISON = (
    "Both sides are tuned by the same number of trials of the same random search, on validation users of one fold.",
    "Training has converged: a side that was still improving at its last epochs makes the comparison inconclusive.",
)
"""What every comparison of trained methods assumes."""
NO_LAW = "A verdict is about these data, these model sizes and this tuning budget; it is no law."
STRICT_LEVEL = 0.999
"""Confidence at which a control must fail to find an effect: one in a thousand runs would be misled by chance."""


def better(study: Study, first: str, second: str, *, metric: str = MAIN_METRIC, cohort: str | None = None) -> Part:
    """Return the evidence that ``first`` ranks better than ``second``, over all users or one cohort.

    A method that was still improving when training ended makes the part inconclusive, whatever the difference.
    """
    chosen = None if cohort is None else _cohort(study, first, cohort)
    where = "" if cohort is None else f" for users with {cohort} items"
    text = f"{metric} of {get_method(first).title} above that of {get_method(second).title}{where}"
    name = f"{first}_over_{second}" + ("" if cohort is None else f"_{cohort}")
    if chosen is not None and chosen.sum() < 20:
        return _too_few(name, text, int(chosen.sum()))
    found = study.compare(first, second, metric=metric, users=chosen)
    sides = {"first": first, "second": second, "metric": metric, "cohort": cohort}
    return compared(name, text, found, sides, rising=study.still_rising(first, second))


def compared(name: str, text: str, found: Comparison, sides: dict[str, Any], *, rising: Iterable[str] = ()) -> Part:
    """Return a comparison as a part of evidence."""
    rising = tuple(rising)
    verdict = Verdict.INCONCLUSIVE if rising else Verdict(found.verdict)
    estimate = found.difference
    words = (
        f"difference {estimate.value:+.4f} [{estimate.low:+.4f}, {estimate.high:+.4f}], d = {found.effect_size:.2f}, "
        f"p = {found.p:.2g}, n = {found.n:,}"
    )
    if verdict is Verdict.INCONCLUSIVE:
        words += f"; smallest detectable difference {found.smallest_detectable:.4f}"
    if rising:
        words += f"; still improving when training ended: {', '.join(rising)}"
    summary = {
        **sides,
        "difference": {"value": estimate.value, "low": estimate.low, "high": estimate.high, "n": estimate.n},
        "effect_size": found.effect_size,
        "p": found.p,
        "smallest_detectable": found.smallest_detectable,
        "still_rising": list(rising),
    }
    return Part(
        name, text, verdict, Rigor.STATISTICAL, Coverage(found.n, found.n), detail=words, comparison=_rounded(summary)
    )


def accuracies(study: Study, methods: Iterable[str], metric: str = MAIN_METRIC) -> dict[str, Number]:
    """Return the mean of a metric of each method with its interval over users."""
    numbers = {}
    for name in methods:
        frame = study.users(name)
        values = frame[metric].to_numpy()
        found = bootstrap_mean(values, strata=frame["fold"].to_numpy(), rng=derive(study.seed, "accuracy", name))
        numbers[f"{metric} {name}"] = Number(
            found.value, f"{metric}, {get_method(name).title}", low=found.low, high=found.high, n=found.n
        )
    return numbers


def permuted_labels(statement: Statement, first: str, second: str, metric: str = MAIN_METRIC) -> Check:
    """Return the control that the two methods' results, swapped at random for each user, must not differ."""

    def check_permuted(subject: Subject) -> Evidence:
        left, right = (subject.study.users(name)[metric].to_numpy() for name in (first, second))
        swapped = subject.rng("swap", first, second).random(len(left)) < 0.5
        found = compare_paired(
            np.where(swapped, right, left),
            np.where(swapped, left, right),
            rng=subject.rng("permuted", first, second),
            level=STRICT_LEVEL,
        )
        return twin(found, "an effect is found although it is nobody's", found.verdict == "inconclusive")

    return negative_control(
        statement,
        "labels_permuted",
        f"{first} and {second} swapped at random for each user",
        stages="study",
        methods=(first, second),
    )(check_permuted)


def turned_round(statement: Statement, first: str, second: str, metric: str = MAIN_METRIC) -> Check:
    """Return the control that a planted lead of the second method must contradict the claim.

    The planted lead is as large as the standard deviation of the users' real differences over two, on top of their
    noise around its mean: the claim has to come out contradicted, not merely unsupported.
    """

    def check_turned(subject: Subject) -> Evidence:
        left, right = (subject.study.users(name)[metric].to_numpy() for name in (first, second))
        noise = (left - right) - (left - right).mean()
        planted = noise - max(float(noise.std()), 1e-3) / 2
        found = compare_paired(
            planted, np.zeros_like(planted), rng=subject.rng("turned", first, second), level=STRICT_LEVEL
        )
        return twin(found, "the claim survives a planted lead of the other side", found.verdict == "contradicted")

    return negative_control(
        statement,
        "planted_lead_of_the_other",
        f"{second} is given a lead over {first} of half a standard deviation",
        stages="study",
        methods=(first, second),
    )(check_turned)


def cohort_parts(study: Study, first: str, second: str) -> tuple[Part, ...]:
    """Return the comparison of two methods in each of the paper's cohorts that has users."""
    return tuple(better(study, first, second, cohort=cohort.name) for cohort in COHORTS if cohort.smallest >= 5)


def twin(found: Comparison, text: str, refuted: bool) -> Evidence:
    """Return the evidence of a false twin: contradicted if it was refuted, supported if it came through."""
    estimate = found.difference
    words = f"difference {estimate.value:+.2g} [{estimate.low:+.2g}, {estimate.high:+.2g}] at {STRICT_LEVEL:.1%}"
    verdict = Verdict.CONTRADICTED if refuted else Verdict.SUPPORTED
    part = Part("twin", text, verdict, Rigor.STATISTICAL, Coverage(found.n, found.n), detail=words)
    return Evidence(parts=(part,))


def _too_few(name: str, text: str, n: int) -> Part:
    return Part(
        name, text, Verdict.INCONCLUSIVE, Rigor.STATISTICAL, Coverage(0, n), detail=f"only {n} users; 20 are needed"
    )


def _cohort(study: Study, method: str, cohort: str) -> np.ndarray:
    chosen: np.ndarray = cohort_of(study.users(method)["n_items"].to_numpy()) == cohort
    return chosen


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _rounded(one) for name, one in value.items()}
    return float(f"{value:.9g}") if isinstance(value, float) else value
