r"""Assumption A1: Lipschitz constants of ``z -> G(x, z) = grad_theta l(theta; x, z)``, each with its region.

A1 is false on the whole latent space when theta includes the first decoder layer, whose gradient ``delta_1 z'`` grows
with ``z`` (:mod:`collabtheory.latent.gradient_growth`); it holds on balls, and that is where it is certified here.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from collabtheory.errors import InvalidInput
from collabtheory.latent._kinds import Contents, give_back, is_torch, matrix
from collabtheory.latent.gradient_ball import BallBound, ball_bounds
from collabtheory.latent.gradient_jacobian import local_gradient_lipschitz
from collabtheory.latent.lipschitz import SAFETY, LipschitzBracket
from collabtheory.models.likelihoods import Likelihood
from collabtheory.models.posterior import Array


def gradient_lipschitz_on_balls(
    decoder: nn.Module,
    likelihood: str | Likelihood,
    x: Contents,
    centers: ArrayLike | Tensor,
    radius: float | ArrayLike | Tensor,
) -> Array:
    r"""Certified Lipschitz constant of ``z -> G(x_m, z)`` on the closed ball around each center.

    .. math:: \|G(x_m, z) - G(x_m, z')\| \le L_m \|z - z'\| \quad \text{for all } z, z' \in B(c_m, r_m)

    Parameters
    ----------
    decoder
        Linear layers and activations with a Lipschitz derivative (not ReLU).
    likelihood
        Name or object.
    x
        Contents, ``(n_codes, n_items)``, CSR or dense.
    centers
        ``(n_codes, d)``.
    radius
        One radius, or one for each center ``(n_codes,)``, or several for each, ``(n_radii, n_codes)`` or
        ``(n_radii, 1)``; >= 0, latent units. Several radii share the work at the centers.

    Returns
    -------
    numpy.ndarray or torch.Tensor
        ``(n_codes,)``, or ``(n_radii, n_codes)`` for several radii; float64. An upper bound always; infinite where
        the computation overflows. At radius 0 the exact local constant.

    Raises
    ------
    PremiseNotMet
        If the decoder has no closed form or an activation's derivative jumps.
    InvalidInput
        If shapes do not fit, a radius is negative, or an entry is not finite.

    Notes
    -----
    All factors of the Jacobian are exact at the center; what is bounded is how far they move. Measured on
    MovieLens-100k (32-200-1447, multinomial) as a multiple of the largest constant found inside by ascent: at
    initialisation 1.1, 1.2, 1.7 at radius 0.1, 0.3, 1; after training 1.4, 3 and 40, and wider on overfitted decoders.
    Up to 6,000 items; beyond that a cheaper, wider bound of the softmax curvature is used.

    Examples
    --------
    >>> decoder = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 4))
    >>> bounds = gradient_lipschitz_on_balls(decoder, "multinomial", np.eye(4), np.zeros((4, 2)), [[0.1], [1.0]])
    >>> bounds.shape, bool((bounds[0] <= bounds[1]).all())
    ((2, 4), True)
    """
    bounds, several = _on_balls(decoder, likelihood, x, centers, radius)
    whole = torch.stack([bound.whole for bound in bounds])
    return give_back(whole if several else whole[0], is_torch(centers))


def gradient_lipschitz_on_segments(
    decoder: nn.Module,
    likelihood: str | Likelihood,
    x: Contents,
    starts: ArrayLike | Tensor,
    ends: ArrayLike | Tensor,
    *,
    n_pieces: int = 8,
) -> Array:
    r"""Certified Lipschitz constant of ``z -> G(x_m, z)`` on the straight segment between two codes.

    The segment is covered by ``n_pieces`` balls around the midpoints of its pieces; the largest of their bounds holds
    between any two points of the segment, in particular between its ends. Where codes are compared in pairs this is
    far tighter than one ball that reaches from one code to the other.

    Parameters
    ----------
    decoder, likelihood, x
        As in :func:`gradient_lipschitz_on_balls`; one content for each segment.
    starts, ends
        ``(n_segments, d)``.
    n_pieces
        Pieces, at least 1; the cost is that of ``n_pieces`` centers a segment.

    Returns
    -------
    numpy.ndarray or torch.Tensor
        ``(n_segments,)`` float64. A segment of length 0 gives the exact local constant.

    Raises
    ------
    PremiseNotMet, InvalidInput
        As :func:`gradient_lipschitz_on_balls`; InvalidInput also if ``starts`` and ``ends`` differ in shape.
    """
    if n_pieces < 1 or n_pieces != int(n_pieces):
        raise InvalidInput(f"n_pieces must be an integer of at least 1; it is {n_pieces}")
    width = np.shape(starts)[-1] if np.ndim(starts) else 0
    first, last = matrix("starts", starts, width), matrix("ends", ends, width)
    if first.shape != last.shape:
        raise InvalidInput(f"starts and ends must have one shape; they have {first.shape} and {last.shape}")
    # The ball of a piece must hold its end points in spite of rounding.
    radius = (last - first).norm(dim=1) / (2 * n_pieces) * SAFETY
    bounds = [
        torch.as_tensor(gradient_lipschitz_on_balls(decoder, likelihood, x, first + share * (last - first), radius))
        for share in ((piece + 0.5) / n_pieces for piece in range(n_pieces))
    ]
    return give_back(torch.stack(bounds).amax(0), is_torch(starts, ends))


def directional_lipschitz_on_balls(
    decoder: nn.Module,
    likelihood: str | Likelihood,
    x: Contents,
    centers: ArrayLike | Tensor,
    radius: float | ArrayLike | Tensor,
    gradient_norms: ArrayLike | Tensor,
    *,
    center_slopes: ArrayLike | Tensor | None = None,
) -> Array:
    r"""Certified Lipschitz constant of the scalar ``z -> <g, G(x_m, z)>`` on the closed ball around each center.

    Parameters
    ----------
    decoder, likelihood, x, centers, radius
        As in :func:`gradient_lipschitz_on_balls`.
    gradient_norms
        Norms of the blocks of ``g``, one for each Linear layer (weight and bias together): ``(n_codes, n_layers)`` or
        ``(n_layers,)`` where all codes share one ``g``.
    center_slopes
        ``||grad_z <g, G(x_m, z)>||`` at the centers, ``(n_codes,)``, from
        :func:`~collabtheory.latent.gradient_jacobian.directional_slopes`; makes the bound tight on small balls.

    Returns
    -------
    numpy.ndarray or torch.Tensor
        As :func:`gradient_lipschitz_on_balls`; at most ``||g||`` times its result.

    Raises
    ------
    PremiseNotMet, InvalidInput
        As :func:`gradient_lipschitz_on_balls`.

    Notes
    -----
    Not in the paper: the constant ``L_dir`` of the aligned sharing radius.
    """
    bounds, several = _on_balls(decoder, likelihood, x, centers, radius)
    n_codes, n_layers = bounds[0].blocks.shape
    norms = _broadcast("gradient_norms", gradient_norms, (n_codes, n_layers))
    results = []
    for bound in bounds:
        by_block = (norms * bound.blocks).sum(1)
        result = torch.minimum(by_block, norms.norm(dim=1) * bound.whole)
        if center_slopes is not None:
            slopes = _broadcast("center_slopes", center_slopes, (n_codes,))
            result = torch.minimum(result, slopes + (norms * bound.block_changes).sum(1))
        results.append(torch.nan_to_num(result * SAFETY, nan=torch.inf))
    return give_back(torch.stack(results) if several else results[0], is_torch(centers))


def decoder_gradient_lipschitz(
    decoder: nn.Module,
    likelihood: str | Likelihood,
    x: Contents,
    codes: ArrayLike | Tensor,
    radius: float | None = None,
) -> LipschitzBracket:
    """Bracket of the Lipschitz constant of ``z -> G(x, z)`` over the given contents.

    Parameters
    ----------
    decoder, likelihood, x
        As in :func:`gradient_lipschitz_on_balls`.
    codes
        ``(n_codes, d)``, at least one.
    radius
        None: the region is the ball around the origin that holds all codes. A number: the region is each ball of that
        radius around a code with its own content.

    Returns
    -------
    LipschitzBracket
        ``lower`` is the largest exact local constant at the codes, ``upper`` is certified on the region.

    Raises
    ------
    PremiseNotMet, InvalidInput
        As :func:`gradient_lipschitz_on_balls`; InvalidInput also without codes.
    """
    local = torch.as_tensor(local_gradient_lipschitz(decoder, likelihood, x, codes))
    if not len(local):
        raise InvalidInput("codes has no row: there is no region to bound")
    points = torch.as_tensor(codes if isinstance(codes, Tensor) else np.asarray(codes)).to(torch.float64)
    if radius is None:
        reach = float(points.norm(dim=1).max()) * SAFETY
        centers, region = torch.zeros_like(points), f"||z|| <= {reach:.6g} for {len(points)} contents"
    else:
        centers, reach = points, float(radius)
        region = f"within {reach:.6g} of each of {len(points)} codes, with its own content"
    upper = torch.as_tensor(gradient_lipschitz_on_balls(decoder, likelihood, x, centers, reach)).max()
    return LipschitzBracket(float(local.max()), float(upper), region)


def _on_balls(
    decoder: nn.Module,
    likelihood: str | Likelihood,
    x: Contents,
    centers: ArrayLike | Tensor,
    radius: float | ArrayLike | Tensor,
) -> tuple[list[BallBound], bool]:
    radii = torch.as_tensor(radius if isinstance(radius, Tensor) else np.asarray(radius)).detach().to(torch.float64)
    several, n_codes = radii.ndim == 2, len(centers)  # type: ignore[arg-type]
    rows = radii.shape[0] if several else 1
    table = _broadcast("radius", radii if several else radii.reshape(1, -1), (rows, n_codes))
    return ball_bounds(decoder, likelihood, x, centers, table), several


def _broadcast(name: str, values: ArrayLike | Tensor, shape: tuple[int, ...]) -> Tensor:
    """Return finite values, never negative, in the given shape."""
    tensor = torch.as_tensor(values if isinstance(values, Tensor) else np.asarray(values)).detach().to(torch.float64)
    try:
        tensor = tensor.broadcast_to(shape)
    except RuntimeError as error:
        raise InvalidInput(f"{name} must have shape {shape}; its shape is {tuple(tensor.shape)}") from error
    if not torch.isfinite(tensor).all() or (tensor < 0).any():
        raise InvalidInput(f"{name} must be finite and not negative")
    return tensor
