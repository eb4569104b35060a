r"""Certified bounds of dense layers that see how the weights of neighbouring layers fit together.

A product of norms supposes that each layer stretches most what the layer before stretched most. LipSDP's inequality
(:mod:`collabtheory.latent.sector_multipliers`) does not: with multipliers tau and a matrix ``R`` with

.. math:: \begin{pmatrix} R'R & -T S \\ -S T & 2T - A'A \end{pmatrix} \succeq 0 ,

:math:`\|A w\| \le \|R v\|` for all ``v`` and ``w`` of the sector. The matrix is decomposed by Cholesky in float64,
which bounds its smallest eigenvalue from below; that bound and the roundings of its entries come back as a ``slack``:
:math:`\|A w\| \le \|R v\| + \text{slack} \|v\|` holds in exact arithmetic. Layers are taken from the last to the first.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import torch
from torch import Tensor

from collabtheory.latent.sector_multipliers import STEPS, Norm, optimised_multipliers
from collabtheory.latent.verified_norms import (
    ROOM,
    column_norm_bound,
    frobenius_norm_bound,
    gamma,
    least_eigenvalue_after_cholesky,
    spectral_norm_bound,
    upward,
)


@dataclass(frozen=True, eq=False)
class LinearBound:
    r"""A map whose differences are bounded by a linear one: :math:`\|f(x) - f(y)\| \le \|M (x-y)\| + slack \|x-y\|`.

    Parameters
    ----------
    matrix
        ``M``, ``(rows, in)`` float64.
    slack
        Not negative.
    """

    matrix: Tensor
    slack: float

    @property
    def spectral(self) -> float:
        """Certified Lipschitz constant from l2 to l2."""
        return math.nextafter(spectral_norm_bound(self.matrix) + self.slack, math.inf)

    @property
    def column(self) -> float:
        """Certified Lipschitz constant from l1 to l2."""
        return math.nextafter(column_norm_bound(self.matrix) + self.slack, math.inf)

    def after(self, weight: Tensor) -> LinearBound:
        """Return the bound of the map that applies ``weight`` first."""
        product = self.matrix @ weight
        norms = [frobenius_norm_bound(self.matrix), frobenius_norm_bound(weight), spectral_norm_bound(weight)]
        if not all(map(math.isfinite, [*norms, self.slack])):
            return LinearBound(product, math.inf)
        # |fl(MW) - MW| <= gamma |M||W|, whose Frobenius norm is at most gamma ||M||_F ||W||_F.
        own, other, spectral = map(Fraction, norms)
        return LinearBound(product, upward(gamma(len(weight)) * own * other + Fraction(self.slack) * spectral))


def chain_bound(
    weights: Sequence[Tensor], slopes: Sequence[Tensor], *, norm: Norm = "spectral", steps: int = STEPS
) -> LinearBound:
    r"""Bound ``x -> W_n phi(... W_2 phi(W_1 x))`` for activations with slopes in ``[0, s]`` between the layers.

    Parameters
    ----------
    weights
        ``W_1, ..., W_n``, each ``(out, in)``, finite; biases play no part.
    slopes
        Largest slope of every unit of the layers but the last, each ``(out,)``, not negative.
    norm
        The norm that is to be small, see :class:`LinearBound`; the bound holds for both.
    steps
        Effort of the search for multipliers.

    Returns
    -------
    LinearBound
        Certified. One hidden layer: LipSDP with one multiplier a unit, up to the search. More: layer by layer, which is
        less tight than all at once.

    Examples
    --------
    >>> bound = chain_bound([torch.eye(2), torch.tensor([[1.0, -1.0]])], [torch.ones(2)])
    >>> round(bound.spectral, 4)
    1.4142
    """
    doubles = [weight.detach().to(torch.float64) for weight in weights]
    bound = LinearBound(doubles[-1], 0.0)
    for weight, slope in zip(reversed(doubles[:-1]), reversed(list(slopes)), strict=True):
        bound = through_activation(bound, slope.to(torch.float64), weight, norm=norm, steps=steps).after(weight)
    return bound


def through_activation(
    outer: LinearBound, slopes: Tensor, inner: Tensor, *, norm: Norm = "spectral", steps: int = STEPS
) -> LinearBound:
    """Bound ``v -> outer(phi(v))`` where ``phi`` acts unit by unit with slopes in ``[0, s]``.

    Parameters
    ----------
    outer
        What follows.
    slopes
        ``s``, ``(h,)``.
    inner
        The weight that makes ``v``: multipliers are chosen for the directions it stretches.
    norm, steps
        As in :func:`chain_bound`.
    """
    largest = float(slopes.max()) if len(slopes) else 0.0
    # Units without slope keep a tiny one: the sector is then wider than it need be.
    widened = slopes.clamp(min=largest * 1e-9)
    if not (largest > 0 and all(_ordinary(part) for part in (outer.matrix, inner))):
        return _by_norm(outer, slopes)
    tau = optimised_multipliers(outer.matrix, widened, inner, norm=norm, steps=steps)
    found = _certified(outer, tau, widened, largest)
    return found if found is not None else _by_norm(outer, slopes)


def _ordinary(matrix: Tensor) -> bool:
    """Whether fourth powers of the largest entry neither overflow nor underflow."""
    return bool(matrix.numel()) and 1e-60 < float(matrix.abs().max()) < 1e60


def _by_norm(outer: LinearBound, slopes: Tensor) -> LinearBound:
    """Return ``||A|| S``, the bound without multipliers, which always holds."""
    return LinearBound(torch.diag(slopes * (outer.spectral * (1 + 1e-15))), 0.0)


def _certified(outer: LinearBound, tau: Tensor, slopes: Tensor, largest: float) -> LinearBound | None:
    """Return a bound from these multipliers, or None where no Cholesky decomposition proves one."""
    a, h = outer.matrix, len(tau)
    square = a.T @ a
    # Rounded up: a wider sector than [0, s] holds it.
    coupling = tau * slopes * (1 + 1e-15)
    corner = 2 * torch.diag(tau) - square
    factor, failed = torch.linalg.cholesky_ex(corner)
    if failed:
        return None
    reduced = torch.linalg.solve_triangular(factor, torch.diag(coupling), upper=False)
    exact = reduced.T @ reduced
    for room in ROOM:
        level = float(exact.diagonal().mean()) * room
        root, failed = torch.linalg.cholesky_ex(exact * (1 + room) + level * torch.eye(h, dtype=a.dtype))
        if failed:
            continue
        matrix = root.T
        least = least_eigenvalue_after_cholesky(_block(matrix.T @ matrix, coupling, corner))
        if least is None:
            continue
        frobenius_a, frobenius_r = (Fraction(frobenius_norm_bound(part)) for part in (a, matrix))
        off_corner = gamma(len(a)) * frobenius_a**2 + Fraction(float(corner.diagonal().abs().max())) / 2**53
        on_v, on_w = gamma(h) * frobenius_r**2 - least, off_corner - least
        # |w| <= s |v|, so that both shortfalls are at most this times |v|^2.
        shortfall = on_v + on_w * Fraction(largest) ** 2
        root_of_it = math.nextafter(math.sqrt(upward(max(shortfall, Fraction(0)))), math.inf)
        return LinearBound(matrix, upward(Fraction(root_of_it) + Fraction(outer.slack) * Fraction(largest)))
    return None


def _block(upper: Tensor, coupling: Tensor, corner: Tensor) -> Tensor:
    off = -torch.diag(coupling)
    return torch.cat([torch.cat([upper, off], 1), torch.cat([off, corner], 1)])
