"""Everything the empirical claims ask of one model, as numbers that can be stored and compared between models."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy import sparse

from collabtheory.data import Interactions
from collabtheory.errors import InvalidInput
from collabtheory.latent.code_sparsity import code_sparsity
from collabtheory.latent.cohort_mixing import cohort_mixing
from collabtheory.latent.collaboration_values import Values, spread_and_overlap
from collabtheory.latent.familiarity_report import add_familiarity
from collabtheory.latent.masked_codes import EncodeMasked, drift_between, masked_posteriors, thinned
from collabtheory.latent.mutual_information import mutual_information
from collabtheory.models.posterior import DiagonalGaussian
from collabtheory.models.recommender import Recommender
from collabtheory.transfer.collaboration import CollaborationMass, collaboration_mass
from collabtheory.transfer.pair_sets import PairSets, pair_sets

REFERENCE_KEEP_PROBABILITY = 0.5
"""At which every model is masked besides its own, so that models can be compared."""


@dataclass(frozen=True)
class MeasureProfile:
    """How much is measured: users, codes a user, steps, draws of masks, users of the information, number type."""

    n_users: int
    n_samples: int
    n_sources: int
    n_draws: int
    n_information: int
    dtype: torch.dtype


PROFILES = {
    "quick": MeasureProfile(400, 4, 32, 4, 1500, torch.float32),
    "full": MeasureProfile(400, 8, 400, 8, 5000, torch.float64),
}


def measure_model(
    recommender: Recommender,
    data: Interactions,
    *,
    rng: np.random.Generator,
    users: np.ndarray | None = None,
    profile: str = "quick",
    k: int = 20,
    encode_masked: EncodeMasked | None = None,
) -> dict[str, Any]:
    """Measure collaboration, drift, mixing, sparsity, information, overlap, spread and familiarity of a model.

    Parameters
    ----------
    recommender
        The model.
    data
        Interactions with the model's items as columns.
    rng
        Source of everything drawn. The same state draws the same users, so that models are compared user by user.
    users
        Row numbers of users with items; drawn at random if None.
    profile
        ``"quick"`` or ``"full"``.
    k
        Neighbours, in input and latent; fewer on small data.
    encode_masked
        How to mask a model whose layers are not known.

    Returns
    -------
    dict
        Ready for JSON. ``about``: profile, k and the maskings. ``users``: row numbers. ``values``: by name,
        ``{"value", "low", "high", "n"}`` (None where not defined). ``per_user``: by name, one entry a user.
        Names say the masking: ``own`` (the model's; absent if it masks nothing), ``reference`` (its convention at
        keep probability 0.5; absent without layers), ``thinned`` (half the items taken away; any model).

    Raises
    ------
    InvalidInput
        If the profile is unknown, or there are fewer than 12 users.

    Examples
    --------
    >>> from collabtheory.data.planted import PlantedWorld, generate
    >>> from collabtheory.models import ModelSpec, MultVAE, from_mult_vae
    >>> world = generate(PlantedWorld(n_users=40), 0)
    >>> model = from_mult_vae(MultVAE(ModelSpec(hidden=(4,), latent=2), 480, np.random.default_rng(0)))
    >>> found = measure_model(model, world, rng=np.random.default_rng(1))
    >>> sorted(found["values"]["drift.own.between_draws"]), len(found["users"])
    (['high', 'low', 'n', 'value'], 40)
    """
    if profile not in PROFILES:
        raise InvalidInput(f"profile must be one of {', '.join(map(repr, PROFILES))}; it is {profile!r}")
    extent = PROFILES[profile]
    # One source a measure: what one of them draws never moves another.
    choice, *sources = rng.spawn(8)
    rows = _choose(data, users, extent.n_users, choice)
    sets = pair_sets(data, rows, k=k)
    measured = _Measurement(recommender, data, rows, sets, extent, Values(len(rows)))
    maskings = maskings_of(recommender, encode_masked)
    measured.clean_collaboration(sources[0])
    measured.codes(sources[1])
    # Where the model's own masking is the reference, the two have the same state and come out the same.
    seeds = [int(source.integers(2**63)) for source in (sources[2], sources[4])]
    for name, seed in (("own", seeds[0]), ("reference", seeds[0]), ("thinned", seeds[1])):
        if name in maskings:
            measured.masking(name, maskings[name], np.random.default_rng(seed))
    measured.information(sources[5])
    if measured.clean.n_dimensions > 1:
        add_familiarity(measured.values, recommender, data, rows, rng=sources[6])
    about = {"profile": profile, "k": sets.k, "maskings": sorted(maskings), "n_users": len(rows)}
    return {"about": about, "users": rows.tolist(), **measured.values.as_json()}


def maskings_of(recommender: Recommender, encode_masked: EncodeMasked | None = None) -> dict[str, EncodeMasked]:
    """Return the ways to mask a model's input that are known, by name; see :func:`measure_model`."""
    layers = recommender.layers

    def with_layers(keep_probability: float) -> EncodeMasked:
        def encode(contents: sparse.csr_array, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
            (draw,) = masked_posteriors(recommender, contents, 1, rng=rng, keep_probability=keep_probability)
            return draw.numpy()

        return encode

    def by_thinning(contents: sparse.csr_array, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        return recommender.encode(thinned(contents, REFERENCE_KEEP_PROBABILITY, rng))

    found: dict[str, EncodeMasked] = {"thinned": by_thinning}
    if layers is not None:
        found["reference"] = with_layers(REFERENCE_KEEP_PROBABILITY)
        if layers.keep_probability < 1:
            found["own"] = with_layers(layers.keep_probability)
    if encode_masked is not None:
        found["own"] = encode_masked
    return found


@dataclass(frozen=True, eq=False)
class _Measurement:
    """One model and its users; each method adds its numbers to ``values``."""

    recommender: Recommender
    data: Interactions
    rows: np.ndarray
    sets: PairSets
    extent: MeasureProfile
    values: Values

    @property
    def contents(self) -> sparse.csr_array:
        return self.data.matrix[self.rows]

    @property
    def clean(self) -> DiagonalGaussian:
        return self.recommender.posterior(self.contents)

    def clean_collaboration(self, rng: np.random.Generator) -> None:
        found = self._collaboration(rng, self.extent.n_sources, None)
        self.values.help("collaboration.clean.cosine", found.by_cosine)
        if found.by_loss_change is not None:
            self.values.help("collaboration.clean.loss_change", found.by_loss_change)

    def codes(self, rng: np.random.Generator) -> None:
        posterior, sizes = self.clean, self.data.sizes[self.rows]
        mixing = cohort_mixing(posterior, sizes, self.sets.k)
        for name in ("same", "mixing", "assortativity", "size_correlation"):
            self.values.estimate(f"mixing.{name}", getattr(mixing, name))
        self.values.number("mixing.by_chance", mixing.by_chance, len(sizes))
        self.values.vector("mixing.same", mixing.per_user_same)
        if posterior.n_dimensions > 1:
            for name, vector in vars(code_sparsity(posterior)).items():
                self.values.mean(f"sparsity.{name}", vector, keep=True)
        spread_and_overlap(self.values, posterior, self.sets)

    def masking(self, name: str, masking: EncodeMasked, rng: np.random.Generator) -> None:
        drawn, coded = rng.spawn(2)
        draws = masked_posteriors(
            self.recommender, self.contents, self.extent.n_draws, rng=drawn, encode_masked=masking
        )
        drift = drift_between(self.clean, draws, self.sets.k)
        self.values.mean(f"drift.{name}.between_draws", drift.between_draws, keep=True)
        self.values.mean(f"drift.{name}.with_clean", drift.with_clean, keep=True)
        self.values.number("drift.by_chance", drift.by_chance, len(self.rows))
        self.values.mask_spread(f"spread.{name}", self.clean, draws)
        found = self._collaboration(coded, 0, masking)
        self.values.help(f"collaboration.{name}.cosine", found.by_cosine)

    def information(self, rng: np.random.Generator) -> None:
        eligible = np.flatnonzero(self.data.sizes > 0)
        rows = np.sort(rng.permutation(eligible)[: self.extent.n_information])
        found = mutual_information(self.recommender.posterior(self.data.matrix[rows]), rng=rng)
        for name, part in (("mutual", found.information), ("aggregate", found.aggregate)):
            self.values.monte_carlo(f"information.{name}", part.value, part.standard_error, found.n_users)
        for name, value in (("upper", found.upper), ("rate", found.rate), ("active_units", found.n_active)):
            self.values.number(f"information.{name}", float(value), found.n_users)
        self.values.number("information.log_n_users", float(np.log(found.n_users)), found.n_users)

    def _collaboration(
        self, rng: np.random.Generator, n_sources: int, masking: EncodeMasked | None
    ) -> CollaborationMass:
        return collaboration_mass(
            self.recommender,
            self.data,
            users=self.rows,
            n_samples=self.extent.n_samples,
            sets=self.sets,
            n_sources=n_sources,
            masked=masking is not None,
            encode_masked=masking,
            dtype=self.extent.dtype,
            rng=rng,
        )


def _choose(data: Interactions, users: np.ndarray | None, n_users: int, rng: np.random.Generator) -> np.ndarray:
    if users is None:
        users = rng.permutation(np.flatnonzero(data.sizes > 0))[:n_users]
    rows = np.unique(np.asarray(users))
    if len(rows) < 12:
        raise InvalidInput(f"measures of pairs need at least 12 users with items; there are {len(rows)}")
    return rows
