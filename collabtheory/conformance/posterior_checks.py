"""Checks of the posterior: is sigma a standard deviation, is the noise standard normal, does the code say anything."""

from __future__ import annotations

import math

import numpy as np
from scipy import sparse, stats

from collabtheory.conformance.finding import Outcome, fine, not_checked, suspicious, wrong
from collabtheory.conformance.under_test import Probe, VaeUnderTest, same, to_array

FALSE_ALARM_RATE = 1e-3
"""Probability that correct noise is called wrong."""
N_DRAWS = 20_000
N_CALLS = 20
SILENT = 1e-5
"""Noise of a smaller standard deviation than this is none."""
UNSHAPED = 0.03
"""Mean of ``|sigma - 1|`` in active dimensions below which only the KL term can have shaped sigma.

Mult-VAE (I-100-32) trained on ml-100k with right noise has .14 after 15 epochs and .37 after 60, with noise of standard
deviation .01 it has .014 and .008.
"""
ACTIVE = 0.1
"""A latent dimension is active where its means differ by more than this standard deviation between users."""


def standard_deviation(model: VaeUnderTest, probe: Probe, rng: np.random.Generator) -> Outcome:
    """Check that sigma is positive and finite, and not a log-variance."""
    smallest = float(np.nan_to_num(probe.sigma, nan=-np.inf).min())
    if not np.isfinite(probe.sigma).all():
        return wrong("sigma has entries that are NaN or infinite: bound the log-variance, or look for 0/0 before it.")
    if smallest < 0:
        return wrong(
            "sigma has negative entries: the second output is a log-variance. Return exp(log_variance / 2).",
            smallest=smallest,
        )
    if smallest == 0:
        return wrong("sigma is 0 somewhere: no Gaussian. Return exp(log_variance / 2).", smallest=0.0)
    return fine("positive and finite", smallest=smallest, largest=float(probe.sigma.max()))


def posterior_spread(model: VaeUnderTest, probe: Probe, rng: np.random.Generator) -> Outcome:
    """Check that posteriors tell users apart, and that the reconstruction shaped sigma at all."""
    if probe.trouble:
        return not_checked(probe.trouble)
    active = probe.mu.std(0) > ACTIVE
    numbers = {"active": float(active.sum()), "of": float(probe.mu.shape[1])}
    if not active.any():
        return suspicious(
            "no latent dimension tells these users apart: the posterior has collapsed or the model is untrained.",
            **numbers,
        )
    deviation = float(np.abs(probe.sigma[:, active] - 1).mean())
    if deviation < UNSHAPED:
        return suspicious(
            "sigma is 1 in every active dimension, though these carry information: only the KL term shaped it. Look "
            "for noise that hardly reaches the decoder (a factor .01). Distances and overlaps of such posteriors mean "
            "nothing.",
            deviation=deviation,
            **numbers,
        )
    return fine("sigma differs from 1 where the means carry information", deviation=deviation, **numbers)


def latent_size(model: VaeUnderTest, probe: Probe, rng: np.random.Generator) -> Outcome:
    """Check that the code has as many dimensions as were asked for."""
    d = probe.mu.shape[1]
    if model.latent is None:
        return not_checked("latent (the number of dimensions asked for) was not given", d=d)
    if d == model.latent:
        return fine("as many dimensions as asked for", d=d)
    halved = " Mean and log-variance share what was asked for: make the last layer twice as wide."
    return wrong(
        f"the code has {d} dimensions, {model.latent} were asked for.{halved if 2 * d == model.latent else ''}",
        d=d,
        asked=model.latent,
    )


def code_noise(model: VaeUnderTest, probe: Probe, rng: np.random.Generator) -> Outcome:
    r"""Check that ``(z - mu) / sigma`` is standard normal.

    Sum of squares against chi-squared and mean against the normal, each two-sided at half of the stated error rate.
    """
    if model.sample is None:
        return not_checked("sample (codes of a training step) was not given")
    if probe.trouble:
        return not_checked(probe.trouble)
    offset = _draw(model, probe, rng)
    if offset is None:
        return wrong(f"sample must return one code a user, of {probe.mu.shape[1]} dimensions.")
    sigma = np.tile(probe.sigma, (offset.shape[1] // len(probe.sigma), 1))
    noise = offset / sigma
    sd = float(np.sqrt(np.mean(noise**2)))
    if sd < SILENT:
        return wrong("codes are the means: nothing is sampled in training. The KL term then means nothing.", sd=sd)
    shared = same(noise, np.broadcast_to(noise[:, :1], noise.shape), 1e-2)
    rows = slice(0, 1) if shared else slice(None)
    noise, offset, sigma = noise[:, rows], offset[:, rows], sigma[rows]
    if same(noise, np.broadcast_to(noise[:1], noise.shape), 1e-2):
        return wrong("the noise is the same in every call: a seed is set within the model.", sd=sd)
    p_value, mean = _p_value(noise), float(noise.mean())
    numbers = {"sd": sd, "mean": mean, "draws": noise.size, "error_rate": FALSE_ALARM_RATE}
    if p_value < FALSE_ALARM_RATE:
        return wrong(_diagnosis(offset, np.broadcast_to(sigma, offset.shape), sd, mean), **numbers)
    if shared:
        return suspicious("all users of a batch share one noise vector: draw one for each user.", **numbers)
    return fine("standard normal", **numbers)


def _draw(model: VaeUnderTest, probe: Probe, rng: np.random.Generator) -> np.ndarray | None:
    """Return ``z - mu`` of several calls, ``(calls, rows, d)``, the users coming again and again in each."""
    users, d = probe.mu.shape
    repeats = math.ceil(N_DRAWS / (N_CALLS * users * d))
    tiled = sparse.csr_array(sparse.vstack([probe.contents] * repeats, format="csr"))
    calls = [to_array(model.sample(tiled, rng)) for _ in range(N_CALLS)] if model.sample is not None else []
    if any(codes.size != repeats * users * d for codes in calls):
        return None
    offset: np.ndarray = np.stack([codes.reshape(-1, d) for codes in calls]) - np.tile(probe.mu, (repeats, 1))
    return offset


def _p_value(noise: np.ndarray) -> float:
    """Return the smaller p-value of the two tests, doubled (Bonferroni)."""
    squares = float(np.sum(noise**2))
    spread = 2 * min(stats.chi2.cdf(squares, noise.size), stats.chi2.sf(squares, noise.size))
    centre = 2 * stats.norm.sf(abs(float(noise.mean())) * math.sqrt(noise.size))
    return float(2 * min(spread, centre))


def _diagnosis(offset: np.ndarray, sigma: np.ndarray, sd: float, mean: float) -> str:
    readings = {
        "encode returns a variance for sigma: return its square root.": np.sqrt(sigma),
        "codes are drawn with the variance in place of the standard deviation.": sigma**2,
        "codes are drawn with exp(sigma / 2): one of sigma and log-variance is taken for the other.": np.exp(sigma / 2),
    }
    words, best = max(((text, _fit(offset, r)) for text, r in readings.items()), key=lambda pair: pair[1])
    if best > _fit(offset, sd * sigma) and _p_value(offset / readings[words]) >= FALSE_ALARM_RATE:
        return words
    if abs(mean) > 0.1 * sd:
        return f"the noise has mean {mean:.3g}: codes are not centred at mu (uniform noise, or a masked input?)."
    return (
        f"the noise has standard deviation {sd:.3g}, not 1: draw z = mu + sigma * N(0, 1). With another scale sigma is "
        "no posterior standard deviation, and no distance, overlap or KL divergence may be read from it."
    )


def _fit(offset: np.ndarray, scale: np.ndarray) -> float:
    """Return the Gaussian log-likelihood of offsets of these standard deviations, up to a constant."""
    return float(-(np.log(scale) + 0.5 * (offset / scale) ** 2).sum())
