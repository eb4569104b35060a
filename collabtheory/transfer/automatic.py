"""Gradients of decoders without a closed form, by automatic differentiation.

Parameter-sized vectors are made for a block of users at a time. ``theta`` is every parameter of the module, whether or
not it requires a gradient.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call, jvp, vjp, vmap

from collabtheory.errors import InvalidInput, PremiseNotMet
from collabtheory.transfer.affine_mean import AffineMean, sum_of_parts
from collabtheory.transfer.contents import Contents

Theta = dict[str, Tensor]


@dataclass(frozen=True, eq=False)
class AutomaticDecoder:
    """A decoder as a function of its parameters, with the data it is differentiated at.

    Parameters
    ----------
    module
        Private copy in ``eval()`` and the working dtype.
    mean, contents
        The likelihood's mean and the contents.
    codes
        ``(N, S, d)``.
    block_bytes
        About the size of a block of parameter-sized vectors.
    """

    module: nn.Module
    mean: AffineMean
    contents: Contents
    codes: Tensor
    block_bytes: int

    @property
    def theta(self) -> Theta:
        """All parameters, detached."""
        return {name: value.detach() for name, value in self.module.named_parameters()}

    @property
    def n_users(self) -> int:
        """``N``."""
        return int(self.codes.shape[0])

    @property
    def n_samples(self) -> int:
        """``S``."""
        return int(self.codes.shape[1])

    @property
    def coefficients(self) -> tuple[Tensor, ...]:
        """Factor of each part of the mean, ``(N,)`` each."""
        weights = (self.contents.weights, self.contents.mean_weights)
        return tuple(torch.from_numpy(weights[part]).to(self.codes.dtype) for part in self.mean.parts)

    def logits(self, theta: Theta, z: Tensor) -> Tensor:
        """Return the logits at ``theta``, ``(B, d)`` to ``(B, I)``."""
        buffers = dict(self.module.named_buffers())
        result: Tensor = functional_call(self.module, (theta, buffers), (z,))
        return result

    def content(self, users: Tensor) -> Tensor:
        """Return ``w x`` of ``users``, dense, ``(B, I)``."""
        return torch.from_numpy(self.contents.weighted(self.codes.dtype)[users.numpy()].toarray())

    def blocks(self, users: Tensor, copies: int = 1) -> Iterator[Tensor]:
        """Split ``users`` so that ``copies`` parameter-sized vectors each stay within ``block_bytes``."""
        n_parameters = sum(value.numel() for value in self.theta.values())
        per_user = copies * self.codes.element_size() * (n_parameters + self.n_samples * self.contents.n_items)
        yield from torch.split(users, max(1, self.block_bytes // per_user))

    def everyone(self) -> Tensor:
        """All user numbers."""
        return torch.arange(self.n_users)


def check_output(decoder: AutomaticDecoder) -> None:
    """Refuse a decoder whose output is not ``(rows, I)`` logits, or is random in evaluation mode."""
    z = decoder.codes[0]
    with torch.no_grad():
        try:
            logits = decoder.module(z)
        except (RuntimeError, ValueError, TypeError, IndexError) as error:
            raise InvalidInput(
                f"decoder does not take codes of shape {tuple(z.shape)}: {str(error).splitlines()[0]}"
            ) from error
        if not isinstance(logits, Tensor) or tuple(logits.shape) != (len(z), decoder.contents.n_items):
            given = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
            raise InvalidInput(
                f"decoder must map codes {tuple(z.shape)} to logits {(len(z), decoder.contents.n_items)}, one column "
                f"per item of x; it gives {given}"
            )
        if not torch.equal(logits, decoder.module(z)):
            raise PremiseNotMet("the decoder is random in evaluation mode: the same code gives different logits")


def user_gradients(decoder: AutomaticDecoder, users: Tensor, *, per_sample: bool = False) -> Tensor:
    """Return ``g_u`` (or ``g_us``) of ``users`` as flat vectors, ``(B, p)`` or ``(B, S, p)``."""
    theta = decoder.theta

    def one_code(z: Tensor, content: Tensor, *factors: Tensor) -> Tensor:
        logits, pull = vjp(lambda t: decoder.logits(t, z), theta)  # type: ignore[misc]
        top = sum_of_parts(decoder.mean.evaluate(logits), factors) - content
        return flat(pull(top / len(z))[0])

    factors = tuple(factor[users] for factor in decoder.coefficients)
    if per_sample:
        codes = decoder.codes[users].flatten(0, 1)[:, None]
        repeated = tuple(f.repeat_interleave(decoder.n_samples) for f in factors)
        content = decoder.content(users).repeat_interleave(decoder.n_samples, 0)
        return mapped(one_code, codes, content, *repeated).view(len(users), decoder.n_samples, -1)
    return mapped(one_code, decoder.codes[users], decoder.content(users), *factors)


def push(decoder: AutomaticDecoder, z: Tensor, gradient: Tensor) -> tuple[Tensor, Tensor]:
    """Return the logits at ``z`` and their derivative along ``gradient`` in the parameters, ``(B, I)`` each."""
    theta = decoder.theta
    logits, along = jvp(lambda t: decoder.logits(t, z), (theta,), (unflat(gradient, theta),))  # type: ignore[misc]
    return logits, along


def flat(gradient: Theta) -> Tensor:
    """Return the entries of a parameter-shaped dictionary as one vector, ``(p,)``."""
    return torch.cat([value.reshape(-1) for value in gradient.values()])


def unflat(vector: Tensor, theta: Theta) -> Theta:
    """Undo :func:`flat`."""
    pieces = torch.split(vector, [value.numel() for value in theta.values()])
    return {name: piece.view(value.shape) for (name, value), piece in zip(theta.items(), pieces, strict=True)}


def mapped(function: Callable[..., Tensor], *arguments: Tensor) -> Tensor:
    """Map over the leading axis with ``vmap``; one by one where the module does something that vmap cannot batch."""
    try:
        result: Tensor = vmap(function)(*arguments)
    except (RuntimeError, ValueError):
        # If the function itself is wrong, this raises the same error.
        result = torch.stack([function(*row) for row in zip(*arguments, strict=True)])
    return result
