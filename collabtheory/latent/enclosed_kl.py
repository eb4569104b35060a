"""The decomposition of the KL term of finite mixtures on the line, certified by rigorous quadrature."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from flint import acb, arb, ctx

from collabtheory.errors import InvalidInput

DEVIATIONS = 16
"""How many standard deviations beyond the outermost mean are integrated; what lies outside is enclosed."""


def enclosed_decomposition(
    weights: Sequence[float], mu: Sequence[float], sigma: Sequence[float]
) -> tuple[arb, arb, arb]:
    r"""Enclose ``E KL(q_k || p)``, ``I(K; Z)`` and ``KL(q_bar || p)`` of normal laws ``q_k``, ``p = N(0, 1)``.

    The first is the closed form; the other two are integrals of :math:`\sum_k w_k q_k \log(q_k/\bar q)` and
    :math:`\bar q \log(\bar q/p)`, each by its own quadrature.

    Parameters
    ----------
    weights, mu, sigma
        Positive weights (divided by their sum), means, and standard deviations; taken as exact binary numbers.

    Returns
    -------
    tuple of flint.arb
        Rate, information, divergence of the aggregate, in nats.

    Raises
    ------
    InvalidInput
        If the lengths differ, there is no component, or a weight or ``sigma`` is not positive.

    Examples
    --------
    >>> rate, information, aggregate = enclosed_decomposition([1, 1], [-1.0, 1.0], [0.5, 0.5])
    >>> bool((information + aggregate).overlaps(rate))
    True
    """
    if not len(weights) == len(mu) == len(sigma) > 0:
        raise InvalidInput("weights, mu and sigma must be equally long, with at least one entry")
    if not all(value > 0 for value in (*weights, *sigma)):
        raise InvalidInput("weights and sigma must be positive")
    total = sum((arb(w) for w in weights), arb(0))
    parts = [(arb(w) / total, arb(m), arb(s)) for w, m, s in zip(weights, mu, sigma, strict=True)]
    rate = sum((w * (m * m + s * s - 1 - 2 * s.log()) / 2 for w, m, s in parts), arb(0))

    def logarithms(z: acb) -> list[acb]:
        return [-(((z - m) / s) ** 2) / 2 - (s * (2 * arb.pi()).sqrt()).log() for _, m, s in parts]

    def mixture(logs: list[acb]) -> acb:
        return sum((w * log.exp() for (w, _, _), log in zip(parts, logs, strict=True)), acb(0))

    def information(z: acb, analytic: bool) -> acb:
        logs = logarithms(z)
        of_mixture = mixture(logs).log(analytic=analytic)
        terms = (w * log.exp() * (log - of_mixture) for (w, _, _), log in zip(parts, logs, strict=True))
        return sum(terms, acb(0))

    def aggregate(z: acb, analytic: bool) -> acb:
        density = mixture(logarithms(z))
        return density * (density.log(analytic=analytic) + z * z / 2 + (2 * arb.pi()).log() / 2)

    reach = max(abs(m) + DEVIATIONS * s for _, m, s in parts)
    tail = _tail(parts, reach)
    outside = (-tail).union(tail)
    return rate, _integral(information, reach) + outside, _integral(aggregate, reach) + outside


def _tail(parts: list[tuple[arb, arb, arb]], reach: arb) -> arb:
    """Bound both integrands beyond the reach.

    There ``|log q_k|``, ``|log q_bar|`` and ``|log p|`` are at most ``C + D z^2``, so that the integrands are at most
    ``q_bar (A + B z^2)``; its integral is bounded by Cauchy-Schwarz from the fourth moment and the mass outside.
    """
    scale = (2 * arb.pi()).sqrt()
    c = sum((abs(w.log()) + abs((s * scale).log()) + (m / s) ** 2 for w, m, s in parts), arb(1))
    d = sum((1 / s**2 for _, _, s in parts), arb(1))
    square = sum((w * (m**2 + s**2) for w, m, s in parts), arb(0))
    fourth = sum((w * (m**4 + 6 * (m * s) ** 2 + 3 * s**4) for w, m, s in parts), arb(0))
    mass = sum((w * ((reach - abs(m)) / (s * arb(2).sqrt())).erfc() for w, m, s in parts), arb(0))
    growth = (2 * c) ** 2 + 2 * (2 * c) * (2 * d) * square + (2 * d) ** 2 * fourth
    return (growth * mass).sqrt()


def _integral(integrand: Callable[[acb, bool], acb], reach: arb) -> arb:
    goal = arb(2) ** -(ctx.prec // 2)
    return acb.integral(integrand, acb(-reach), acb(reach), rel_tol=goal, abs_tol=goal).real
