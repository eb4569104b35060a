"""Sampled codes: reading them, and how far one user's lie from another's."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from collabtheory.errors import InvalidInput
from collabtheory.transfer.arguments import all_finite

Matrix = np.ndarray | Tensor


def read_codes(codes: Any, dtype: torch.dtype = torch.float64) -> Tensor:
    """Return ``codes`` as a ``(N, S, d)`` CPU tensor.

    Raises
    ------
    InvalidInput
        If it is not 3-D, has no user, no sample or no dimension, or has a NaN or infinite entry (named).
    """
    try:
        tensor = codes.detach().cpu() if isinstance(codes, Tensor) else torch.as_tensor(np.asarray(codes))
        if tensor.is_complex():
            raise TypeError(f"dtype {tensor.dtype}")
        tensor = tensor.to(dtype).contiguous()
    except (TypeError, ValueError, RuntimeError) as error:
        raise InvalidInput(f"codes must be a (users, samples, dimensions) array of real numbers: {error}") from error
    if tensor.ndim != 3:
        raise InvalidInput(f"codes must be 3-D (users, samples, dimensions); their shape is {tuple(tensor.shape)}")
    if 0 in tensor.shape:
        raise InvalidInput(
            f"codes need at least one user, one sample and one dimension; their shape is {tuple(tensor.shape)}"
        )
    if not all_finite(tensor):
        user, sample, dimension = (int(i) for i in torch.nonzero(~torch.isfinite(tensor))[0])
        value = float(tensor[user, sample, dimension])
        raise InvalidInput(f"codes must be finite; codes[{user}, {sample}, {dimension}] is {value}")
    return tensor


def transport_cost(codes: Any, other: Any = None) -> Matrix:
    r"""Mean distance between the paired codes of every two users.

    .. math:: c(u, v) = \frac{1}{S} \sum_s \| z_{us} - z_{vs} \|

    The cost of one coupling of the two empirical distributions, hence an **upper** bound of their :math:`W_1`. With
    common noise across users (``DiagonalGaussian.sample(noise="common")``) the coupling is the comonotone one.

    Parameters
    ----------
    codes
        ``(N, S, d)``, NumPy or torch.
    other
        Codes of the second set, ``(K, S, d)``; the same set if None.

    Returns
    -------
    numpy.ndarray or torch.Tensor
        ``(N, K)`` float64, latent units; torch if ``codes`` is. Zero for equal codes, exact for near ones (distances
        are computed from differences).

    Raises
    ------
    InvalidInput
        If an argument is empty, not finite or not 3-D, or the two differ in samples or dimensions.

    Examples
    --------
    >>> transport_cost([[[0.0, 0.0]], [[3.0, 4.0]]])
    array([[0., 5.],
           [5., 0.]])
    """
    left, right = _read_pair(codes, other)
    total = sum((_distances(left[:, s], right[:, s]) for s in range(left.shape[1])), torch.zeros(()).double())
    return as_kind_of(codes, total / left.shape[1])


def tube_radius(codes: Any, other: Any = None) -> Matrix:
    r"""Largest distance between the paired codes of every two users, :math:`\max_s \| z_{us} - z_{vs} \|`.

    All of v's codes lie in the tube of this radius around u's: the region on which a local Lipschitz constant must
    hold for the pair.

    Parameters
    ----------
    codes, other
        As in :func:`transport_cost`.

    Returns
    -------
    numpy.ndarray or torch.Tensor
        ``(N, K)`` float64, latent units; never below :func:`transport_cost`.

    Raises
    ------
    InvalidInput
        As :func:`transport_cost`.

    Examples
    --------
    >>> tube_radius([[[0.0], [0.0]], [[1.0], [3.0]]])
    array([[0., 3.],
           [3., 0.]])
    """
    left, right = _read_pair(codes, other)
    largest = _distances(left[:, 0], right[:, 0])
    for s in range(1, left.shape[1]):
        torch.maximum(largest, _distances(left[:, s], right[:, s]), out=largest)
    return as_kind_of(codes, largest)


def as_kind_of(given: Any, result: Tensor) -> Matrix:
    """Return ``result`` as a torch tensor if ``given`` is one, else as a NumPy array."""
    return result if isinstance(given, Tensor) else result.numpy()


def _read_pair(codes: Any, other: Any) -> tuple[Tensor, Tensor]:
    left = read_codes(codes)
    right = left if other is None else read_codes(other)
    if left.shape[1:] != right.shape[1:]:
        raise InvalidInput(
            f"the two sets of codes must agree in samples and dimensions; they have {tuple(left.shape[1:])} "
            f"and {tuple(right.shape[1:])}"
        )
    return left, right


def _distances(left: Tensor, right: Tensor) -> Tensor:
    # The matrix-product form of cdist loses half the digits of near twins.
    return torch.cdist(left, right, compute_mode="donot_use_mm_for_euclid_dist")
