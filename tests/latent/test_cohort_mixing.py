"""Cohorts among latent neighbours: isolated and mixed by construction, chance by permuted labels, a published table."""

from __future__ import annotations

import numpy as np
import pytest

from collabtheory.errors import InvalidInput
from collabtheory.latent.cohort_mixing import assortativity_of, cohort_mixing, cohorts, mixing_of_neighbours
from collabtheory.models.posterior import DiagonalGaussian


def posterior(centres: np.ndarray, seed: int = 0) -> DiagonalGaussian:
    rng = np.random.default_rng(seed)
    return DiagonalGaussian(centres[:, None] + 0.1 * rng.standard_normal((len(centres), 3)), np.ones((len(centres), 3)))


def test_cohorts_are_the_published_ones() -> None:
    assert cohorts(np.array([5, 10, 11, 50, 51, 100, 101, 5000])).tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    with pytest.raises(InvalidInput, match="increase"):
        cohorts(np.array([5]), (11, 11))


def test_cohorts_apart_are_isolated_and_cohorts_on_one_spot_mix_as_by_chance() -> None:
    sizes = np.repeat([7, 30, 80, 200], 60)
    apart = cohort_mixing(posterior(cohorts(sizes) * 50.0), sizes, 10)
    assert (apart.same.value, apart.mixing.value, apart.assortativity.value) == (1.0, 0.0, 1.0)
    assert apart.size_correlation.value == pytest.approx(1.0)
    together = cohort_mixing(posterior(np.zeros(240)), sizes, 10)
    assert together.mixing.low < 1 < together.mixing.high
    assert together.assortativity.low < 0 < together.assortativity.high
    assert abs(together.size_correlation.value) < 0.1


def test_expectation_is_the_mean_over_permuted_labels() -> None:
    rng = np.random.default_rng(0)
    sizes = rng.choice([6, 20, 70, 150], 40, p=[0.5, 0.3, 0.15, 0.05])
    labels = cohorts(sizes)
    indices = np.array([rng.permutation(np.delete(np.arange(40), u))[:5] for u in range(40)])
    shares = []
    for _ in range(4000):
        permuted = rng.permutation(labels)
        shares.append((permuted[:, None] == permuted[indices]).mean())
    expected = mixing_of_neighbours(indices, sizes, labels).by_chance
    assert expected == pytest.approx(np.mean(shares), abs=5 * np.std(shares) / np.sqrt(4000))


def test_shares_of_a_user_are_counted_by_hand() -> None:
    indices = np.array([[1, 2], [0, 2], [3, 0], [2, 1]])
    found = mixing_of_neighbours(indices, np.array([5, 6, 20, 21]), np.array([0, 0, 1, 1]))
    assert found.per_user_same.tolist() == [0.5, 0.5, 0.5, 0.5]
    assert found.per_user_by_chance.tolist() == [1 / 3] * 4
    assert found.mixing.value == pytest.approx(0.5 / (2 / 3))


def test_assortativity_is_that_of_the_mixing_matrix_in_newmans_paper() -> None:
    # Table I of Physical Review E 67, 026126: couples in San Francisco, r = 0.621.
    shares = np.array(
        [
            [0.258, 0.016, 0.035, 0.013],
            [0.012, 0.157, 0.058, 0.019],
            [0.013, 0.023, 0.306, 0.035],
            [0.005, 0.007, 0.024, 0.016],
        ]
    )
    counts = np.rint(1000 * shares).astype(int)
    first, second = np.divmod(np.repeat(np.arange(16), counts.ravel()), 4)
    assert assortativity_of(first, second) == pytest.approx(0.621, abs=0.002)


def test_one_cohort_only_has_no_mixing() -> None:
    found = cohort_mixing(posterior(np.zeros(20)), np.full(20, 8), 3)
    assert np.isnan(found.mixing.value)
    assert np.isnan(found.assortativity.value)
    assert found.same.value == found.by_chance == 1.0


def test_lengths_that_differ_are_refused() -> None:
    with pytest.raises(InvalidInput, match="one a user"):
        cohort_mixing(posterior(np.zeros(5)), np.array([5, 6]), 1)
