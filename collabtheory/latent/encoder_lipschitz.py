r"""Lemma 2.4: how far two posteriors can be apart, given how far apart the users' items are.

``W_2(q(.|x), q(.|y)) <= L_phi ||x - y||_1`` for binary contents. The encoder is a trunk of dense layers with two linear
heads, ``mu`` and ``log sigma^2``. Any two sets are joined by flipping one item at a time and the l1 distance counts the
flips, so that the largest effect of one flip bounds the first linear map; the rest is Lipschitz in its output.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from collabtheory.errors import InvalidInput
from collabtheory.latent._kinds import Contents, matrix
from collabtheory.latent.encoder_parts import EncoderParts
from collabtheory.latent.encoder_reach import Reach
from collabtheory.latent.encoder_slopes import Flips
from collabtheory.latent.lipschitz import SAFETY, LipschitzBracket, largest_column_norm, spectral_norm
from collabtheory.latent.network_lipschitz import require_rising
from collabtheory.latent.sector_bounds import chain_bound
from collabtheory.latent.sector_multipliers import Norm


def kappa(n: ArrayLike) -> np.ndarray:
    r"""Exact l1-to-l2 constant of ``x -> x / ||x||_2`` on binary vectors with at least ``n`` ones.

    .. math:: \kappa_n = \sqrt{2 - 2\sqrt{n / (n + 1)}}, \qquad \kappa_0 = 1

    Parameters
    ----------
    n
        Smallest number of items, integers >= 0, any shape.

    Returns
    -------
    numpy.ndarray
        float64, the shape of ``n``; decreasing, attained by one flip between n and n + 1 items.

    Raises
    ------
    InvalidInput
        If an entry is negative or not an integer.

    Notes
    -----
    Not in the paper. The zero vector is its own normalisation.

    Examples
    --------
    >>> kappa([0, 1, 8]).round(4)
    array([1.    , 0.7654, 0.3382])
    """
    sizes = np.asarray(n, dtype=np.float64)
    if not (np.isfinite(sizes) & (sizes >= 0) & (sizes == np.floor(sizes))).all():
        raise InvalidInput(f"n must be integers >= 0; it is {n!r}")
    # 1 - sqrt(n / (n+1)) = 1 / ((n+1) (1 + sqrt(n / (n+1)))), which does not cancel.
    root = np.sqrt(sizes / (sizes + 1))
    return np.where(sizes == 0, 1.0, np.sqrt(2 / ((sizes + 1) * (1 + root))))


def encoder_lipschitz(
    trunk: nn.Module,
    mean_head: nn.Linear,
    log_variance_head: nn.Linear,
    *,
    normalise: bool,
    n_min: int = 1,
    n_max: int | None = None,
    input_scale: float = 1.0,
    contents: Contents | None = None,
    tight: bool = False,
) -> LipschitzBracket:
    r"""Bracket of ``L_phi`` in ``W_2(q(.|x), q(.|y)) <= L_phi ||x - y||_1`` over binary contents.

    The upper end is the product of the first layer's norm for one flipped item, the spectral norms of the later layers
    (their rows scaled by the largest slope of the activation on the reachable pre-activations) and the joint norm of
    both heads, ``sigma = exp(log_variance / 2)`` by its largest slope on the reachable log-variances.

    Parameters
    ----------
    trunk
        ``nn.Sequential`` of Linear layers and activations; may be empty.
    mean_head, log_variance_head
        Linear layers on the trunk's output.
    normalise
        Whether the input is ``x / ||x||_2``.
    n_min
        Smallest number of items of a user, after masking if it comes first. Tightens the bound with ``normalise``.
    n_max
        Largest number of items of a user; default all. Tightens the bound of sigma without ``normalise``.
    input_scale
        Factor on the input: ``1 / rho`` when masked after normalisation with rescaling. A mask that both users share
        keeps the bound.
    contents
        Binary contents ``(rows, n_items)``; the lower end is the largest effect of flipping one item of one of them
        (0 without contents). Only flips between ``n_min`` and ``n_max`` items count.
    tight
        Bound the layers together by LipSDP's multipliers (:mod:`collabtheory.latent.sector_bounds`) instead of each by
        its norm: a quarter smaller and more, after seconds of search. Needs activations that never fall.

    Returns
    -------
    LipschitzBracket

    Raises
    ------
    PremiseNotMet
        If a module is not of that form.
    InvalidInput
        If the widths do not fit or a parameter is out of range.

    Notes
    -----
    A flip between k and k+1 items moves ``W N(x)`` by at most ``||W|| kappa_k``, and, written out, by at most
    ``||W|| (1 - sqrt(k/(k+1))) + max_i ||W_i|| / sqrt(k+1)``, often several times less; the smaller one is used.

    Examples
    --------
    >>> heads = nn.Linear(3, 2), nn.Linear(3, 2)
    >>> trunk = nn.Sequential(nn.Linear(5, 3), nn.Tanh())
    >>> bracket = encoder_lipschitz(trunk, *heads, normalise=True, n_min=2, contents=np.eye(5)[:2] + np.eye(5)[2:4])
    >>> 0 < bracket.lower <= bracket.upper
    True
    """
    upper = encoder_lipschitz_by_size(
        trunk,
        mean_head,
        log_variance_head,
        [n_min],
        normalise=normalise,
        n_max=n_max,
        input_scale=input_scale,
        tight=tight,
    )
    parts = EncoderParts.read(trunk, mean_head, log_variance_head)
    flips = Flips(parts, normalise, n_min, n_max, input_scale)
    lower = 0.0 if contents is None else flips.largest(contents)
    return LipschitzBracket(lower, float(upper[0]), _region(normalise, n_min, n_max, input_scale))


def encoder_lipschitz_by_size(
    trunk: nn.Module,
    mean_head: nn.Linear,
    log_variance_head: nn.Linear,
    sizes: ArrayLike,
    *,
    normalise: bool,
    n_max: int | None = None,
    input_scale: float = 1.0,
    group: ArrayLike | Tensor | None = None,
    tight: bool = False,
) -> np.ndarray:
    r"""Certified ``L_phi`` for many smallest sizes at once: the norms of the weights are computed only once.

    Parameters
    ----------
    trunk, mean_head, log_variance_head, normalise, n_max, input_scale, tight
        As in :func:`encoder_lipschitz`.
    sizes
        Smallest number of items of the two users (its ``n_min``), integers >= 0, ``(k,)``.
    group
        What the trunk sees of some users (after normalisation, masking and scaling), ``(rows, n_items)``. The bounds
        are then for pairs of these users only: slopes and sigma are bounded over the box of states that they span,
        which holds the way between any two of them. Often smaller by orders of magnitude; ``n_max`` plays no part then.

    Returns
    -------
    numpy.ndarray
        Upper bounds, ``(k,)`` float64; falling in the size with ``normalise``, the same for all sizes without.

    Raises
    ------
    PremiseNotMet, InvalidInput
        As in :func:`encoder_lipschitz`.

    Examples
    --------
    >>> heads = nn.Linear(3, 2), nn.Linear(3, 2)
    >>> bounds = encoder_lipschitz_by_size(nn.Sequential(nn.Linear(5, 3)), *heads, [1, 2, 9], normalise=True)
    >>> bool((np.diff(bounds) < 0).all())
    True
    """
    smallest = np.asarray(sizes, dtype=np.float64)
    if smallest.ndim != 1 or not ((smallest >= 0) & (smallest == np.floor(smallest))).all():
        raise InvalidInput(f"n_min must be an integer >= 0; it is {sizes!r}")
    if not (math.isfinite(input_scale) and input_scale > 0):
        raise InvalidInput(f"input_scale must be positive and finite; it is {input_scale}")
    if n_max is not None and (n_max < max(smallest.max(initial=1), 1) or n_max != int(n_max)):
        raise InvalidInput(f"n_max must be an integer of at least max(n_min, 1); it is {n_max}")
    parts = EncoderParts.read(trunk, mean_head, log_variance_head)
    if group is None:
        slopes, largest_log_variance = _slopes(parts, normalise, n_max, input_scale)
    else:
        slopes, largest_log_variance = _slopes_between(parts, matrix("group", group, parts.first.n_inputs))
    half_sigma = 0.5 * torch.exp(0.5 * largest_log_variance)
    heads = torch.cat([parts.mean.weight, half_sigma[:, None] * parts.log_variance.weight])
    bounds = _together(parts, slopes, heads, normalise) if tight else _one_by_one(parts, slopes, heads)
    scale = input_scale * SAFETY
    return np.asarray(np.min([_of_one_flip(norms, normalise, smallest) * scale for norms in bounds], axis=0))


@dataclass(frozen=True)
class _Norms:
    """Bounds of a map from l2 to l2 and from l1 to l2."""

    spectral: float
    column: float


def _one_by_one(parts: EncoderParts, slopes: list[Tensor], heads: Tensor) -> list[_Norms]:
    """Bound the encoder by the product of the norms of its layers."""
    scaled = [slope[:, None] * layer.weight for slope, layer in zip(slopes, parts.layers, strict=True)]
    first, *later = *scaled, heads
    rest = math.prod(map(spectral_norm, later))
    return [_Norms(spectral_norm(first) * rest, largest_column_norm(first) * rest)]


def _together(parts: EncoderParts, slopes: list[Tensor], heads: Tensor, normalise: bool) -> list[_Norms]:
    """Bound the encoder by multipliers, chosen for each of the norms that the bound of one flip is made of."""
    for layer in parts.layers:
        require_rising(layer.activation)
    weights = [*(layer.weight for layer in parts.layers), heads]
    aims: tuple[Norm, ...] = ("spectral", "column") if normalise else ("column",)
    found = [chain_bound(weights, slopes, norm=aim) for aim in aims]
    return [_Norms(bound.spectral, bound.column) for bound in found]


def _slopes(parts: EncoderParts, normalise: bool, n_max: int | None, input_scale: float) -> tuple[list[Tensor], Tensor]:
    """Return the activations' largest slopes on the reachable states, by layer, and the largest log-variances."""
    n_items = parts.first.n_inputs
    reach = Reach.of_contents(n_items, n_items if n_max is None else min(n_max, n_items), normalise, input_scale)
    found = []
    for layer in parts.layers:
        reach, slopes = reach.through(layer)
        found.append(slopes)
    return found, reach.pre_activation(parts.log_variance)[1]


def _slopes_between(parts: EncoderParts, states: Tensor) -> tuple[list[Tensor], Tensor]:
    """Return the activations' largest slopes between any two states, by layer, and the largest log-variances."""
    if not len(states):
        raise InvalidInput("group must have at least one row")
    found = []
    for layer in parts.layers:
        pre = layer.pre_activation(states)
        low, high = pre.amin(0), pre.amax(0)
        room = (SAFETY - 1) * (1 + torch.maximum(low.abs(), high.abs()))
        ends = layer.activation.derivative_range(low - room, high + room)
        found.append(torch.stack([end.abs() for end in ends]).amax(0))
        states = layer.activation.value(pre)
    largest = parts.log_variance.pre_activation(states).amax(0)
    return found, largest + (SAFETY - 1) * (1 + largest.abs())


def _of_one_flip(norms: _Norms, normalise: bool, smallest: np.ndarray) -> np.ndarray:
    """Largest Euclidean effect of flipping one item of the input, by the size of the smaller set."""
    if not normalise:
        return np.full(len(smallest), norms.column)
    sizes = np.maximum(smallest, 1)
    shrink = 1 / ((sizes + 1) * (1 + np.sqrt(sizes / (sizes + 1))))
    bounds = np.minimum(norms.spectral * kappa(sizes), norms.spectral * shrink + norms.column / np.sqrt(sizes + 1))
    return np.asarray(np.where(smallest == 0, np.maximum(bounds, norms.column), bounds))


def _region(normalise: bool, n_min: int, n_max: int | None, input_scale: float) -> str:
    sizes = f"at least {n_min}" + ("" if n_max is None else f" and at most {n_max}")
    return f"binary contents with {sizes} items, {'l2-normalised, ' if normalise else ''}times {input_scale:g}"
