r"""Certified values of Wasserstein distances of diagonal Gaussians, by rigorous quadrature.

Slow, to as many digits as asked; they referee :func:`collabtheory.latent.wasserstein.w1_bounds`.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

from flint import acb, arb, ctx

from collabtheory.errors import InvalidInput

FROM, TO = -20, 60
"""Range of ``y`` in ``t = e^{2y}`` where ``E Q = 1``; what lies outside is enclosed."""
DEVIATIONS = 20
"""How many standard deviations on either side of the means are integrated; what lies outside is enclosed."""


def enclosed_comonotone_cost(dm: Sequence[float], ds: Sequence[float]) -> arb:
    r"""Enclose ``E||dm + ds * Z||``, the cost of giving both posteriors the same noise.

    With :math:`Q = \|\Delta\mu + \Delta\sigma \odot Z\|^2` and
    :math:`\varphi(t) = E e^{-tQ} = \prod_j (1 + 2 t \Delta\sigma_j^2)^{-1/2}
    e^{-t \Delta\mu_j^2 / (1 + 2 t \Delta\sigma_j^2)}`,

    .. math:: E\sqrt Q = \frac{1}{2\sqrt\pi} \int_0^\infty t^{-3/2} (1 - \varphi(t))\, dt
              = \frac{1}{\sqrt\pi} \int_{-\infty}^\infty e^{-y} (1 - \varphi(e^{2y}))\, dy .

    Parameters
    ----------
    dm, ds
        Differences of means and of standard deviations, equally long, finite; taken as exact binary numbers.

    Returns
    -------
    flint.arb
        An enclosure, good to about ``prec / 2`` bits of flint's working precision, at most 24 digits.

    Raises
    ------
    InvalidInput
        If the lengths differ or an entry is not finite.

    Examples
    --------
    >>> bool(enclosed_comonotone_cost([3.0, 4.0], [0.0, 0.0]).overlaps(arb(5)))
    True
    """
    means, spreads = [_exact("dm", value) for value in dm], [_exact("ds", value) for value in ds]
    if len(means) != len(spreads):
        raise InvalidInput(f"dm and ds must be equally long; they have {len(means)} and {len(spreads)} entries")
    mean_square = sum((m * m + s * s for m, s in zip(means, spreads, strict=True)), arb(0))
    if mean_square.is_zero():
        return arb(0)
    scale = mean_square.sqrt()
    means, spreads = [m / scale for m in means], [s / scale for s in spreads]
    variance = sum((2 * s**4 + 4 * (m * s) ** 2 for m, s in zip(means, spreads, strict=True)), arb(0))

    def integrand(y: acb, analytic: bool) -> acb:
        t = (2 * y).exp()
        transform = acb(1)
        for m, s in zip(means, spreads, strict=True):
            growth = 1 + 2 * t * s * s
            transform *= growth.rsqrt(analytic=analytic) * (-t * m * m / growth).exp()
        return (1 - transform) * (-y).exp()

    # On the left t - t^2 E Q^2 / 2 <= 1 - phi(t) <= t, on the right 0 <= 1 - phi <= 1.
    left = arb(FROM).exp() - _at_most((1 + variance) / 6 * arb(3 * FROM).exp())
    right = _at_most(arb(-TO).exp())
    return scale * (_integral(integrand, arb(FROM), arb(TO)) + left + right) / arb.pi().sqrt()


def enclosed_w1_on_a_line(mu: tuple[float, float], sigma: tuple[float, float]) -> arb:
    r"""Enclose the 1-Wasserstein distance of two normal laws on the line, :math:`\int |F_u(x) - F_v(x)|\, dx`.

    Parameters
    ----------
    mu, sigma
        Means and standard deviations of the two, finite, ``sigma`` positive; taken as exact binary numbers.

    Returns
    -------
    flint.arb
        An enclosure.

    Raises
    ------
    InvalidInput
        If a value is not finite or a ``sigma`` not positive.

    Examples
    --------
    >>> bool(enclosed_w1_on_a_line((0.0, 3.0), (1.0, 1.0)).overlaps(arb(3)))
    True
    """
    (a, b), (s, r) = (tuple(_exact(name, value) for value in pair) for name, pair in (("mu", mu), ("sigma", sigma)))
    if not (s > 0 and r > 0):
        raise InvalidInput(f"sigma must be positive; it is {sigma}")
    root_two = arb(2).sqrt()

    def difference(x: acb, _: bool) -> acb:
        return (((x - a) / (s * root_two)).erf() - ((x - b) / (r * root_two)).erf()) / 2

    ends = [(a - DEVIATIONS * s).min(b - DEVIATIONS * r), (a + DEVIATIONS * s).max(b + DEVIATIONS * r)]
    if not (s - r).is_zero():
        # The distribution functions cross once, where both standardised values agree; far outside it does not matter.
        crossing = (s * b - r * a) / (s - r)
        if ends[0] < crossing < ends[1]:
            ends.insert(1, crossing)
    pieces = [abs(_integral(difference, low, high)) for low, high in itertools.pairwise(ends)]
    # Beyond k deviations 1 - F integrates to at most sigma times the normal density at k.
    tail = 2 * (s + r) * (-(arb(DEVIATIONS) ** 2) / 2).exp() / (2 * arb.pi()).sqrt()
    return sum(pieces, arb(0)) + _at_most(tail)


def _exact(name: str, value: float) -> arb:
    number = arb(float(value))
    if not number.is_finite():
        raise InvalidInput(f"{name} must be finite; an entry is {value}")
    return number


def _integral(integrand: Callable[[acb, bool], acb], low: arb, high: arb) -> arb:
    goal = arb(2) ** -(ctx.prec // 2)
    return acb.integral(integrand, acb(low), acb(high), rel_tol=goal, abs_tol=goal * arb("1e-6")).real


def _at_most(bound: arb) -> arb:
    """Enclose an unknown number between 0 and the bound."""
    return arb(0).union(bound)
