"""The transfer kernels by automatic differentiation: the same numbers as the closed form, through ``torch.func``."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.func import grad, jvp, vjp

from collabtheory.transfer.affine_mean import sum_of_parts
from collabtheory.transfer.automatic import AutomaticDecoder, Theta, flat, mapped, push, unflat, user_gradients
from collabtheory.transfer.gaps import equal_users
from collabtheory.transfer.sensitivities import BLOCK_ROWS


def automatic_gram(left: AutomaticDecoder, right: AutomaticDecoder) -> Tensor:
    """Return ``<g_u, g_v>``, ``(N_left, N_right)``."""
    result = torch.empty(left.n_users, right.n_users, dtype=left.codes.dtype)
    for rows in left.blocks(left.everyone(), copies=3):
        gradients = user_gradients(left, rows)
        for columns in right.blocks(right.everyone(), copies=3):
            others = gradients if left is right and torch.equal(rows, columns) else user_gradients(right, columns)
            result[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] = gradients @ others.T
    return result


def automatic_sample_products(decoder: AutomaticDecoder) -> Tensor:
    """Return ``<g_us, g_ut>`` within each user, ``(N, S, S)``."""
    parts = []
    for users in decoder.blocks(decoder.everyone(), copies=3 * decoder.n_samples):
        gradients = user_gradients(decoder, users, per_sample=True)
        parts.append(gradients @ gradients.transpose(1, 2))
    return torch.cat(parts)


def automatic_same_sample(decoder: AutomaticDecoder) -> Tensor:
    """Return ``<g_us, g_vs>`` of all pairs, ``(N, N, S)``."""
    result = torch.empty(decoder.n_users, decoder.n_users, decoder.n_samples, dtype=decoder.codes.dtype)
    for rows in decoder.blocks(decoder.everyone(), copies=3 * decoder.n_samples):
        gradients = user_gradients(decoder, rows, per_sample=True)
        for columns in decoder.blocks(decoder.everyone(), copies=3 * decoder.n_samples):
            others = user_gradients(decoder, columns, per_sample=True)
            block = torch.einsum("usp,vsp->uvs", gradients, others)
            result[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] = block
    return result


def automatic_gaps(decoder: AutomaticDecoder) -> Tensor:
    """Return ``||g_u - g_v||`` by differences, ``(N, N)``."""
    result = torch.zeros(decoder.n_users, decoder.n_users, dtype=decoder.codes.dtype)
    for rows in decoder.blocks(decoder.everyone(), copies=3):
        gradients = user_gradients(decoder, rows)
        for columns in decoder.blocks(decoder.everyone(), copies=3):
            for v, other in zip(columns, user_gradients(decoder, columns), strict=True):
                result[rows, v] = torch.linalg.vector_norm(gradients - other, dim=1)
    everyone = decoder.everyone()
    for v in range(decoder.n_users):
        result[equal_users(decoder.contents, decoder.codes, everyone, torch.full_like(everyone, v)), v] = 0.0
    return result


def automatic_mismatches(decoder: AutomaticDecoder) -> Tensor:
    """Return ``D_x(u, v)`` under v's codes, ``(N, N)``: one backward pass a pair, linear in the content difference."""
    result = torch.zeros(decoder.n_users, decoder.n_users, dtype=decoder.codes.dtype)
    theta, coefficients = decoder.theta, decoder.coefficients
    for v in range(decoder.n_users):
        logits, pull = vjp(lambda t, z=decoder.codes[v]: decoder.logits(t, z), theta)  # type: ignore[misc]
        means = decoder.mean.evaluate(logits)
        content = decoder.content(torch.tensor([v]))
        for users in decoder.blocks(decoder.everyone(), copies=3):
            factors = tuple((factor[users] - factor[v])[:, None, None] for factor in coefficients)
            tops = sum_of_parts(means, factors) - (decoder.content(users) - content)[:, None, :]
            result[users, v] = mapped(
                lambda top, pull=pull: torch.linalg.vector_norm(flat(pull(top)[0])), tops / decoder.n_samples
            )
    return result.fill_diagonal_(0.0)


def automatic_alignments(decoder: AutomaticDecoder) -> Tensor:
    """Return ``a(u, v)``, ``(N, N)``."""
    result = torch.empty(decoder.n_users, decoder.n_users, dtype=decoder.codes.dtype)
    weighted = decoder.contents.weighted(decoder.codes.dtype)
    for users in decoder.blocks(decoder.everyone(), copies=3):
        for u, gradient in zip(users, user_gradients(decoder, users), strict=True):
            logits, along = push(decoder, decoder.codes[u], gradient)
            row = -torch.from_numpy(weighted @ along.mean(0).numpy())
            for part, factor in zip(decoder.mean.evaluate(logits), decoder.coefficients, strict=True):
                row = row + factor * (along * part).sum(1).mean()
            result[u] = row
    return result


def automatic_slopes(decoder: AutomaticDecoder, n_samples: int) -> Tensor:
    """Return ``max_s || grad_z <g_u, G(x_v, z)> ||`` at ``z_us``, ``s < n_samples``, ``(N, N)``."""
    result = torch.zeros(decoder.n_users, decoder.n_users, dtype=decoder.codes.dtype)
    for users in decoder.blocks(decoder.everyone(), copies=3):
        for u, gradient in zip(users, user_gradients(decoder, users), strict=True):
            for s in range(n_samples):
                slopes = _slopes_at(decoder, decoder.codes[u, s], gradient)
                torch.maximum(result[u], slopes, out=result[u])
    return result


def _slopes_at(decoder: AutomaticDecoder, z: Tensor, gradient: Tensor) -> Tensor:
    # Twice backward, not backward through jvp: torch's second derivative of layer_norm's jvp is wrong
    # (pytorch issue 196700).
    theta = decoder.theta

    def scalar(point: Tensor, content: Tensor, *factors: Tensor) -> Tensor:
        logits, pull = vjp(lambda t: decoder.logits(t, point[None]), theta)  # type: ignore[misc]
        top = sum_of_parts(decoder.mean.evaluate(logits), factors) - content
        return flat(pull(top)[0]) @ gradient

    slope = grad(scalar)
    parts = []
    for contents in decoder.blocks(decoder.everyone(), copies=4):
        factors = tuple(factor[contents] for factor in decoder.coefficients)
        parts.append(mapped(lambda *of: torch.linalg.vector_norm(slope(z, *of)), decoder.content(contents), *factors))
    return torch.cat(parts)


def automatic_loss_changes(decoder: AutomaticDecoder, rates: list[float], users: Tensor, source: int) -> Tensor:
    """Return ``L_u(theta - rate g_v) - L_u(theta)`` for one source ``v``, ``(rates, users)``."""
    theta = decoder.theta
    gradient = unflat(user_gradients(decoder, torch.tensor([source]))[0], theta)
    result = torch.empty(len(rates), len(users), dtype=decoder.codes.dtype)
    step = max(1, BLOCK_ROWS // decoder.n_samples)
    for start in range(0, len(users), step):
        block = users[start : start + step]
        z = decoder.codes[block].flatten(0, 1)
        logits = decoder.logits(theta, z)
        shape = (len(block), decoder.n_samples, -1)
        factors = tuple(factor[block][:, None, None] for factor in decoder.coefficients)
        means = tuple(part.view(shape) for part in decoder.mean.evaluate(logits))
        top = sum_of_parts(means, factors) - decoder.content(block)[:, None, :]
        sizes, weights = (
            torch.from_numpy(values).to(z.dtype)[block][:, None].expand(shape[:2])
            for values in (decoder.contents.sizes, decoder.contents.weights)
        )
        for k, rate in enumerate(rates):
            change = _logit_change(decoder, z, logits, {name: -rate * g for name, g in gradient.items()}).view(shape)
            remainder = decoder.mean.likelihood.bregman(logits.view(shape), change, sizes)
            result[k, start : start + len(block)] = ((top * change).sum(-1) + weights * remainder).mean(1)
    return result


def _logit_change(decoder: AutomaticDecoder, z: Tensor, logits: Tensor, step: Theta) -> Tensor:
    # As in differences.py: the integral of the derivative along the step keeps its digits on short steps; where it
    # disagrees with the plain difference beyond rounding, the step is long or crosses a kink.
    theta = decoder.theta
    integral = torch.zeros_like(logits)
    for node, weight in ((0.5 - math.sqrt(0.15), 5 / 18), (0.5, 8 / 18), (0.5 + math.sqrt(0.15), 5 / 18)):
        at = {name: theta[name] + node * step[name] for name in theta}
        integral += weight * jvp(lambda t: decoder.logits(t, z), (at,), (step,))[1]
    moved = {name: theta[name] + step[name] for name in theta}
    difference = decoder.logits(moved, z) - logits
    rounding = 256 * torch.finfo(z.dtype).eps * (1 + logits.abs().amax(-1, keepdim=True))
    disagree = (integral - difference).abs().amax(-1, keepdim=True)
    return torch.where(disagree <= rounding, integral, difference)
