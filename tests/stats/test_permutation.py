"""Permutation tests against complete enumeration, scipy, a regression, and their error rate."""

from itertools import combinations, product

import numpy as np
import pytest
from scipy import stats

from collabtheory.errors import InvalidInput
from collabtheory.stats import difference_weights, label_permutation_p, measure_error_rate, sign_flip_p


@pytest.mark.parametrize("n", [3, 8, 12])
def test_few_users_get_the_exact_p_of_all_sign_vectors(n):
    d = np.random.default_rng(n).normal(0.4, 1, n)
    sums = [abs(np.dot(signs, d)) for signs in product([-1, 1], repeat=n)]
    assert sign_flip_p(d, rng=np.random.default_rng(0)) == pytest.approx(
        np.mean(np.array(sums) >= abs(d.sum()) - 1e-12)
    )


def test_random_signs_agree_with_all_sign_vectors():
    d = np.random.default_rng(1).normal(0.25, 1, 15)
    exact = np.mean([abs(np.dot(signs, d)) >= abs(d.sum()) - 1e-12 for signs in product([-1, 1], repeat=15)])
    p = sign_flip_p(d, rng=np.random.default_rng(2))
    assert 0.02 < exact < 0.9
    assert abs(p - exact) < 4 * np.sqrt(exact * (1 - exact) / 9999)


def test_many_users_agree_with_students_t():
    d = np.random.default_rng(3).normal(0.05, 1, 3000)
    p = stats.ttest_1samp(d, 0).pvalue
    assert sign_flip_p(d, rng=np.random.default_rng(4)) == pytest.approx(p, abs=4 * np.sqrt(p / 9999))


def test_users_without_a_difference_change_nothing():
    d = np.random.default_rng(5).normal(0.5, 1, 10)
    padded = np.concatenate([d, np.zeros(500)])
    assert sign_flip_p(padded, rng=np.random.default_rng(0)) == sign_flip_p(d, rng=np.random.default_rng(0))
    assert sign_flip_p(np.zeros(5), rng=np.random.default_rng(0)) == 1.0
    assert sign_flip_p(np.array([0.0, 0.0, 3.0]), rng=np.random.default_rng(0)) == 1.0


def test_p_is_never_zero_and_the_floor_is_one_draw():
    assert sign_flip_p(np.ones(1000), resamples=999, rng=np.random.default_rng(0)) == 1 / 1000


def test_ties_count_as_reached_whatever_the_order_of_the_sum():
    """Every sign vector of equal differences with an equal sum must tie exactly, rounding or not."""
    d = np.full(16, 0.1)
    d[:4] = -0.1
    exact = np.mean([abs(sum(signs)) >= 8 for signs in product([-1, 1], repeat=16)])
    p = sign_flip_p(d, rng=np.random.default_rng(6))
    assert abs(p - exact) < 4 * np.sqrt(exact / 9999)


def test_difference_weights_give_the_coefficient_of_a_regression_on_group_and_strata():
    rng = np.random.default_rng(7)
    strata, first, x = rng.integers(0, 5, 200), rng.random(200) < 0.3, rng.standard_normal(200)
    first[strata == 4] = True
    design = np.column_stack([first, *(strata == s for s in range(5))]).astype(float)
    coefficient = np.linalg.lstsq(design, x, rcond=None)[0][0]
    weights = difference_weights(first, strata)
    assert weights @ x == pytest.approx(coefficient, abs=1e-12)
    assert (weights[strata == 4] == 0).all()


def test_group_labels_permuted_within_strata_agree_with_complete_enumeration():
    rng = np.random.default_rng(8)
    strata = np.repeat([0, 1], [6, 5])
    first = np.array([1, 1, 0, 0, 0, 0, 1, 1, 1, 0, 0], dtype=bool)
    x = rng.standard_normal(11) + 0.8 * first + 5 * strata
    observed, reached = abs(difference_weights(first, strata) @ x), []
    for one, two in product(combinations(range(6), 2), combinations(range(6, 11), 3)):
        chosen = np.isin(np.arange(11), one + two)
        reached.append(abs(difference_weights(chosen, strata) @ x) >= observed - 1e-12)
    exact = np.mean(reached)
    p = label_permutation_p(x, first, strata=strata, rng=np.random.default_rng(9))
    assert 0.02 < exact < 0.9
    assert abs(p - exact) < 4 * np.sqrt(exact * (1 - exact) / 9999)


def test_unstratified_groups_agree_with_scipy():
    rng = np.random.default_rng(10)
    x, y = rng.normal(0.4, 1, 30), rng.normal(0, 1, 70)
    theirs = stats.permutation_test(
        (x, y), lambda a, b, axis: a.mean(axis) - b.mean(axis), n_resamples=9999, random_state=11
    ).pvalue
    for first, values in (
        (np.arange(100) < 30, np.concatenate([x, y])),
        (np.arange(100) >= 30, np.concatenate([x, y])),
    ):
        p = label_permutation_p(values, first, rng=np.random.default_rng(12))
        assert abs(p - theirs) < 4 * np.sqrt(2 * theirs / 9999)


def test_strata_that_differ_in_level_do_not_pass_for_a_difference_of_groups():
    def erred(rng, stratified):
        strata = np.repeat([0, 1], 60)
        first = rng.random(120) < np.where(strata == 0, 0.2, 0.8)
        x = rng.standard_normal(120) + strata
        return label_permutation_p(x, first, strata=strata if stratified else None, resamples=199, rng=rng) <= 0.05

    rate = measure_error_rate(lambda rng: erred(rng, True), 300, np.random.default_rng(13))
    assert rate.contains_nominal
    assert measure_error_rate(lambda rng: erred(rng, False), 50, np.random.default_rng(14)).exceeds_nominal


@pytest.mark.parametrize(
    ("first", "strata", "message"),
    [
        (np.array([1, 0, 1]), None, "boolean"),
        (np.array([True, True, True]), None, "both groups"),
        (np.array([True, True, False]), np.array([0, 0, 1]), "common stratum"),
        (np.array([True, False]), None, "each of the 3 rows"),
    ],
)
def test_groups_that_cannot_be_compared_are_refused(first, strata, message):
    with pytest.raises(InvalidInput, match=message):
        label_permutation_p(np.arange(3.0), first, strata=strata, rng=np.random.default_rng(0))


def test_nan_is_refused_with_its_row():
    with pytest.raises(InvalidInput, match="row 1 is nan"):
        sign_flip_p(np.array([0.0, np.nan]), rng=np.random.default_rng(0))
