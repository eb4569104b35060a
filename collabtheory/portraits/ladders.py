"""Models that differ in one setting, side by side: how the setting contracts, collapses, mixes and ranks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from collabtheory.data import Interactions
from collabtheory.data.split import FoldIn
from collabtheory.errors import InvalidInput
from collabtheory.latent.drift import mean_over_users
from collabtheory.latent.kl_decomposition import kl_per_unit
from collabtheory.latent.masked_codes import drift_between, masked_posteriors
from collabtheory.latent.mutual_information import mutual_information
from collabtheory.latent.pair_contraction import contraction
from collabtheory.latent.posterior_collapse import collapse
from collabtheory.models.posterior import DiagonalGaussian
from collabtheory.models.recommender import Recommender
from collabtheory.ranking import Scorer, evaluate
from collabtheory.stats import Estimate, grouped_jackknife

MASK_DRAWS = 4
INFORMATION_USERS = 1500
ACCURACY = "ndcg@100"
COLUMNS = ("value", "quantity", "middle", "low", "high", "n")


@dataclass(frozen=True)
class Rung:
    """One model of a ladder: its recommender in float64, and how it scores."""

    recommender: Recommender
    scores: Scorer


def measure_ladder(
    rungs: Mapping[float, Rung], data: Interactions, users: np.ndarray, tested: FoldIn, *, rng: np.random.Generator
) -> pd.DataFrame:
    """Measure every model of a ladder on the same users, masks and tests.

    Parameters
    ----------
    rungs
        Models by the value of their setting; the smallest value is what the others are compared with.
    data
        Interactions with the models' items as columns.
    users
        Row numbers of at least 12 users whose pairs are compared.
    tested
        Users for nDCG@100.
    rng
        Source of masks and codes, the same for every model.

    Returns
    -------
    pandas.DataFrame
        Columns ``value``, ``quantity``, ``middle``, ``low``, ``high``, ``n``; a row for each of

        - ``contraction``: ``W_2`` of a pair over that at the smallest value, median and middle 90 % of the pairs;
        - ``mean_w2``: mean ``W_2`` of pairs, latent units; ``kl``: nats a user; ``ndcg``: nDCG@100; ``kept``: Jaccard
          overlap of latent neighbours between two draws of masks (absent where the model masks nothing); all with 95 %
          intervals over users;
        - ``kept_at_half``: the same with every model masked at keep probability one half;
        - ``active_units``, a count, and ``information``, nats that codes tell of the user (Monte Carlo interval).

    Raises
    ------
    InvalidInput
        With fewer than two models or 12 users.
    """
    if len(rungs) < 2 or len(users) < 12:
        raise InvalidInput(f"a ladder needs 2 models and 12 users; there are {len(rungs)} and {len(users)}")
    contents = data.matrix[users]
    posteriors = {value: rungs[value].recommender.posterior(contents) for value in sorted(rungs)}
    first = next(iter(posteriors.values()))
    state = rng.bit_generator.state
    rows = []
    for value, posterior in posteriors.items():
        rng.bit_generator.state = state  # every model meets the same masks and noise
        found = [
            *_distances(first, posterior),
            *_codes(posterior),
            *_drift(rungs[value].recommender, data, users, posterior, rng),
            *_information(rungs[value].recommender, data, rng),
            (
                "ndcg",
                mean_over_users(evaluate(rungs[value].scores, tested, metrics=(ACCURACY,), count_at=())[ACCURACY]),
            ),
        ]
        rows += [(value, name, one.value, one.low, one.high, one.n) for name, one in found]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _distances(first: DiagonalGaussian, posterior: DiagonalGaussian) -> Iterator[tuple[str, Estimate]]:
    found = contraction(first, posterior)
    low, middle, high = np.quantile(found.ratio, [0.05, 0.5, 0.95]) if len(found.ratio) else [np.nan] * 3
    yield "contraction", Estimate(float(middle), float(low), float(high), len(found.ratio))
    yield "mean_w2", grouped_jackknife(lambda chosen: float(found.after[chosen].mean()), found.first, found.second)


def _codes(posterior: DiagonalGaussian) -> Iterator[tuple[str, Estimate]]:
    yield "kl", mean_over_users(kl_per_unit(posterior).sum(1))
    active = float(collapse(posterior).n_active)
    yield "active_units", Estimate(active, active, active, posterior.n_users)


def _drift(
    recommender: Recommender,
    data: Interactions,
    users: np.ndarray,
    clean: DiagonalGaussian,
    rng: np.random.Generator,
) -> Iterator[tuple[str, Estimate]]:
    layers = recommender.layers
    if layers is None:
        return
    k = min(20, max(1, len(users) // 8))
    for name, keep_probability in (("kept", layers.keep_probability), ("kept_at_half", 0.5)):
        if keep_probability < 1:
            draws = masked_posteriors(
                recommender, data.matrix[users], MASK_DRAWS, rng=rng, keep_probability=keep_probability
            )
            yield name, mean_over_users(drift_between(clean, draws, k).between_draws)


def _information(
    recommender: Recommender, data: Interactions, rng: np.random.Generator
) -> Iterator[tuple[str, Estimate]]:
    rows = np.sort(rng.permutation(np.flatnonzero(data.sizes > 0))[:INFORMATION_USERS])
    found = mutual_information(recommender.posterior(data.matrix[rows]), rng=rng).information
    reach = 1.96 * found.standard_error
    yield "information", Estimate(found.value, found.value - reach, found.value + reach, len(rows))
