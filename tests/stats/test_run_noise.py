"""Standard errors over runs: closed forms, and unbiasedness under the model they are made for."""

import numpy as np
import pytest
from scipy import stats

from collabtheory.errors import InvalidInput
from collabtheory.stats.run_noise import crossed_error, nested_error, run_level_error


def test_equal_folds_give_the_standard_error_of_their_means():
    rng = np.random.default_rng(0)
    runs = np.arange(100) % 5
    values = rng.standard_normal(100) + runs
    error, degrees = run_level_error(values, np.arange(100), runs)
    assert error == pytest.approx(stats.sem([values[runs == r].mean() for r in range(5)]))
    assert degrees == 4


def test_seeds_within_a_fold_are_averaged_and_do_not_count_as_runs():
    rng = np.random.default_rng(1)
    folds, values = np.arange(60) % 3, rng.standard_normal((60, 4))
    users = np.repeat(np.arange(60), 4)
    averaged = run_level_error(values.mean(1), np.arange(60), folds)
    assert run_level_error(values.ravel(), users, folds[users]) == pytest.approx(averaged)


def test_crossed_table_without_user_effect_has_the_error_of_the_run_means():
    table = np.random.default_rng(2).standard_normal(4) + np.zeros((30, 1))
    error, degrees = crossed_error(table)
    assert (error, degrees) == (pytest.approx(stats.sem(table[0])), pytest.approx(3))


def test_crossed_error_without_run_noise_is_that_of_the_user_means():
    users = np.random.default_rng(3).standard_normal(30)
    error, degrees = crossed_error(np.repeat(users[:, None], 4, axis=1))
    assert (error, degrees) == (pytest.approx(stats.sem(users)), pytest.approx(29))


def test_a_table_without_any_spread_has_no_error():
    assert crossed_error(np.full((3, 4), 0.5)) == (0.0, 3.0)


@pytest.mark.parametrize(("user_sd", "run_sd", "cell_sd"), [(1.0, 0.3, 0.5), (1.0, 0.0, 0.5), (0.5, 1.0, 1.0)])
def test_crossed_variance_is_unbiased(user_sd, run_sd, cell_sd):
    rng = np.random.default_rng(4)
    tables = (
        rng.normal(0, user_sd, (2000, 20, 1))
        + rng.normal(0, run_sd, (2000, 1, 4))
        + rng.normal(0, cell_sd, (2000, 20, 4))
    )
    squares = [crossed_error(table)[0] ** 2 for table in tables]
    truth = user_sd**2 / 20 + run_sd**2 / 4 + cell_sd**2 / 80
    assert np.mean(squares) == pytest.approx(truth, abs=4 * np.std(squares) / np.sqrt(2000))


def test_scores_of_one_run_cancel():
    assert nested_error(np.array([1.0, -1.0, 2.0, -2.0]), np.array([0, 0, 1, 1])) == (0.0, 1.0)


@pytest.mark.parametrize(
    ("users", "runs", "message"),
    [
        ([0, 1, 2], [0, 0, 0], "at least 2 runs"),
        ([0, 0, 1], [0, 1, 0], "each user must be in one run"),
    ],
)
def test_designs_without_an_exact_error_are_refused(users, runs, message):
    with pytest.raises(InvalidInput, match=message):
        run_level_error(np.arange(3.0), np.array(users), np.array(runs))
