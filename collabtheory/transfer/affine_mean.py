"""The mean of a likelihood as an affine function of the user's size: what makes sensitivities linear in content."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from collabtheory.errors import PremiseNotMet
from collabtheory.models.likelihoods import Likelihood, Multinomial


@dataclass(frozen=True)
class AffineMean:
    """``mean(eta; n) = m_0(eta) + n m_1(eta)``, of which only the parts that are not identically zero are kept.

    The output sensitivity of content ``x`` at logits ``eta`` is then ``m_0 + n m_1 - x``: linear in ``(1, n, x)``. One
    decoder pass at a code therefore serves the contents of all users.

    Parameters
    ----------
    likelihood
        Where the mean comes from.
    parts
        The powers of ``n`` that occur: ``(1,)`` for the multinomial, ``(0,)`` for the others.
    """

    likelihood: Likelihood
    parts: tuple[int, ...]

    def evaluate(self, logits: Tensor) -> tuple[Tensor, ...]:
        """Return each part ``m_k`` at ``logits`` ``(..., I)``, each ``(..., I)``, in the order of ``parts``."""
        return self._parts(lambda n: self.likelihood.mean(logits, n), logits)

    def tangents(self, logits: Tensor, direction: Tensor) -> tuple[Tensor, ...]:
        """Return the derivative of each part along ``direction`` (the Hessian of ``A`` times it), each ``(..., I)``."""
        return self._parts(lambda n: self.likelihood.mean_along(logits, direction, n), logits)

    def weigh_in_place(self, logits: Tensor, factors: tuple[Tensor, ...]) -> Tensor:
        """Overwrite ``logits`` ``(R, I)`` by ``sum_k factor_k m_k``, factors ``(R,)``, and return it."""
        if type(self.likelihood) is Multinomial:
            # In place: large temporaries cost more in page faults than in arithmetic.
            grown = logits.sub_(logits.amax(-1, keepdim=True)).exp_()
            return grown.mul_(factors[0][:, None] / grown.sum(-1, keepdim=True))
        return logits.copy_(sum_of_parts(self.evaluate(logits), tuple(factor[:, None] for factor in factors)))

    def _parts(self, of_size: Callable[[Tensor], Tensor], logits: Tensor) -> tuple[Tensor, ...]:
        n = logits.new_zeros(logits.shape[:-1])
        if self.parts == (0,):
            return (of_size(n),)
        if self.parts == (1,):
            return (of_size(n + 1),)
        constant = of_size(n)
        return (constant, of_size(n + 1) - constant)


def sum_of_parts(means: tuple[Tensor, ...], factors: tuple[Tensor, ...]) -> Tensor:
    """Return ``sum_k factor_k m_k``."""
    total = means[0] * factors[0]
    for part, factor in zip(means[1:], factors[1:], strict=True):
        total = total + part * factor
    return total


def affine_mean(likelihood: Likelihood) -> AffineMean:
    """Find the parts of a likelihood's mean by evaluating it.

    Raises
    ------
    PremiseNotMet
        If the mean is not affine in ``n``; the kernels that compare contents have no closed form then.
    """
    logits = torch.linspace(-1.0, 1.5, 8, dtype=torch.float64).expand(4, 8)
    sizes = torch.tensor([0.0, 1.0, 2.0, 7.0], dtype=torch.float64)
    means = likelihood.mean(logits, sizes)
    slope = means[1] - means[0]
    if not torch.allclose(means, means[0] + sizes[:, None] * slope, rtol=1e-12, atol=1e-12):
        raise PremiseNotMet(f"the mean of likelihood {likelihood.name!r} is not affine in the user's size n")
    parts = tuple(power for power, values in enumerate((means[0], slope)) if bool((values != 0).any()))
    return AffineMean(likelihood, parts or (0,))
