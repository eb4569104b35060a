"""The transfer quantities as plain functions of (decoder, likelihood, contents, codes).

Each makes a fresh :class:`~collabtheory.transfer.kernels.TransferKernels`. Where several quantities of the same users
are wanted, make that object once and call its methods: the passes through the decoder are then shared.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

from collabtheory.models.likelihoods import Likelihood
from collabtheory.transfer.arguments import Rates
from collabtheory.transfer.codes import Matrix
from collabtheory.transfer.kernels import TransferKernels
from collabtheory.transfer.loss_change_surrogate import LossChangeEstimate

_F64 = torch.float64


def gradient_gram(
    decoder: nn.Module,
    likelihood: str | Likelihood,
    x: Any,
    codes: Any,
    *,
    scale: str = "user",
    diagonal: str = "plug_in",
    pairing: str = "all",
    dtype: torch.dtype = _F64,
) -> Matrix:
    r"""Gram matrix of the users' decoder gradients.

    .. math:: \langle g_u, g_v \rangle, \quad g_u = \nabla_\theta \frac1S \sum_s \ell(\theta; x_u, z_{us})

    Parameters
    ----------
    decoder, likelihood, x, codes, scale, dtype
        As in :class:`TransferKernels`. ``x`` is ``(N, I)``, ``codes`` ``(N, S, d)``.
    diagonal
        ``"plug_in"``: the squared norm of the mean gradient of these samples. As an estimate of :math:`\|E g\|^2` it is
        too large by one sample's variance over S. ``"unbiased"``: the mean over pairs of different samples; can be
        negative; needs ``S >= 2``. Off the diagonal both are the same.
    pairing
        ``"all"``: all ``S^2`` pairs of samples, the exact inner product of the plug-in gradients. ``"same_sample"``:
        sample s of u with sample s of v only, an incomplete U-statistic at 1/S of the work. It estimates
        :math:`\langle E g_u, E g_v \rangle` without bias ONLY if the noise is independent across users
        (``DiagonalGaussian.sample(noise="independent")``); with common noise it is biased.

    Returns
    -------
    numpy.ndarray or torch.Tensor
        ``(N, N)``, nats squared per parameter unit squared, symmetric; torch if ``x`` or ``codes`` is. Positive
        semidefinite to rounding for ``diagonal="plug_in", pairing="all"``. A user without items has a zero row under
        the multinomial. Users listed twice give equal rows.

    Raises
    ------
    InvalidInput
        As :class:`TransferKernels`, for an unknown option, or ``"unbiased"`` with one sample.

    Notes
    -----
    [paper, Thm 2.3] is about these inner products. ``2 M (forward + backward) + M^2 sum (a + b)`` floating-point
    operations for ``M = N S`` rows (:func:`gram_flops`); no parameter-sized vector is formed.

    Examples
    --------
    >>> decoder = nn.Linear(1, 2, bias=False)
    >>> _ = torch.nn.init.zeros_(decoder.weight)
    >>> gradient_gram(decoder, "multinomial", [[1, 0], [0, 1]], [[[1.0]], [[1.0]]])
    array([[ 0.5, -0.5],
           [-0.5,  0.5]])
    """
    kernels = TransferKernels(decoder, likelihood, x, codes, scale=scale, dtype=dtype)
    return kernels.gradient_gram(diagonal=diagonal, pairing=pairing)


def gradient_gram_standard_error(
    decoder: nn.Module,
    likelihood: str | Likelihood,
    x: Any,
    codes: Any,
    *,
    scale: str = "user",
    dtype: torch.dtype = _F64,
) -> Matrix:
    r"""Return the sampling error of the Gram matrix of ``pairing="same_sample"``.

    The standard deviation over ``s`` of :math:`\langle g_{us}, g_{vs} \rangle`, divided by :math:`\sqrt S`.

    Parameters
    ----------
    decoder, likelihood, x, codes, scale, dtype
        As in :class:`TransferKernels`; the noise of ``codes`` must be independent across users.

    Returns
    -------
    numpy.ndarray or torch.Tensor
        ``(N, N)``, units of the Gram matrix. Its diagonal is that of the same-sample products, not of the norms.

    Raises
    ------
    InvalidInput
        As :class:`TransferKernels`, and for a single sample.

    Examples
    --------
    >>> decoder = nn.Linear(1, 2, bias=False)
    >>> _ = torch.nn.init.zeros_(decoder.weight)
    >>> gradient_gram_standard_error(decoder, "multinomial", [[1, 0]], [[[1.0], [1.0]]])
    array([[0.]])
    """
    return TransferKernels(decoder, likelihood, x, codes, scale=scale, dtype=dtype).gradient_gram_standard_error()


def gradient_cross_gram(
    decoder: nn.Module,
    likelihood: str | Likelihood,
    x: Any,
    codes: Any,
    other_x: Any,
    other_codes: Any,
    *,
    scale: str = "user",
    dtype: torch.dtype = _F64,
) -> Matrix:
    r"""Inner products of the decoder gradients of two sets of users.

    Parameters
    ----------
    decoder, likelihood, x, codes, scale, dtype
        As in :func:`gradient_gram`.
    other_x, other_codes
        The second set: ``(K, I)`` and ``(K, S', d)``; its number of samples may differ.

    Returns
    -------
    numpy.ndarray or torch.Tensor
        ``(N, K)``: :math:`\langle g_u, g_v \rangle`, u of the first set and v of the second.

    Raises
    ------
    InvalidInput
        As :class:`TransferKernels`.

    Examples
    --------
    >>> decoder = nn.Linear(1, 2, bias=False)
    >>> _ = torch.nn.init.zeros_(decoder.weight)
    >>> gradient_cross_gram(decoder, "multinomial", [[1, 0]], [[[1.0]]], [[1, 0], [0, 1]], [[[2.0]], [[2.0]]])
    array([[ 1., -1.]])
    """
    first = TransferKernels(decoder, likelihood, x, codes, scale=scale, dtype=dtype)
    return first.gradient_cross_gram(
        TransferKernels(decoder, likelihood, other_x, other_codes, scale=scale, dtype=dtype)
    )


def gradient_norms(
    decoder: nn.Module,
    likelihood: str | Likelihood,
    x: Any,
    codes: Any,
    *,
    scale: str = "user",
    diagonal: str = "plug_in",
    dtype: torch.dtype = _F64,
) -> Matrix:
    r"""Norms :math:`\|g_u\|` of the users' decoder gradients, without the Gram matrix.

    Parameters
    ----------
    decoder, likelihood, x, codes, scale, diagonal, dtype
        As in :func:`gradient_gram`. The sharing radius depends on the norm, so its bias matters: ``"plug_in"`` is the
        norm of the gradient that the codes define (the one every statement on these codes is about), ``"unbiased"``
        estimates that of the exact expectation.

    Returns
    -------
    numpy.ndarray or torch.Tensor
        ``(N,)``, nats per parameter unit; 0 where the unbiased square is negative.

    Raises
    ------
    InvalidInput
        As :func:`gradient_gram`.

    Examples
    --------
    >>> decoder = nn.Linear(1, 2, bias=False)
    >>> _ = torch.nn.init.zeros_(decoder.weight)
    >>> gradient_norms(decoder, "gaussian", [[3, 4]], [[[1.0]]])
    array([5.])
    """
    return TransferKernels(decoder, likelihood, x, codes, scale=scale, dtype=dtype).gradient_norms(diagonal=diagonal)


def gradient_gap(
    decoder: nn.Module,
    likelihood: str | Likelihood,
    x: Any,
    codes: Any,
    *,
    scale: str = "user",
    dtype: torch.dtype = _F64,
) -> Matrix:
    r"""Distances :math:`\|g_u - g_v\|` between the users' decoder gradients, accurate for near twins.

    Parameters
    ----------
    decoder, likelihood, x, codes, scale, dtype
        As in :func:`gradient_gram`.

    Returns
    -------
    numpy.ndarray or torch.Tensor
        ``(N, N)``, nats per parameter unit. Zero for equal contents with equal codes; pairs whose Gram entries would
        cancel are computed from differences instead.

    Raises
    ------
    InvalidInput
        As :class:`TransferKernels`.

    Examples
    --------
    >>> decoder = nn.Linear(1, 2, bias=False)
    >>> _ = torch.nn.init.zeros_(decoder.weight)
    >>> gradient_gap(decoder, "gaussian", [[1, 0], [1, 0], [0, 0]], [[[2.0]], [[2.0]], [[2.0]]])
    array([[0., 0., 2.],
           [0., 0., 2.],
           [2., 2., 0.]])
    """
    return TransferKernels(decoder, likelihood, x, codes, scale=scale, dtype=dtype).gradient_gap()


def content_mismatch(
    decoder: nn.Module,
    likelihood: str | Likelihood,
    x: Any,
    codes: Any,
    *,
    scale: str = "user",
    dtype: torch.dtype = _F64,
) -> Matrix:
    r"""Content mismatch of every ordered pair, in the tight form, under v's codes.

    .. math:: D_x(u, v) = \Big\| \frac1S \sum_s [G(x_u, z_{vs}) - G(x_v, z_{vs})] \Big\|

    Parameters
    ----------
    decoder, likelihood, x, codes, scale, dtype
        As in :func:`gradient_gram`.

    Returns
    -------
    numpy.ndarray or torch.Tensor
        ``(N, N)``, nats per parameter unit, not symmetric. Exactly zero for equal contents, without cancellation for
        near twins.

    Raises
    ------
    InvalidInput
        As :class:`TransferKernels`.

    Notes
    -----
    [paper, Thm 2.3]. The looser forms ``E||.||`` and ``sup_z ||.||`` are at least as large, so a radius from this form
    is never smaller. After one pass through the decoder a pair costs about three products of the hidden width.

    Examples
    --------
    >>> decoder = nn.Linear(1, 2, bias=False)
    >>> _ = torch.nn.init.zeros_(decoder.weight)
    >>> content_mismatch(decoder, "gaussian", [[3, 4], [0, 0]], [[[1.0]], [[2.0]]])
    array([[ 0., 10.],
           [ 5.,  0.]])
    """
    return TransferKernels(decoder, likelihood, x, codes, scale=scale, dtype=dtype).content_mismatch()


def alignment(
    decoder: nn.Module,
    likelihood: str | Likelihood,
    x: Any,
    codes: Any,
    *,
    scale: str = "user",
    dtype: torch.dtype = _F64,
) -> Matrix:
    r"""Alignment of v's content with u's gradient, at u's own codes.

    .. math:: a(u, v) = \Big\langle g_u, \frac1S \sum_s G(x_v, z_{us}) \Big\rangle

    Parameters
    ----------
    decoder, likelihood, x, codes, scale, dtype
        As in :func:`gradient_gram`.

    Returns
    -------
    numpy.ndarray or torch.Tensor
        ``(N, N)``, units of the Gram matrix, not symmetric; the diagonal is :math:`\|g_u\|^2`.

    Raises
    ------
    InvalidInput
        As :class:`TransferKernels`.

    Notes
    -----
    A quantity of this project, not of the paper: :math:`\langle g_u, g_v \rangle \ge a(u, v) - L_{dir} W_1(q_u, q_v)`.
    See :func:`aligned_radius`.

    Examples
    --------
    >>> decoder = nn.Linear(1, 2, bias=False)
    >>> _ = torch.nn.init.zeros_(decoder.weight)
    >>> alignment(decoder, "gaussian", [[1, 0], [1, 1]], [[[1.0]], [[2.0]]])
    array([[1., 1.],
           [4., 8.]])
    """
    return TransferKernels(decoder, likelihood, x, codes, scale=scale, dtype=dtype).alignment()


def directional_slopes(
    decoder: nn.Module,
    likelihood: str | Likelihood,
    x: Any,
    codes: Any,
    *,
    scale: str = "user",
    n_samples: int | None = None,
    dtype: torch.dtype = _F64,
) -> Matrix:
    r"""Largest local slope of :math:`z \mapsto \langle g_u, G(x_v, z) \rangle` at u's codes.

    .. math:: \max_s \| \nabla_z \langle g_u, G(x_v, z) \rangle \|_{z = z_{us}}

    A **lower** bound of the directional Lipschitz constant on any region that contains u's codes: use it for the
    heuristic radius, never for a certificate.

    Parameters
    ----------
    decoder, likelihood, x, codes, scale, dtype
        As in :func:`gradient_gram`.
    n_samples
        Look at the first so many of u's codes only (cheaper, and still a lower bound); all if None. ``g_u`` is always
        the mean over all samples.

    Returns
    -------
    numpy.ndarray or torch.Tensor
        ``(N, N)``, units of the Gram matrix per latent unit, nonnegative.

    Raises
    ------
    InvalidInput
        As :class:`TransferKernels`, or if ``n_samples`` is not between 1 and S.

    Examples
    --------
    >>> decoder = nn.Linear(1, 2, bias=False)
    >>> _ = torch.nn.init.zeros_(decoder.weight)
    >>> directional_slopes(decoder, "gaussian", [[1, 0], [1, 1]], [[[1.0]], [[2.0]]])
    array([[1., 1.],
           [2., 4.]])
    """
    kernels = TransferKernels(decoder, likelihood, x, codes, scale=scale, dtype=dtype)
    return kernels.directional_slopes(n_samples=n_samples)


def step_loss_change(
    decoder: nn.Module,
    likelihood: str | Likelihood,
    x: Any,
    codes: Any,
    learning_rate: Rates,
    *,
    scale: str = "user",
    users: Any = None,
    sources: Any = None,
    dtype: torch.dtype = _F64,
) -> Matrix:
    r"""Loss change of every user after one gradient step on every other, exactly.

    .. math:: [u, v] = L_u(\theta - lr\, g_v) - L_u(\theta), \quad L_u = \frac1S \sum_s \ell(\theta; x_u, z_{us})

    with the same codes before and after. Negative: v helps u.

    Parameters
    ----------
    decoder, likelihood, x, codes, scale, dtype
        As in :func:`gradient_gram`. Under ``scale="interaction"`` both the step and the loss are per interaction.
    learning_rate
        Finite, nonnegative; a sequence adds a leading axis.
    users, sources
        Row numbers whose loss is measured, and whose step is taken; all if None. Duplicates are allowed.

    Returns
    -------
    numpy.ndarray or torch.Tensor
        ``(users, sources)``, or ``(rates, users, sources)``; nats. Accurate to about 1e-12 of the size of its terms at
        ANY learning rate: changes are propagated through the layers as differences, no two losses are subtracted.

    Raises
    ------
    InvalidInput
        As :class:`TransferKernels`, for a learning rate that is negative or not finite, or a row that does not exist.
    NumericalFailure
        If a step leaves the finite numbers (Poisson at a long step).

    Notes
    -----
    [paper, Thm 2.3]. All pairs cost ``2 N^2 S sum_{l>=2} a_l b_l`` operations (:func:`loss_change_flops`): 0.5e12 for
    256 users and a 200-600-1447 decoder with S = 4, but 1e14 for 1,024 users and 20,000 items: choose ``sources``.

    Examples
    --------
    >>> decoder = nn.Linear(1, 2, bias=False)
    >>> _ = torch.nn.init.zeros_(decoder.weight)
    >>> step_loss_change(decoder, "gaussian", [[1, 0], [0, 1]], [[[1.0]], [[1.0]]], 0.5)
    array([[-0.375,  0.125],
           [ 0.125, -0.375]])
    """
    kernels = TransferKernels(decoder, likelihood, x, codes, scale=scale, dtype=dtype)
    return kernels.step_loss_change(learning_rate, users=users, sources=sources)


def step_loss_change_surrogate(
    decoder: nn.Module,
    likelihood: str | Likelihood,
    x: Any,
    codes: Any,
    learning_rate: Rates,
    *,
    rng: np.random.Generator,
    n_items: int = 256,
    scale: str = "user",
    users: Any = None,
    sources: Any = None,
    dtype: torch.dtype = _F64,
) -> LossChangeEstimate:
    r"""Loss changes as :func:`step_loss_change` gives them, estimated from a few items: for screening large catalogues.

    Exact to first order in the learning rate; of the rest, the items that weigh most and the source's own are summed
    and the others sampled.

    Parameters
    ----------
    decoder, likelihood, x, codes, learning_rate, scale, users, sources, dtype
        As in :func:`step_loss_change`; the likelihood must be the multinomial, the decoder have a hidden layer.
    rng
        Draws the items. Users of one block of rows share them, so errors of pairs are correlated.
    n_items
        ``K``, at least 4: half of them summed, half drawn. All items, without sampling error, if there are not more.

    Returns
    -------
    LossChangeEstimate
        ``change`` and ``standard_error``, each ``(users, sources)`` or ``(rates, users, sources)``; nats. Errors are
        not quite normal: the draws have a long tail.

    Raises
    ------
    InvalidInput, NumericalFailure
        As :func:`step_loss_change`, and for too few items.
    PremiseNotMet
        For another likelihood, or a decoder that is no chain of at least two dense layers.

    Notes
    -----
    A quantity of this project, not of the paper. :func:`surrogate_flops` operations.

    Examples
    --------
    >>> decoder = nn.Sequential(nn.Linear(1, 1), nn.Tanh(), nn.Linear(1, 2))
    >>> args = (decoder, "multinomial", [[1, 0], [0, 1]], [[[1.0]], [[2.0]]], 1e-3)
    >>> estimate = step_loss_change_surrogate(*args, rng=np.random.default_rng(0))
    >>> bool(np.allclose(estimate.change, step_loss_change(*args), rtol=1e-9, atol=0.0))
    True
    """
    kernels = TransferKernels(decoder, likelihood, x, codes, scale=scale, dtype=dtype)
    return kernels.step_loss_change_surrogate(learning_rate, rng=rng, n_items=n_items, users=users, sources=sources)


def step_loss_change_pairs(
    decoder: nn.Module,
    likelihood: str | Likelihood,
    x: Any,
    codes: Any,
    learning_rate: Rates,
    rows: Any,
    cols: Any,
    *,
    scale: str = "user",
    dtype: torch.dtype = _F64,
) -> Matrix:
    r"""Loss changes of listed pairs only.

    .. math:: [p] = L_u(\theta - lr\, g_v) - L_u(\theta), \quad u = rows[p],\ v = cols[p]

    Parameters
    ----------
    decoder, likelihood, x, codes, learning_rate, scale, dtype
        As in :func:`step_loss_change`.
    rows, cols
        Row numbers, equally long; empty lists give an empty result, duplicates are computed twice.

    Returns
    -------
    numpy.ndarray or torch.Tensor
        ``(P,)``, or ``(rates, P)`` for a sequence of learning rates; nats.

    Raises
    ------
    InvalidInput, NumericalFailure
        As :func:`step_loss_change`, and if ``rows`` and ``cols`` differ in length.

    Examples
    --------
    >>> decoder = nn.Linear(1, 2, bias=False)
    >>> _ = torch.nn.init.zeros_(decoder.weight)
    >>> step_loss_change_pairs(decoder, "gaussian", [[1, 0], [0, 1]], [[[1.0]], [[1.0]]], [0.0, 0.5], [0], [1])
    array([[0.   ],
           [0.125]])
    """
    kernels = TransferKernels(decoder, likelihood, x, codes, scale=scale, dtype=dtype)
    return kernels.step_loss_change_pairs(learning_rate, rows, cols)
