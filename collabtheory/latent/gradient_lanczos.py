r"""The local Lipschitz constant of ``z -> G(x, z)`` for many users at once, from products with ``J'J`` alone.

A product :math:`J'J v` costs one tangent and its transpose through the decoder, with one row a user, so that all users
of a block share every matrix product; the ``d x d`` matrix of :mod:`collabtheory.latent.gradient_jacobian` costs ``d``
of them. Lanczos' method finds its largest eigenvalue from below, in some dozens of products, and sooner than power
iteration.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from collabtheory.errors import InvalidInput, NumericalFailure
from collabtheory.latent._kinds import Contents, give_back, is_torch
from collabtheory.latent.gradient_jacobian import Problem, problem_blocks
from collabtheory.models.likelihoods import Likelihood
from collabtheory.models.posterior import Array

MOST_STEPS = 60
_EVERY = 4


def lanczos_gradient_lipschitz(
    decoder: nn.Module,
    likelihood: str | Likelihood,
    x: Contents,
    codes: ArrayLike | Tensor,
    *,
    steps: int = MOST_STEPS,
    tolerance: float = 1e-9,
) -> Array:
    r"""Local Lipschitz constant :math:`\|\partial G(x_m, z) / \partial z\|_2` at each code, by Lanczos' method.

    Parameters
    ----------
    decoder, likelihood, x, codes
        As in :func:`~collabtheory.latent.gradient_jacobian.local_gradient_lipschitz`, whose result this approaches.
    steps
        Most products with ``J'J``; ``d`` of them are exact.
    tolerance
        The search ends when four steps raise no value by more than this, relative to it.

    Returns
    -------
    numpy.ndarray or torch.Tensor
        ``(n_codes,)`` float64. Never above the constant but for rounding, so that it stays a lower bound wherever the
        search ends.

    Raises
    ------
    PremiseNotMet, InvalidInput, NumericalFailure
        As :func:`~collabtheory.latent.gradient_jacobian.local_gradient_lipschitz`; InvalidInput also if ``steps`` is
        less than 1 or ``tolerance`` is negative.

    Notes
    -----
    The start is the same for every code and call, so that results are, too.

    Examples
    --------
    >>> lanczos_gradient_lipschitz(nn.Linear(1, 2, bias=False), "gaussian", [[0.0, 0.0]], [[0.0]]).shape
    (1,)
    """
    if steps < 1 or not tolerance >= 0:
        raise InvalidInput(f"steps must be at least 1 and tolerance not negative; they are {steps} and {tolerance}")
    blocks = problem_blocks(decoder, likelihood, x, codes, n_directions=1)
    found = [_largest(_products(block), block.codes, steps, tolerance).clamp(min=0).sqrt() for block in blocks]
    result = torch.cat(found) if found else torch.zeros(0, dtype=torch.float64)
    if not torch.isfinite(result).all():
        row = int((~torch.isfinite(result)).nonzero()[0, 0])
        raise NumericalFailure(f"the gradient at code {row} left the finite numbers; its logits are too large")
    return give_back(result, is_torch(codes))


def _products(block: Problem) -> Callable[[Tensor], Tensor]:
    """Return ``v -> J'J v`` for one direction a code, ``(m, d)``."""

    def product(directions: Tensor) -> Tensor:
        v = directions.detach().requires_grad_(True)
        total = torch.zeros((), dtype=torch.float64)
        for state in block.states(v[:, None, :]):
            h, a, delta, b = state.inputs, state.input_tangents[:, 0], state.delta, state.delta_tangents[:, 0]
            # J v is b h' + delta a' (and b for the bias); its inner product with J v' for a v' that is yet to come.
            with torch.no_grad():
                squared = (h * h).sum(1, keepdim=True) + (state.layer.bias is not None)
                on_b = squared * b + delta * (h * a).sum(1, keepdim=True)
                on_a = (delta * delta).sum(1, keepdim=True) * a + h * (delta * b).sum(1, keepdim=True)
            total = total + (b * on_b).sum() + (a * on_a).sum()
        return torch.autograd.grad(total, v)[0]

    return product


def _largest(product: Callable[[Tensor], Tensor], codes: Tensor, steps: int, tolerance: float) -> Tensor:
    """Return the largest Ritz value of the operator of each code ``(n, d)`` after at most so many steps."""
    n, d = codes.shape
    start = torch.randn(d, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    basis = (start / start.norm()).expand(n, 1, d)
    diagonal: list[Tensor] = []
    beside: list[Tensor] = []
    largest = torch.zeros(n, dtype=torch.float64)
    for step in range(1, min(steps, d) + 1):
        image = product(basis[:, -1])
        diagonal.append((image * basis[:, -1]).sum(1))
        if step % _EVERY == 0 or step == min(steps, d):
            before, largest = largest, _ritz(diagonal, beside)
            if bool((largest - before <= tolerance * largest).all()):
                break
        # Twice, for what the first time leaves of the basis by rounding.
        for _ in range(2):
            image = image - torch.einsum("mkd,mk->md", basis, torch.einsum("mkd,md->mk", basis, image))
        length = image.norm(dim=1)
        beside.append(length)
        following = torch.where(length[:, None] > 0, image / length[:, None], 0.0)
        basis = torch.cat([basis, following[:, None]], 1)
    return largest


def _ritz(diagonal: list[Tensor], beside: list[Tensor]) -> Tensor:
    """Return the largest eigenvalue of the tridiagonal matrices; infinite where they are not finite."""
    matrices = torch.diag_embed(torch.stack(diagonal, 1))
    if len(diagonal) > 1:
        off = torch.stack(beside[: len(diagonal) - 1], 1)
        matrices = matrices + torch.diag_embed(off, 1) + torch.diag_embed(off, -1)
    finite = torch.isfinite(matrices).all(-1).all(-1)
    values = torch.linalg.eigvalsh(torch.where(finite[:, None, None], matrices, 0.0))[:, -1]
    return torch.where(finite, values, torch.inf)
