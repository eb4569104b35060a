r"""How far apart two posteriors may lie while one user's step must still help the other.

Both radii are **sufficient** conditions on :math:`W_1(q_u, q_v)`. What they certify depends on the Lipschitz constant
that is put in:

- an **upper** bound makes the radius certified: with an upper bound of ``W_1`` below it, ``v`` helps ``u``;
- a **lower** bound (the largest local slope seen) makes it heuristic: a radius that is at least the true one.

Never mix the two; name which was used.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from collabtheory.errors import InvalidInput

Values = np.ndarray | Tensor


def sharing_radius(gradient_norm: Any, content_mismatch: Any, lipschitz: Any) -> Values:
    r"""Latent sharing radius of the paper.

    .. math:: r_{share}(u, v) = \frac{\max(0, \|g_u\| - D_x(u, v))}{L_{\theta z}}

    Parameters
    ----------
    gradient_norm
        :math:`\|g_u\|`, nonnegative. For an ``(N, N)`` result pass it as a column, ``norms[:, None]``.
    content_mismatch
        :math:`D_x(u, v)` under v's codes, nonnegative.
    lipschitz
        A Lipschitz constant of :math:`z \mapsto G(x_u, z)` on the region in use, nonnegative, possibly infinite.
        **Upper** bound: certified radius. **Lower** bound: heuristic radius. All arguments broadcast.

    Returns
    -------
    numpy.ndarray or torch.Tensor
        Radius in latent units, float64, of the broadcast shape; torch if an argument is. Zero where the premise is
        empty (mismatch at least the norm); where the constant is 0, infinity if the numerator is positive, else 0.

    Raises
    ------
    InvalidInput
        If an argument is NaN or negative, or the shapes do not broadcast. Empty arrays give an empty result.

    Notes
    -----
    *Theorem* [paper, Thm 2.3]. :math:`W_1(q_u, q_v) < r_{share}` implies :math:`\langle g_u, g_v \rangle > 0`, so v's
    step helps u for every small enough learning rate. *Proof idea.* By Kantorovich and Rubinstein
    :math:`\|g_u - g_v\| \le D = L W_1 + D_x`, and by Cauchy and Schwarz
    :math:`\langle g_u, g_v \rangle \ge \|g_u\| (\|g_u\| - D)`.

    Examples
    --------
    >>> sharing_radius([[2.0], [1.0]], [[0.0, 0.5], [1.5, 0.0]], 4.0)
    array([[0.5  , 0.375],
           [0.   , 0.25 ]])
    """
    norm, mismatch, constant = _read(
        gradient_norm=gradient_norm, content_mismatch=content_mismatch, lipschitz=lipschitz
    )
    with np.errstate(invalid="ignore"):
        margin = norm - mismatch
    return _as_given(_quotient(margin, constant), gradient_norm, content_mismatch, lipschitz)


def aligned_radius(alignment: Any, directional_lipschitz: Any) -> Values:
    r"""Aligned sharing radius: one scalar slope in place of a whole gradient's.

    .. math:: r_{align}(u, v) = \frac{\max(0, a(u, v))}{L_{dir}(u, v)}

    Parameters
    ----------
    alignment
        :math:`a(u, v) = \langle g_u, E_{z \sim q_u} G(x_v, z) \rangle`, any sign.
    directional_lipschitz
        A Lipschitz constant of the scalar :math:`z \mapsto \langle g_u, G(x_v, z) \rangle`, nonnegative, possibly
        infinite. **Upper** bound: certified radius. **Lower** bound: heuristic radius. Both broadcast.

    Returns
    -------
    numpy.ndarray or torch.Tensor
        Radius in latent units, float64, of the broadcast shape; torch if an argument is. Where the constant is 0,
        infinity if the alignment is positive, else 0.

    Raises
    ------
    InvalidInput
        If an argument is NaN, a constant is negative, or the shapes do not broadcast.

    Notes
    -----
    *Theorem* (of this project, not in the paper). :math:`W_1(q_u, q_v) < r_{align}` implies
    :math:`\langle g_u, g_v \rangle > 0`. *Proof idea.* :math:`\langle g_u, g_v \rangle - a(u, v)` is the difference of
    the expectations of one scalar function under :math:`q_v` and :math:`q_u`, at most :math:`L_{dir} W_1`.

    *Domination.* With mismatch under :math:`q_u` and the constant of :math:`G(x_v, \cdot)`,
    :math:`a \ge \|g_u\| (\|g_u\| - D_x')` and :math:`L_{dir} \le \|g_u\| L'`, so it is never below the sharing radius
    with the two contents' roles exchanged.

    Examples
    --------
    >>> aligned_radius([3.0, -1.0, 1.0], [1.5, 1.5, 0.0])
    array([ 2.,  0., inf])
    """
    product, constant = _read(alignment=alignment, directional_lipschitz=directional_lipschitz)
    return _as_given(_quotient(product, constant), alignment, directional_lipschitz)


def _quotient(margin: np.ndarray, constant: np.ndarray) -> np.ndarray:
    positive = margin > 0
    with np.errstate(divide="ignore", invalid="ignore"):
        # inf / inf is an empty radius: an infinite constant certifies nothing.
        quotient = np.where(np.isinf(constant), 0.0, margin / constant)
    return np.where(positive, quotient, 0.0)


def _read(**arguments: Any) -> tuple[np.ndarray, ...]:
    arrays = {}
    for name, values in arguments.items():
        try:
            raw = values.detach().cpu().numpy() if isinstance(values, Tensor) else values
            array = np.asarray(raw, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise InvalidInput(f"{name} must be numbers: {error}") from error
        if np.isnan(array).any():
            raise InvalidInput(f"{name} has a NaN")
        if name != "alignment" and (array < 0).any():
            raise InvalidInput(f"{name} must be nonnegative; its smallest entry is {array.min()}")
        arrays[name] = array
    try:
        return tuple(np.broadcast_arrays(*arrays.values()))
    except ValueError as error:
        shapes = ", ".join(f"{name} {array.shape}" for name, array in arrays.items())
        raise InvalidInput(f"the arguments do not broadcast: {shapes}") from error


def _as_given(result: np.ndarray, *given: Any) -> Values:
    return torch.from_numpy(result) if any(isinstance(values, Tensor) for values in given) else result
