"""Exact laws beside real pairs, as tables: the masking law over its grid, and what one code for two users costs."""

from __future__ import annotations

import numpy as np
import pandas as pd

from collabtheory.latent.compromise_bounds import compromise_gap_bounds
from collabtheory.latent.compromise_gap import pointwise_gap
from collabtheory.latent.masking_bounds import tail_bound
from collabtheory.latent.masking_law import MaskingLaw
from collabtheory.latent.overlap_integrals import compromise_gap
from collabtheory.latent.posterior_overlap import log_affinity
from collabtheory.models.posterior import DiagonalGaussian

SIDES = np.unique(np.round(np.geomspace(1, 1000, 32)).astype(np.int64))
"""Sizes at which the masking law is tabulated: each small one, then even in the logarithm, as far as users differ."""
KEEP_PROBABILITIES = (0.3, 0.5, 0.7, 0.9)
FACTOR = 0.8
LIKELIHOODS = ("multinomial", "bernoulli", "gaussian", "poisson")


def masking_grid() -> pd.DataFrame:
    r"""Return the law of masked input distances (Theorem 2.6) for ``delta`` and ``s`` (also 0) at the :data:`SIDES`.

    Columns ``keep_probability``, ``delta``, ``s``; ``contracts``, :math:`P(D_h < \delta)`, and ``expands``,
    :math:`P(D_h > \delta)`, exact to rounding; ``mean`` of :math:`D_h`; and, for :math:`P(D_h \le c\,\delta)` with c =
    0.8, ``tail`` (exact), ``hoeffding`` and ``chernoff`` (its upper bounds; NaN where the mean is below the threshold,
    and they speak of the other tail).
    """
    delta, shared = (side.ravel() for side in np.meshgrid(SIDES, np.append(0, SIDES)))
    return pd.concat([_law(MaskingLaw(rho), delta, shared) for rho in KEEP_PROBABILITIES], ignore_index=True)


def _law(law: MaskingLaw, delta: np.ndarray, shared: np.ndarray) -> pd.DataFrame:
    mean, threshold = law.mean(delta, shared), FACTOR * delta
    bounds = {
        method: np.where(threshold <= mean, tail_bound(threshold, delta, shared, law, method=method), np.nan)
        for method in ("hoeffding", "chernoff")
    }
    return pd.DataFrame(
        {
            "keep_probability": law.keep_probability,
            "delta": delta,
            "s": shared,
            "contracts": law.cdf(delta - 1, delta, shared),
            "expands": law.tail(delta + 1, delta, shared),
            "mean": mean,
            "tail": law.contraction_probability(delta, shared, FACTOR),
            **bounds,
        }
    )


def compromise_table(
    pairs: pd.DataFrame, p: DiagonalGaussian, q: DiagonalGaussian, *, rng: np.random.Generator, n_samples: int = 128
) -> pd.DataFrame:
    """Return the compromise gap (Theorem 2.5) of real pairs under every likelihood.

    Parameters
    ----------
    pairs
        Rows of a pair table: ``u``, ``v``, ``n_u``, ``n_v``, ``shared_items``, ``input_distance``.
    p, q
        Posteriors of ``u`` and of ``v``, row by row.
    rng, n_samples
        Source and number of codes a pair.

    Returns
    -------
    pandas.DataFrame
        ``u``, ``v``, ``likelihood``; ``log_overlap``, logarithm of the affinity; ``delta``, items that one of the two
        has alone; ``gap`` and its ``standard_error``, nats; ``lower`` and ``upper``, bounds without sampling; ``full``,
        the gap at equal posteriors.
    """
    sizes = tuple(pairs[name].to_numpy(dtype=np.float64) for name in ("n_u", "n_v", "shared_items"))
    overlap = log_affinity(p, q)
    frames = []
    for likelihood, source in zip(LIKELIHOODS, rng.spawn(len(LIKELIHOODS)), strict=True):
        found = compromise_gap(likelihood, p, q, *sizes, n_samples=n_samples, rng=source)
        bounds = compromise_gap_bounds(likelihood, p, q, *sizes)
        frames.append(
            pd.DataFrame(
                {
                    "u": pairs["u"].to_numpy(),
                    "v": pairs["v"].to_numpy(),
                    "likelihood": likelihood,
                    "log_overlap": overlap,
                    "delta": pairs["input_distance"].to_numpy(),
                    "gap": found.value,
                    "standard_error": found.standard_error,
                    "lower": bounds.lower,
                    "upper": bounds.upper,
                    "full": np.asarray(pointwise_gap(likelihood, 1.0, 1.0, *sizes)),
                }
            )
        )
    return pd.concat(frames, ignore_index=True)
