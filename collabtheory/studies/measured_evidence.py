"""Parts of evidence from measured posteriors: help, drift, spread and sparsity, user by user."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import numpy as np
import pandas as pd

from collabtheory.claims import Check, Coverage, Evidence, Number, Part, Rigor, Statement, Subject, Verdict
from collabtheory.claims.statement import negative_control
from collabtheory.stats import compare_paired
from collabtheory.studies.comparisons import STRICT_LEVEL, compared, twin
from collabtheory.studies.methods import get_method
from collabtheory.studies.results import Study

Measure = tuple[str, str]
"""A method, and the name of one of its measures."""


def measure_above(study: Study, first: Measure, second: Measure | float, what: str) -> Part:
    """Return the evidence that a measure is larger, user by user, than another or than a number."""
    return _ordered(study, first, second, what, "greater")


def measure_below(study: Study, first: Measure, second: Measure | float, what: str) -> Part:
    """Return the evidence that a measure is smaller, user by user, than another or than a number."""
    return _ordered(study, first, second, what, "less")


def not_below(study: Study, first: Measure, second: Measure, what: str, *, share: float) -> Part:
    """Return the evidence that a measure is above ``share`` of another: that no more than the rest of it is lost."""
    right = share * study.per_user(*second)
    words = f"{what} of {_title(first)} above {share:.0%} of that of {_title(second)}"
    return _part(study, first, second, words, study.per_user(*first), right, "greater")


def lift_gap(study: Study, method: str, measure: str, what: str) -> Part:
    """Return the evidence that a near user helps more, pair for pair, than a related user far away."""
    local, far = lifts(study, method, measure)
    words = f"help of a near user above that of a far, related one ({what}), {get_method(method).title}"
    first, second = (method, f"{measure}.local.lift"), (method, f"{measure}.global.lift")
    return _part(study, first, second, words, local, far, "greater")


def cohort_isolation(study: Study, method: str) -> Part:
    """Return the evidence that latent neighbours are of the same cohort more often than by chance."""
    chance = study.mean_measure(method, "mixing.by_chance")
    if chance > 1 - 1e-9:
        text = f"neighbours of the same cohort, {get_method(method).title}, above chance"
        alone = "all users are of one cohort"
        return Part("cohort_isolation", text, Verdict.VACUOUS, Rigor.STATISTICAL, Coverage(0, 1), detail=alone)
    return measure_above(study, (method, "mixing.same"), chance, "neighbours of the same cohort")


def lifts(study: Study, method: str, measure: str) -> tuple[pd.Series, pd.Series]:
    """Return each user's received help from near and from far users, relative to how many such pairs there are."""
    local, far = (
        study.per_user(method, f"{measure}.{part}") / study.mean_measure(method, f"{measure}.{part}.pair_share")
        for part in ("local", "global")
    )
    return local, far


def measured_numbers(study: Study, methods: Iterable[str], names: Iterable[str]) -> dict[str, Number]:
    """Return the mean over folds of measures, with the range over folds as interval; unmeasured ones are left out."""
    names = tuple(names)
    numbers: dict[str, Number] = {}
    for method in methods:
        for name in names:
            found = [one["values"].get(name, {}) for one in study.measures(method)]
            values = [one.get("value") for one in found]
            if any(value is None for value in values):
                continue
            numbers[f"{name} {method}"] = Number(
                float(np.mean(values)),
                f"{name}, {get_method(method).title} (range over folds)",
                low=float(min(values)),
                high=float(max(values)),
                n=int(found[0]["n"]),
            )
    return numbers


def shuffled_measure(statement: Statement, method: str, measure: str) -> Check:
    """Return the control that near and far, swapped at random for each user, must not differ."""

    def check_shuffled(subject: Subject) -> Evidence:
        local, far = lifts(subject.study, method, measure)
        return _swapped(subject, local, far, method)

    change = "near and far users swapped at random for each user"
    return negative_control(
        statement, "distances_permuted", change, stages="study", methods=(method,), measured=(method,)
    )(check_shuffled)


def turned_round_measure(statement: Statement, method: str, measure: str) -> Check:
    """Return the control that the claim with near and far exchanged must be contradicted where it is supported."""

    def check_turned(subject: Subject) -> Evidence:
        local, far = lifts(subject.study, method, measure)
        return _planted(subject, local - far, method)

    change = "far users are given a lead of half a standard deviation"
    return negative_control(
        statement, "planted_lead_of_the_other", change, stages="study", methods=(method,), measured=(method,)
    )(check_turned)


def turned_round_difference(statement: Statement, method: str, measure: str) -> Check:
    """Return the control that a planted change of the other sign must contradict the claim."""

    def check_turned(subject: Subject) -> Evidence:
        return _planted(subject, subject.study.per_user(method, measure), method)

    change = "users are given a change of the other sign, of half a standard deviation"
    return negative_control(
        statement, "planted_change_of_the_other_sign", change, stages="study", methods=(method,), measured=(method,)
    )(check_turned)


def permuted_measures(statement: Statement, first: Measure, second: Measure) -> Check:
    """Return the control that two models' measures, swapped at random for each user, must not differ."""

    def check_permuted(subject: Subject) -> Evidence:
        left, right = (subject.study.per_user(*one) for one in (first, second))
        return _swapped(subject, left, right, first[0])

    methods = (first[0], second[0])
    change = f"{first[0]} and {second[0]} swapped at random for each user"
    return negative_control(statement, "labels_permuted", change, stages="study", methods=methods, measured=methods)(
        check_permuted
    )


def _ordered(
    study: Study, first: Measure, second: Measure | float, what: str, expected: Literal["greater", "less"]
) -> Part:
    right: pd.Series | float = second if isinstance(second, float) else study.per_user(*second)
    against = f"{second:.3g}" if isinstance(second, float) else f"that of {_title(second)}"
    words = f"{what}, {_title(first)}, {'above' if expected == 'greater' else 'below'} {against}"
    return _part(study, first, second, words, study.per_user(*first), right, expected)


def _part(
    study: Study,
    first: Measure,
    second: Measure | float,
    words: str,
    left: pd.Series,
    right: pd.Series | float,
    expected: Literal["greater", "less"],
) -> Part:
    found = study.compare_measures(left, right, words, expected=expected)
    other = f"{second:.4g}" if isinstance(second, float) else second[0]
    measure = first[1] if isinstance(second, float) or second[1] == first[1] else f"{first[1]} / {second[1]}"
    sides = {"first": first[0], "second": other, "metric": measure, "cohort": None, "expected": expected}
    methods = [first[0]] if isinstance(second, float) else [first[0], second[0]]
    name = f"{first[0]}_{first[1]}_{'above' if expected == 'greater' else 'below'}_{other}"
    return compared(name, words, found, sides, rising=study.still_rising(*dict.fromkeys(methods)))


def _swapped(subject: Subject, left: pd.Series, right: pd.Series, word: str) -> Evidence:
    users = (left - right).groupby(level=0).mean().dropna().to_numpy()
    signs = np.where(subject.rng("swap", word).random(len(users)) < 0.5, -1.0, 1.0)
    found = compare_paired(signs * users, np.zeros(len(users)), rng=subject.rng("permuted", word), level=STRICT_LEVEL)
    return twin(found, "an effect is found although it is nobody's", found.verdict == "inconclusive")


def _planted(subject: Subject, differences: pd.Series, word: str) -> Evidence:
    users = differences.groupby(level=0).mean().dropna().to_numpy()
    spread = max(float(users.std()), 1e-9)
    planted = users - users.mean() - spread / 2
    found = compare_paired(planted, np.zeros(len(users)), rng=subject.rng("turned", word), level=STRICT_LEVEL)
    return twin(found, "the claim survives a planted lead of the other side", found.verdict == "contradicted")


def _title(measure: Measure) -> str:
    return get_method(measure[0]).title
