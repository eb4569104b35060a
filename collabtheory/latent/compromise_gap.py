r"""What one shared natural parameter costs two users at one code: the Jensen gap of the conjugate :math:`A^*`.

At a code z that user u visits with density :math:`q_u` and user v with :math:`q_v`, a decoder that is free at z still
has one value :math:`\eta` for both. Against each user's own optimum it loses at least

.. math:: \min_\eta\, (q_u\,\ell(\eta; x_u) + q_v\,\ell(\eta; x_v))
   - q_u \min \ell(\cdot; x_u) - q_v \min \ell(\cdot; x_v) = q_u A^*(x_u) + q_v A^*(x_v) - (q_u + q_v) A^*(m),

with m the weighted mean of the contents. Functions here are formulas: they run on float64 arrays and on object arrays
of enclosures alike (:mod:`collabtheory.rigor.enclosures`). All are homogeneous: twice the weights, twice the gap.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from flint import arb

from collabtheory.errors import InvalidInput
from collabtheory.models.likelihoods import LIKELIHOODS
from collabtheory.rigor.enclosures import is_enclosure, x_log_x

Formula = Callable[..., Any]
Weighted = tuple[Any, Any]
"""A user as weight ``(..., 1)`` and contents ``(..., I)``."""


def jensen_gap(likelihood: str, q_u: Any, q_v: Any, x_u: Any, x_v: Any) -> Any:
    r"""Jensen gap of two users' contents at weights ``q_u``, ``q_v``, by definition.

    .. math:: q_u A^*(x_u) + q_v A^*(x_v) - (q_u + q_v) A^*\!\left(\frac{q_u x_u + q_v x_v}{q_u + q_v}\right)

    (multinomial: :math:`A^*` of a user's own ``n_x``, and of the summed ``q_u n_u + q_v n_v`` in the last term).

    Parameters
    ----------
    likelihood
        ``"bernoulli"``, ``"gaussian"``, ``"multinomial"`` or ``"poisson"``.
    q_u, q_v
        Nonnegative weights (densities at a code), ``(...)``. Not both 0 for the Gaussian and the Poisson likelihood.
    x_u, x_v
        Contents, ``(..., I)``: in [0, 1] for Bernoulli, nonnegative for Poisson and multinomial, real for Gaussian.

    Returns
    -------
    numpy.ndarray
        ``(...)`` nats, never negative up to rounding. 0 if a weight is 0 or the contents are equal. The multinomial gap
        is 0 for proportional contents too, as for (1, 2) and (2, 4): only ``x / n_x`` counts. No item gives 0.

    Raises
    ------
    InvalidInput
        If there is no such likelihood.

    Notes
    -----
    [paper, Theorem 2.5]. For binary contents :func:`pointwise_gap` is the same without cancellation.

    Examples
    --------
    >>> float(jensen_gap("gaussian", 1.0, 1.0, np.array([1.0, 0.0]), np.array([0.0, 0.0])))
    0.25
    """
    mixed = _chosen(_CONJUGATES, likelihood)
    u, v = (np.asarray(q_u)[..., None], np.asarray(x_u)), (np.asarray(q_v)[..., None], np.asarray(x_v))
    return mixed(u) + mixed(v) - mixed(u, v)


def conjugate(likelihood: str, x: Any) -> Any:
    r"""Conjugate :math:`A^*(x) = \sup_\eta \langle\eta, x\rangle - A(\eta)`; ``-A*(x)`` is the least loss of ``x``.

    Parameters
    ----------
    likelihood
        As for :func:`jensen_gap`. The multinomial ``A`` is ``n_x logsumexp``, with ``n_x`` the sum of ``x``.
    x
        Contents, ``(..., I)``.

    Returns
    -------
    numpy.ndarray
        ``(...)`` nats. The least loss is an infimum: binary contents reach it only with infinite logits.

    Raises
    ------
    InvalidInput
        If there is no such likelihood.

    Examples
    --------
    >>> float(-conjugate("multinomial", np.array([1.0, 1.0, 0.0]))), float(conjugate("bernoulli", np.array([1.0, 0.0])))
    (1.3862943611198906, 0.0)
    """
    return _chosen(_CONJUGATES, likelihood)((1, np.asarray(x)))


def pointwise_gap(likelihood: str, q_u: Any, q_v: Any, n_u: Any, n_v: Any, shared: Any) -> Any:
    r"""Jensen gap of two *sets* of items at weights ``q_u``, ``q_v``, in closed form.

    With :math:`w = q_u/(q_u+q_v)`, h the binary entropy in nats, ``s`` shared items, ``only_u = n_u - s``,
    ``only_v = n_v - s`` and ``delta = only_u + only_v``:

    - Bernoulli: :math:`(q_u + q_v)\,\delta\,h(w)`;
    - Gaussian: :math:`\tfrac12\,\delta\,q_u q_v / (q_u + q_v)`;
    - Poisson: :math:`(q_u + q_v)\,(-\mathrm{only}_u\, w \log w - \mathrm{only}_v\, (1-w) \log(1-w))`, which depends on
      delta alone if both have as many items;
    - multinomial: :math:`N h(\pi) - s\,(q_u + q_v)\,h(w)` with :math:`N = q_u n_u + q_v n_v`, :math:`\pi = q_u n_u/N`,
      which is :math:`N\,\mathrm{JSD}_\pi(x_u/n_u, x_v/n_v)`; half the Bernoulli gap if both have as many items.

    Parameters
    ----------
    likelihood
        As for :func:`jensen_gap`.
    q_u, q_v
        Nonnegative weights, ``(...)``; any scale, also tiny densities.
    n_u, n_v, shared
        Sizes of the two sets and of their intersection, ``(...)``; ``shared <= min(n_u, n_v)``.

    Returns
    -------
    numpy.ndarray
        ``(...)`` nats, never negative; exactly 0 if a weight is 0 or the sets are equal. The multinomial gap is 0 if a
        set is empty, too: no interaction, no loss.

    Raises
    ------
    InvalidInput
        If there is no such likelihood, or a float weight or size is negative or NaN, or ``shared`` exceeds a size.

    Notes
    -----
    The closed forms are this project's own.

    Examples
    --------
    >>> pointwise_gap("bernoulli", 0.5, 0.5, 3, 2, 1)
    np.float64(2.0794415416798357)
    >>> pointwise_gap("multinomial", 1.0, 3.0, 2, 2, 2)
    np.float64(0.0)
    """
    closed_form = _chosen(_CLOSED_FORMS, likelihood)
    u, v, n_u, n_v, shared = (np.asarray(value) for value in (q_u, q_v, n_u, n_v, shared))
    _refuse_impossible(u, v, n_u, n_v, shared)
    return closed_form(u, v, n_u, n_v, shared)


def mass_entropy(a: Any, b: Any) -> Any:
    r"""Return :math:`(a + b)\,h(a/(a+b)) = a\log(1 + b/a) + b\log(1 + a/b)` in nats, 0 where a weight is 0.

    Examples
    --------
    >>> mass_entropy(1.0, 1.0), mass_entropy(0.0, 2.0)
    (np.float64(1.3862943611198906), np.float64(0.0))
    """
    return surprise(a, b) + surprise(b, a)


def surprise(a: Any, b: Any) -> Any:
    r"""Return :math:`a \log((a + b)/a)`, 0 where ``a`` is 0, to full relative precision whatever the scales."""
    a, b = np.asarray(a), np.asarray(b)
    if is_enclosure(a) or is_enclosure(b):
        return _surprise_enclosed(a, b)
    with np.errstate(all="ignore"):
        # The quotient is used only where it is at most 1: it neither overflows nor loses the small part.
        value = a * np.where(b <= a, np.log1p(b / a), np.log(a + b) - np.log(a))
    return np.where(a > 0, value, 0.0)[()]


def _surprise_of_enclosures(a: arb, b: arb) -> arb:
    return arb(0) if arb(a).is_zero() else a * (1 + b / a).log()


_surprise_enclosed: Formula = np.frompyfunc(_surprise_of_enclosures, 2, 1)


def _bernoulli(u: Any, v: Any, n_u: Any, n_v: Any, shared: Any) -> Any:
    return (n_u + n_v - 2 * shared) * mass_entropy(u, v)


def _gaussian(u: Any, v: Any, n_u: Any, n_v: Any, shared: Any) -> Any:
    return (n_u + n_v - 2 * shared) * _harmonic(u, v) / 2


def _poisson(u: Any, v: Any, n_u: Any, n_v: Any, shared: Any) -> Any:
    return (n_u - shared) * surprise(u, v) + (n_v - shared) * surprise(v, u)


def _multinomial(u: Any, v: Any, n_u: Any, n_v: Any, shared: Any) -> Any:
    gap = mass_entropy(u * n_u, v * n_v) - shared * mass_entropy(u, v)
    if is_enclosure(gap):
        return gap
    # Equal sets cancel exactly in theory, and up to rounding here.
    return np.where((n_u == shared) & (n_v == shared), 0.0, np.maximum(gap, 0.0))[()]


def _harmonic(u: Any, v: Any) -> Any:
    """Return ``u v / (u + v)``, 0 where both are 0."""
    if is_enclosure(u) or is_enclosure(v):
        return u * v / (u + v)
    smaller, larger = np.minimum(u, v), np.maximum(u, v)
    # In this order nothing underflows before the result does.
    with np.errstate(all="ignore"):
        return np.where(smaller > 0, smaller / (1 + smaller / larger), 0.0)[()]


def _bernoulli_conjugate(*users: Weighted) -> Any:
    ones, zeros = _total(users, lambda x: x), _total(users, lambda x: 1 - x)
    return (x_log_x(ones) + x_log_x(zeros) - x_log_x(_total(users, lambda x: 1 + 0 * x))).sum(-1)


def _gaussian_conjugate(*users: Weighted) -> Any:
    return (_total(users, lambda x: x) ** 2 / _total(users, lambda x: 2 + 0 * x)).sum(-1)


def _poisson_conjugate(*users: Weighted) -> Any:
    counts = _total(users, lambda x: x)
    return (x_log_x(counts) - counts * np.log(_total(users, lambda x: 1 + 0 * x)) - counts).sum(-1)


def _multinomial_conjugate(*users: Weighted) -> Any:
    counts = _total(users, lambda x: x)
    return x_log_x(counts).sum(-1) - x_log_x(counts.sum(-1))


def _total(users: tuple[Weighted, ...], statistic: Formula) -> Any:
    """Return the sum of weight times statistic over users."""
    weight, x = users[0]
    total = weight * statistic(x)
    for weight, x in users[1:]:
        total = total + weight * statistic(x)
    return total


_CLOSED_FORMS: dict[str, Formula] = {
    "bernoulli": _bernoulli,
    "gaussian": _gaussian,
    "poisson": _poisson,
    "multinomial": _multinomial,
}
# Of one user (weight, contents): the weight times A* of the contents. Of two: their joint weight times A* of the mean.
_CONJUGATES: dict[str, Formula] = {
    "bernoulli": _bernoulli_conjugate,
    "gaussian": _gaussian_conjugate,
    "poisson": _poisson_conjugate,
    "multinomial": _multinomial_conjugate,
}


def _chosen(formulas: dict[str, Formula], likelihood: str) -> Formula:
    if likelihood not in formulas:
        raise InvalidInput(f"unknown likelihood {likelihood!r}; choose one of {', '.join(LIKELIHOODS)}")
    return formulas[likelihood]


def _refuse_impossible(u: np.ndarray, v: np.ndarray, n_u: np.ndarray, n_v: np.ndarray, shared: np.ndarray) -> None:
    for name, values in (("q_u", u), ("q_v", v), ("n_u", n_u), ("n_v", n_v), ("shared", shared)):
        if values.dtype != object and not (values >= 0).all():
            raise InvalidInput(f"{name} must be nonnegative numbers; it has {values[~(values >= 0)].flat[0]}")
    if shared.dtype != object and not ((shared <= n_u) & (shared <= n_v)).all():
        raise InvalidInput("shared must not exceed n_u or n_v: it is the size of the intersection")
