"""Familiarity of users against sparsity and commitment of their codes, as named values (question E11)."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from collabtheory.data import Interactions
from collabtheory.latent.changed_histories import LENGTHS, length_experiment, replace_items
from collabtheory.latent.code_sparsity import code_sparsity
from collabtheory.latent.collaboration_values import Values
from collabtheory.latent.familiarity import familiarity, familiarity_effects
from collabtheory.models.recommender import Recommender

EXCHANGED_SHARE = 0.5
"""Of each user's items that popular or rare ones replace; the rest keeps the user recognisable."""
LARGEST_SHARE_OF_ITEMS = 1 / 3
"""Users with more of all items than this have too few others to exchange theirs for."""


def add_familiarity(
    values: Values, recommender: Recommender, data: Interactions, rows: np.ndarray, *, rng: np.random.Generator
) -> None:
    """Add rank correlations, and the paired differences of experiments on the same users.

    Parameters
    ----------
    values
        Where the numbers go. ``familiarity.correlation.A.B``: of familiarity A with outcome B over users;
        ``familiarity.partial.A.B``: at fixed other familiarities. Mean paired differences of an outcome:
        ``familiarity.shorter_history.B`` (shortest random part of the history minus longest),
        ``familiarity.per_doubling.B`` (slope on the logarithm of the length), ``familiarity.popular_minus_rare.B``
        (half of the items exchanged for popular ones, against rare ones), ``familiarity.unrelated_items.B`` (all
        items exchanged for others of the same popularity, minus the user's own), ``familiarity.uniform_items.B``
        (for any others). The outcome ``popularity`` of the last three checks the exchange itself (mean logarithm of
        the items' popularity): about 0 for unrelated items, unless the catalogue is too small. Users who cannot take
        part have None in ``per_user``.
    recommender, data, rows
        The model, its data, and row numbers of users with items, ascending.
    rng
        Source of the draws.

    Examples
    --------
    >>> from collabtheory.data.planted import PlantedWorld, generate
    >>> from collabtheory.models import ModelSpec, MultVAE, from_mult_vae
    >>> world = generate(PlantedWorld(n_users=40), 0)
    >>> model = from_mult_vae(MultVAE(ModelSpec(hidden=(4,), latent=2), 480, np.random.default_rng(0)))
    >>> values = Values(40)
    >>> add_familiarity(values, model, world, np.arange(40), rng=np.random.default_rng(1))
    >>> values.as_json()["values"]["familiarity.per_doubling.kl"]["n"] > 10
    True
    """
    original = code_sparsity(recommender.posterior(data.matrix[rows]))
    for effect in familiarity_effects(familiarity(data, rows), original):
        name = f"{effect.familiarity}.{effect.outcome}"
        values.estimate(f"familiarity.correlation.{name}", effect.plain)
        values.estimate(f"familiarity.partial.{name}", effect.given_others)
    by_length, by_items = rng.spawn(2)
    _add_lengths(values, recommender, data, rows, by_length)
    _add_exchanges(values, recommender, data, rows, by_items)


def _add_lengths(
    values: Values, recommender: Recommender, data: Interactions, rows: np.ndarray, rng: np.random.Generator
) -> None:
    # Only as long as a third of the users can take part; where histories are short, half of that and all of it.
    longest = int(np.quantile(data.sizes[rows], 2 / 3))
    lengths = tuple(length for length in LENGTHS if length <= longest)
    if len(lengths) < 2:
        lengths = (longest // 2, longest)
    if lengths[0] < 1:
        return
    found = length_experiment(recommender, data, rows, lengths=lengths, rng=rng)
    for outcome in vars(found.codes[0]):
        for name, changes in (
            ("shorter_history", found.shortest_minus_longest(outcome)),
            ("per_doubling", found.per_doubling(outcome)),
        ):
            values.mean(f"familiarity.{name}.{outcome}", _spread_out(changes, found.users, rows), keep=True)


def _add_exchanges(
    values: Values, recommender: Recommender, data: Interactions, rows: np.ndarray, rng: np.random.Generator
) -> None:
    exchangeable = rows[data.sizes[rows] <= LARGEST_SHARE_OF_ITEMS * data.n_items]
    if len(exchangeable) < 2:
        return
    contents, counts = data.matrix[exchangeable], np.asarray(data.matrix.sum(0)).ravel()
    seed = int(rng.integers(2**63))

    logs = np.log(np.maximum(counts, 1.0))

    def outcomes(changed: sparse.csr_array) -> dict[str, np.ndarray]:
        popularity = changed @ logs / data.sizes[exchangeable]
        return {**vars(code_sparsity(recommender.posterior(changed))), "popularity": popularity}

    def with_others(kind: str, share: float) -> dict[str, np.ndarray]:
        # The same state, so that the same items go under every kind.
        return outcomes(replace_items(contents, counts, kind, share=share, rng=np.random.default_rng(seed)))

    own = outcomes(contents)
    pairs = {
        "popular_minus_rare": (with_others("popular", EXCHANGED_SHARE), with_others("rare", EXCHANGED_SHARE)),
        "unrelated_items": (with_others("similar", 1.0), own),
        "uniform_items": (with_others("uniform", 1.0), own),
    }
    for name, (first, second) in pairs.items():
        for outcome in own:
            changes = _spread_out(first[outcome] - second[outcome], exchangeable, rows)
            values.mean(f"familiarity.{name}.{outcome}", changes, keep=True)


def _spread_out(changes: np.ndarray, users: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return one entry for each of ``rows`` (ascending): NaN for those who took no part."""
    everyone = np.full(len(rows), np.nan)
    everyone[np.searchsorted(rows, users)] = changes
    return everyone
