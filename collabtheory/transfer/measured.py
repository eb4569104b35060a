"""All N x N quantities of the pair table, from one model and one set of users."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from collabtheory.errors import PremiseNotMet
from collabtheory.latent import gradient_lipschitz_on_balls, local_gradient_lipschitz
from collabtheory.models.posterior import DiagonalGaussian
from collabtheory.models.recommender import Recommender
from collabtheory.transfer.codes import transport_cost, tube_radius
from collabtheory.transfer.kernels import TransferKernels

SLOPE_SAMPLES = 2
"""Codes per user at which the slope of the directional scalar is measured; few weaken this lower bound."""


@dataclass(frozen=True)
class Measured:
    """Entry [u, v] of each matrix is about what v's step does to u."""

    codes: np.ndarray
    posterior: DiagonalGaussian
    learning_rate: float
    transport: np.ndarray
    norms: np.ndarray
    gram: np.ndarray
    gaps: np.ndarray
    mismatch: np.ndarray
    alignment: np.ndarray
    loss_change: np.ndarray
    lipschitz_lower: np.ndarray
    """``(N,)``, the largest local constant of ``z -> G(x_u, z)`` at u's codes."""
    lipschitz_upper: np.ndarray
    directional_lower: np.ndarray
    directional_upper: np.ndarray


def measure(
    recommender: Recommender,
    x: sparse.csr_array,
    *,
    n_samples: int,
    learning_rate: float,
    rng: np.random.Generator,
    tube_radii: int = 10,
    progress: Callable[[float], None] = lambda share: None,
) -> Measured:
    """Run the kernels for the users with contents ``x``, ``(N, items)``.

    ``tube_radii`` is the number of radii at which certified Lipschitz constants are computed; a pair uses the smallest
    that reaches its partner, so fewer of them are faster and make wider bounds.
    """
    posterior = recommender.posterior(x)
    codes = posterior.sample(n_samples, rng)
    kernels = TransferKernels(recommender.decoder, recommender.likelihood, x, codes)
    gram, norms = kernels.gradient_gram(), kernels.gradient_norms()
    progress(0.1)
    mismatch, alignment, gaps = kernels.content_mismatch(), kernels.alignment(), kernels.gradient_gap()
    progress(0.2)
    slopes = kernels.directional_slopes(n_samples=min(SLOPE_SAMPLES, n_samples))
    progress(0.4)
    lower, upper = tube_constants(recommender, x, codes, tube_radii)
    progress(0.6)
    loss_change = kernels.step_loss_change(learning_rate)
    progress(0.95)
    return Measured(
        codes=codes,
        posterior=posterior,
        learning_rate=learning_rate,
        transport=np.asarray(transport_cost(codes)),
        norms=np.asarray(norms),
        gram=np.asarray(gram),
        gaps=np.asarray(gaps),
        mismatch=np.asarray(mismatch),
        alignment=np.asarray(alignment),
        loss_change=np.asarray(loss_change),
        lipschitz_lower=lower,
        lipschitz_upper=upper,
        directional_lower=np.asarray(slopes),
        # <g_u, G(x_v, .)> is at most ||g_u|| times as steep as G(x_v, .), on the tube around v's codes.
        directional_upper=np.asarray(norms)[:, None] * upper.T,
    )


def tube_constants(
    recommender: Recommender, x: sparse.csr_array, codes: np.ndarray, n_radii: int = 10
) -> tuple[np.ndarray, np.ndarray]:
    """Return Lipschitz constants of ``z -> G(x_u, z)``: largest local ones at u's codes (N,), certified ones (N, N).

    Entry [u, v] of the latter holds on each ball around a code of u that contains the corresponding code of v: all
    that the common-noise coupling of the two sampled posteriors ever compares.
    """
    n_users, n_samples, n_dimensions = codes.shape
    contents, flat = x[np.repeat(np.arange(n_users), n_samples)], codes.reshape(-1, n_dimensions)
    model = (recommender.decoder, recommender.likelihood, contents, flat)
    reach = np.asarray(tube_radius(codes))
    ladder = _ladder(reach, n_radii)
    try:
        local = np.asarray(local_gradient_lipschitz(*model)).reshape(n_users, n_samples).max(1)
        certified = np.asarray(gradient_lipschitz_on_balls(*model, ladder[:, None]))
    except PremiseNotMet:
        # No constant is known for this decoder, so none is claimed: infinite ones, and every radius is empty.
        return np.full(n_users, np.inf), np.full((n_users, n_users), np.inf)
    certified = certified.reshape(len(ladder), n_users, n_samples).max(2).T
    return local, np.take_along_axis(certified, np.searchsorted(ladder, reach, side="left"), axis=1)


NEAR = 0.02
"""Pairs nearer than all but this share get radii of their own: they alone can be inside a small sharing radius."""


def _ladder(reach: np.ndarray, n_radii: int) -> np.ndarray:
    """Return increasing radii from 0 to the largest reach: geometric for the nearest pairs, then quantiles.

    Most pairs are about equally far apart; equal steps between the nearest and the farthest would serve few of them.
    """
    positive = np.sort(reach[reach > 0])
    if positive.size == 0:
        return np.zeros(1)
    n_near = n_radii // 2
    near = np.geomspace(positive[0], np.quantile(positive, NEAR, method="higher"), n_near + 1)[1:]
    levels = np.linspace(0.0, 1.0, n_radii - n_near + 1)[1:] ** 2
    return np.unique(np.concatenate([[0.0], near, np.quantile(positive, levels, method="higher")]))
