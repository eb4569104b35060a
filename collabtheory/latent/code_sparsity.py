r"""How sparse users' codes are, and how much each commits: units in use, and KL divergence spent."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from collabtheory.errors import InvalidInput
from collabtheory.latent.kl_decomposition import kl_per_unit
from collabtheory.latent.posterior_collapse import ACTIVE_ABOVE
from collabtheory.models.posterior import DiagonalGaussian


@dataclass(frozen=True, eq=False)
class CodeSparsity:
    r"""Sparsity and commitment of users' codes, ``(n,)`` float64 each.

    Parameters
    ----------
    hoyer_mean
        Hoyer sparsity of :math:`|\mu_u|`: 0 where all units are alike, 1 where one alone is not 0; NaN for a mean of 0.
    hoyer_kl
        Hoyer sparsity of the KL divergence by unit.
    participation
        :math:`(\sum_j KL_{uj})^2 / \sum_j KL_{uj}^2`, the number of units that share the KL divergence, from 1 to d.
    active_units
        Units that spend more than ``ACTIVE_ABOVE`` nats on the user.
    kl
        KL divergence to the prior, nats.
    """

    hoyer_mean: np.ndarray
    hoyer_kl: np.ndarray
    participation: np.ndarray
    active_units: np.ndarray
    kl: np.ndarray


def code_sparsity(posterior: DiagonalGaussian, *, threshold: float = ACTIVE_ABOVE) -> CodeSparsity:
    """Measure the sparsity of every user's code.

    Parameters
    ----------
    posterior
        Of any number of users, with at least 2 dimensions.
    threshold
        Nats above which a unit is active for a user, finite and not negative.

    Returns
    -------
    CodeSparsity

    Raises
    ------
    InvalidInput
        If there is one dimension only (sparsity has no meaning), or the threshold is out of range.

    Notes
    -----
    Hoyer, "Non-negative matrix factorization with sparseness constraints", JMLR 5 (2004).

    Examples
    --------
    >>> found = code_sparsity(DiagonalGaussian([[3.0, 0.0, 0.0, 0.0], [1.0, 1.0, 1.0, 1.0]], np.ones((2, 4))))
    >>> found.hoyer_mean.tolist(), found.participation.tolist(), found.active_units.tolist(), found.kl.tolist()
    ([1.0, 0.0], [1.0, 4.0], [1.0, 4.0], [4.5, 2.0])
    """
    if posterior.n_dimensions < 2:
        raise InvalidInput("the sparsity of a code of one dimension has no meaning")
    if not (np.isfinite(threshold) and threshold >= 0):
        raise InvalidInput(f"threshold must be finite and not negative; it is {threshold}")
    kl = kl_per_unit(posterior)
    active = (kl > threshold).sum(1).astype(np.float64)
    return CodeSparsity(hoyer(posterior.numpy()[0]), hoyer(kl), participation_ratio(kl), active, kl.sum(1))


def hoyer(values: np.ndarray) -> np.ndarray:
    r"""Return the Hoyer sparsity of each row ``(n, d)``, :math:`(\sqrt d - \|v\|_1/\|v\|_2)/(\sqrt d - 1)`.

    In [0, 1], the same for a multiple of the row; NaN for a row of zeros.

    Examples
    --------
    >>> hoyer(np.array([[0.0, -2.0, 0.0, 0.0], [1.0, 1.0, -1.0, 1.0], [0.0, 0.0, 0.0, 0.0]])).tolist()
    [1.0, 0.0, nan]
    """
    scaled = _scaled(np.abs(values))
    root = np.sqrt(values.shape[1])
    return np.asarray(np.clip((root - scaled.sum(1) / np.sqrt((scaled**2).sum(1))) / (root - 1), 0.0, 1.0))


def participation_ratio(values: np.ndarray) -> np.ndarray:
    r"""Return :math:`(\sum_j v_j)^2 / \sum_j v_j^2` of each row ``(n, d)`` of nonnegative numbers; NaN for zeros.

    Examples
    --------
    >>> participation_ratio(np.array([[1.0, 1.0, 0.0, 0.0]])).tolist()
    [2.0]
    """
    scaled = _scaled(values)
    return np.asarray(scaled.sum(1) ** 2 / (scaled**2).sum(1))


def _scaled(values: np.ndarray) -> np.ndarray:
    """Return rows divided by their largest entry, so that squares neither vanish nor overflow; NaN for zeros."""
    largest = values.max(1, keepdims=True)
    return np.asarray(np.divide(values, largest, out=np.full_like(values, np.nan), where=largest > 0))
