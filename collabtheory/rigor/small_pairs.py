r"""Two users of a small decoder: every quantity of Theorem 2.3, in float64 and on enclosures alike.

Posteriors are sampled: ``S`` codes a user, paired. ``cost``, the mean distance of paired codes, is that of one coupling
and so at least :math:`W_1`. Lipschitz constants hold on the ball around the origin that holds all codes of both.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from collabtheory.rigor.enclosures import norm, root
from collabtheory.rigor.small_decoders import (
    SmallDecoder,
    code_jacobian,
    gradient,
    largest,
    largest_curvature,
    layer_constants,
    loss,
)


@dataclass(frozen=True)
class SmallPair:
    """A decoder, its likelihood's name, contents ``(I,)`` and codes ``(S, d)`` of users u and v."""

    decoder: SmallDecoder
    likelihood: str
    content_u: Any
    content_v: Any
    codes_u: Any
    codes_v: Any

    @cached_property
    def gradient_u(self) -> SmallDecoder:
        """``g_u``."""
        return self._gradient(self.content_u, self.codes_u)

    @cached_property
    def gradient_v(self) -> SmallDecoder:
        """``g_v``."""
        return self._gradient(self.content_v, self.codes_v)

    @cached_property
    def norm_u(self) -> Any:
        """``||g_u||``."""
        return norm(self.gradient_u.flat())

    @cached_property
    def norm_v(self) -> Any:
        """``||g_v||``."""
        return norm(self.gradient_v.flat())

    @cached_property
    def inner_product(self) -> Any:
        """``<g_u, g_v>``."""
        return self.gradient_u.flat() @ self.gradient_v.flat()

    @property
    def gap(self) -> Any:
        """``||g_u - g_v||``."""
        return norm(self.gradient_u.flat() - self.gradient_v.flat())

    @cached_property
    def cost(self) -> Any:
        """Mean distance of paired codes, at least ``W_1(q_u, q_v)``."""
        return np.sum(norm(self.codes_u - self.codes_v, axis=1)) / len(self.codes_u)

    @cached_property
    def radius(self) -> Any:
        """Radius of the ball around the origin that holds all codes."""
        return largest(norm(np.concatenate([self.codes_u, self.codes_v]), axis=1))

    @cached_property
    def lipschitz_u(self) -> Any:
        """``L_tz`` of u's content on that ball."""
        return _together(layer_constants(self.decoder, self.likelihood, self.content_u, self.radius))

    @cached_property
    def lipschitz_v_by_layer(self) -> tuple[Any, Any]:
        """Constants of both layers' blocks of v's content."""
        return layer_constants(self.decoder, self.likelihood, self.content_v, self.radius)

    @property
    def lipschitz_v(self) -> Any:
        """``L_tz'`` of v's content."""
        return _together(self.lipschitz_v_by_layer)

    @cached_property
    def directional_lipschitz(self) -> Any:
        """``L_dir`` of ``z -> <g_u, G(x_v, z)>``: layer by layer the norm of ``g_u`` times the block's constant."""
        one, two = self.gradient_u.layer_norms()
        first, second = self.lipschitz_v_by_layer
        return one * first + two * second

    @cached_property
    def slope_at_u(self) -> Any:
        """The largest Frobenius norm of the Jacobian of ``z -> G(x_u, z)`` at u's codes: no bound of ``L_tz``."""
        codes = [code_jacobian(self.decoder, self.likelihood, self.content_u, code) for code in self.codes_u]
        return largest(np.array([norm(jacobian) for jacobian in codes]))

    @cached_property
    def mismatch(self) -> Any:
        """``Dx`` under v's codes, the tight form: the norm of the mean."""
        return norm(self._gradient(self.content_u, self.codes_v).flat() - self.gradient_v.flat())

    @cached_property
    def mismatch_under_u(self) -> Any:
        """``Dx'``: the same under u's codes."""
        return norm(self.gradient_u.flat() - self._gradient(self.content_v, self.codes_u).flat())

    @property
    def mismatch_by_code(self) -> Any:
        """``||G(x_u, z) - G(x_v, z)||`` at each of v's codes, ``(S,)``."""
        both = [
            [self._gradient(x, code[None]).flat() for x in (self.content_u, self.content_v)] for code in self.codes_v
        ]
        return np.array([norm(own - other) for own, other in both])

    @cached_property
    def penalty(self) -> Any:
        """``D = L_tz W_1 + Dx``."""
        return self.lipschitz_u * self.cost + self.mismatch

    @cached_property
    def alignment(self) -> Any:
        """``a = <g_u, E_{q_u} G(x_v, z)>``."""
        return self.gradient_u.flat() @ self._gradient(self.content_v, self.codes_u).flat()

    @property
    def others_norm_at_u(self) -> Any:
        """``||E_{q_u} G(x_v, z)||``."""
        return norm(self._gradient(self.content_v, self.codes_u).flat())

    def step(self, size: Any) -> SmallDecoder:
        """Return ``-size g_v``."""
        return SmallDecoder(*(-size * part for part in self.gradient_v.parts))

    def loss_after(self, size: Any) -> Any:
        """Return ``L_u(theta - size g_v)``."""
        return loss(self.decoder.plus(1, self.step(size)), self.likelihood, self.content_u, self.codes_u)

    @cached_property
    def loss_before(self) -> Any:
        """``L_u(theta)``."""
        return loss(self.decoder, self.likelihood, self.content_u, self.codes_u)

    def curvature(self, size: Any, *, absolute: bool = False, pieces: int | None = None) -> Any:
        """Return ``size^2 ||g_v||^2 Lambda``, the largest second derivative of ``L_u`` along the whole step."""
        model = self.likelihood, self.content_u, self.codes_u
        return largest_curvature(self.decoder, self.step(size), *model, absolute=absolute, pieces=pieces)

    def _gradient(self, content: Any, codes: Any) -> SmallDecoder:
        return gradient(self.decoder, self.likelihood, content, codes)


def _together(blocks: tuple[Any, Any]) -> Any:
    return root(blocks[0] * blocks[0] + blocks[1] * blocks[1])
