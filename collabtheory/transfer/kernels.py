"""All transfer quantities of one decoder, likelihood, contents and codes, with their shared work done once."""

from __future__ import annotations

import math
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from collabtheory.errors import InvalidInput, NumericalFailure
from collabtheory.models.likelihoods import Likelihood, get_likelihood
from collabtheory.transfer import automatic_kernels, gram
from collabtheory.transfer.affine_mean import affine_mean
from collabtheory.transfer.arguments import Rates, all_finite, one_of, read_rates, read_rows, refuse_overflow
from collabtheory.transfer.automatic import AutomaticDecoder, check_output
from collabtheory.transfer.codes import Matrix, read_codes
from collabtheory.transfer.contents import read_contents
from collabtheory.transfer.decoders import FrozenDecoder, freeze
from collabtheory.transfer.gaps import gradient_gaps
from collabtheory.transfer.independent_pairing import SampledGram, same_sample_gram
from collabtheory.transfer.loss_change import loss_changes, pair_loss_changes
from collabtheory.transfer.loss_change_surrogate import LossChangeEstimate, surrogate_loss_changes
from collabtheory.transfer.mismatch import mismatches
from collabtheory.transfer.sensitivities import Sensitivities, sensitivities
from collabtheory.transfer.slopes import largest_slopes
from collabtheory.transfer.tangents import alignments
from collabtheory.transfer.work import announce, loss_change_flops


class TransferKernels:
    """Who moves whose loss, for one set of users: the forward and backward passes are made once and shared.

    The module-level functions of :mod:`collabtheory.transfer` are these methods on a fresh object; their docstrings
    state formulas and edge cases. Users are rows of ``x``; entry ``[u, v]`` is what v's step does to u.

    Parameters
    ----------
    decoder
        ``torch.nn.Module`` from codes ``(rows, d)`` to logits ``(rows, I)``. It is copied, in evaluation mode and the
        working dtype; the user's own is never changed. ``theta`` is ALL its parameters, also those that do not require
        a gradient.
    likelihood
        A name (``"multinomial"``, ``"bernoulli"``, ``"gaussian"``, ``"poisson"``) or a likelihood object whose mean is
        affine in the user's size.
    x
        Contents, ``(N, I)``, nonnegative: scipy sparse, NumPy, or torch. Rows without any item are allowed.
    codes
        ``(N, S, d)``, NumPy or torch: the samples that stand for each user's posterior.
    scale
        ``"user"`` (the paper's): losses in nats per user. ``"interaction"``: each user's loss divided by its size
        ``n_u`` (a user without items then has loss 0).
    dtype
        ``torch.float64``, or ``torch.float32`` for speed (results about 1e-6 of the norms).
    path
        ``"auto"``; ``"torch_func"`` forces automatic differentiation; ``"outer_product"`` demands the closed form.
    memory_bytes
        Output sensitivities ``(N S, I)`` are kept up to this size, and recomputed block by block beyond it.

    Raises
    ------
    InvalidInput
        If an argument is malformed, ``x`` and ``codes`` differ in rows, or the decoder's widths do not fit them.
    PremiseNotMet
        If the likelihood's mean is not affine in ``n``, the decoder is random even in evaluation mode, or
        ``path="outer_product"`` is asked of a decoder without closed form.
    NumericalFailure
        By a method whose result is not finite (Poisson at large logits).

    Examples
    --------
    >>> decoder = nn.Linear(2, 3, bias=False).requires_grad_(False)
    >>> _ = decoder.weight.zero_()
    >>> kernels = TransferKernels(decoder, "gaussian", [[1, 0, 0], [0, 1, 0]], [[[1.0, 0.0]], [[1.0, 2.0]]])
    >>> kernels.path
    'outer_product'
    >>> kernels.gradient_gram()
    array([[1., 0.],
           [0., 5.]])
    """

    def __init__(
        self,
        decoder: nn.Module,
        likelihood: str | Likelihood,
        x: Any,
        codes: Any,
        *,
        scale: str = "user",
        dtype: torch.dtype = torch.float64,
        path: str = "auto",
        memory_bytes: int = 2**29,
    ) -> None:
        self._decoder: FrozenDecoder = freeze(decoder, dtype, path)
        self._mean = affine_mean(get_likelihood(likelihood))
        self._contents = read_contents(x, scale)
        self._codes = read_codes(codes, dtype)
        self._memory_bytes = memory_bytes
        self._gives_torch = isinstance(x, Tensor) or isinstance(codes, Tensor)
        if self._contents.n_users != len(self._codes):
            raise InvalidInput(
                f"x and codes must have one row per user each; x has {self._contents.n_users} rows, codes have "
                f"{len(self._codes)}"
            )
        if self._decoder.layers is None:
            check_output(self._automatic)
        else:
            self._check_widths()

    @property
    def path(self) -> str:
        """``"outer_product"`` (closed form) or ``"torch_func"`` (automatic differentiation)."""
        return self._decoder.path

    @property
    def path_reason(self) -> str:
        """Why the closed form does not apply; empty if it does."""
        return self._decoder.reason

    @property
    def n_users(self) -> int:
        """Number of users, ``N``."""
        return self._contents.n_users

    @property
    def n_samples(self) -> int:
        """Samples per user, ``S``."""
        return int(self._codes.shape[1])

    @cached_property
    def sensitivities(self) -> Sensitivities:
        """The factors of all gradients (closed form only)."""
        if self._decoder.layers is None:
            raise InvalidInput(f"this decoder has no outer-product structure: {self.path_reason}")
        return sensitivities(
            self._decoder.layers, self._mean, self._contents, self._codes, memory_bytes=self._memory_bytes
        )

    def gradient_gram(self, *, diagonal: str = "plug_in", pairing: str = "all") -> Matrix:
        """Return ``<g_u, g_v>``, ``(N, N)``; see :func:`collabtheory.transfer.gradient_gram`."""
        one_of("diagonal", diagonal, ("plug_in", "unbiased"))
        one_of("pairing", pairing, ("all", "same_sample"))
        if diagonal == "unbiased" and self.n_samples == 1:
            raise InvalidInput("diagonal='unbiased' needs at least two samples per user; codes have 1")
        if pairing == "all" and diagonal == "plug_in":
            return self._give(self._plug_in_gram.clone())
        result = self._plug_in_gram.clone() if pairing == "all" else self._same_sample.mean.clone()
        result.diagonal().copy_(gram.diagonal_of(self._sample_products, diagonal))
        return self._give(result)

    def gradient_gram_standard_error(self) -> Matrix:
        """Return the standard error of ``gradient_gram(pairing="same_sample")``, ``(N, N)``; needs ``S >= 2``."""
        if self.n_samples == 1:
            raise InvalidInput("a standard error needs at least two samples per user; codes have 1")
        return self._give(self._same_sample.standard_error)

    def gradient_cross_gram(self, other: TransferKernels) -> Matrix:
        """Return ``<g_u, g_v>`` between these users and those of ``other`` (same decoder), ``(N, N_other)``."""
        mine, theirs = self._decoder.module.state_dict(), other._decoder.module.state_dict()
        if mine.keys() != theirs.keys() or not all(torch.equal(mine[name], theirs[name]) for name in mine):
            raise InvalidInput("both sets of users must have the same decoder; their parameters differ")
        if self.path != other.path:
            raise InvalidInput("both sets of users must take the same path; give both the same path=")
        if self.path == "torch_func":
            return self._give(self._off(automatic_kernels.automatic_gram, self._automatic, other._automatic))
        return self._give(gram.pooled_gram(self.sensitivities, other.sensitivities))

    def gradient_norms(self, *, diagonal: str = "plug_in") -> Matrix:
        """Return ``||g_u||``, ``(N,)``; the unbiased square can be negative, its root is then 0."""
        one_of("diagonal", diagonal, ("plug_in", "unbiased"))
        if diagonal == "unbiased" and self.n_samples == 1:
            raise InvalidInput("diagonal='unbiased' needs at least two samples per user; codes have 1")
        squared = gram.diagonal_of(self._sample_products, diagonal)
        return self._give(squared.clamp(min=0.0).sqrt())

    def gradient_gap(self) -> Matrix:
        """Return ``||g_u - g_v||``, ``(N, N)``; see :func:`collabtheory.transfer.gradient_gap`."""
        if self.path == "torch_func":
            return self._give(self._off(automatic_kernels.automatic_gaps, self._automatic))
        return self._give(gradient_gaps(self.sensitivities, self._plug_in_gram))

    def content_mismatch(self) -> Matrix:
        """Return ``D_x(u, v)``, ``(N, N)``; see :func:`collabtheory.transfer.content_mismatch`."""
        if self.path == "torch_func":
            return self._give(self._off(automatic_kernels.automatic_mismatches, self._automatic))
        return self._give(mismatches(self.sensitivities))

    def alignment(self) -> Matrix:
        """Return ``a(u, v)``, ``(N, N)``; see :func:`collabtheory.transfer.alignment`."""
        if self.path == "torch_func":
            return self._give(self._off(automatic_kernels.automatic_alignments, self._automatic))
        return self._give(alignments(self.sensitivities))

    def directional_slopes(self, *, n_samples: int | None = None) -> Matrix:
        """Return the largest local slopes, ``(N, N)``; see :func:`collabtheory.transfer.directional_slopes`."""
        used = self.n_samples if n_samples is None else n_samples
        if not 1 <= used <= self.n_samples:
            raise InvalidInput(f"n_samples must be between 1 and the {self.n_samples} samples of codes; it is {used}")
        if self.path == "torch_func":
            return self._give(self._off(automatic_kernels.automatic_slopes, self._automatic, used))
        return self._give(largest_slopes(self.sensitivities, used))

    def step_loss_change(self, learning_rate: Rates, *, users: Any = None, sources: Any = None) -> Matrix:
        """Return ``L_u(theta - lr g_v) - L_u(theta)``; see :func:`collabtheory.transfer.step_loss_change`."""
        rates = read_rates(learning_rate)
        rows, columns = (read_rows(*of, self.n_users) for of in (("users", users), ("sources", sources)))
        if self.path == "torch_func":
            changes = torch.stack([self._automatic_changes(rates, rows, int(v)) for v in columns], 2)
        else:
            work = loss_change_flops(self._widths, len(rows), len(columns), self.n_samples)
            announce("loss change of all pairs", len(rates) * work)
            changes = loss_changes(self.sensitivities, rates, rows, columns)
        refuse_overflow(changes, rates)
        return self._give(changes if np.ndim(learning_rate) else changes[0])

    def step_loss_change_pairs(self, learning_rate: Rates, rows: Any, cols: Any) -> Matrix:
        """Return the same for the listed pairs; see :func:`collabtheory.transfer.step_loss_change_pairs`."""
        rates = read_rates(learning_rate)
        users, sources = (read_rows(*of, self.n_users) for of in (("rows", rows), ("cols", cols)))
        if len(users) != len(sources):
            raise InvalidInput(f"rows and cols must be equally long; they have {len(users)} and {len(sources)}")
        if self.path == "torch_func":
            changes = torch.empty(len(rates), len(users), dtype=self._codes.dtype)
            for v in torch.unique(sources):
                here = torch.nonzero(sources == v)[:, 0]
                changes[:, here] = self._automatic_changes(rates, users[here], int(v))
        else:
            changes = pair_loss_changes(self.sensitivities, rates, users, sources)
        refuse_overflow(changes, rates)
        return self._give(changes if np.ndim(learning_rate) else changes[0])

    def step_loss_change_surrogate(
        self,
        learning_rate: Rates,
        *,
        rng: np.random.Generator,
        n_items: int = 256,
        users: Any = None,
        sources: Any = None,
    ) -> LossChangeEstimate:
        """Return estimates from a few items; see :func:`collabtheory.transfer.step_loss_change_surrogate`."""
        rates = read_rates(learning_rate)
        rows, columns = (read_rows(*of, self.n_users) for of in (("users", users), ("sources", sources)))
        found = surrogate_loss_changes(self.sensitivities, rates, rows, columns, n_items, rng)
        refuse_overflow(found[0], rates)
        change, error = (self._give(values if np.ndim(learning_rate) else values[0]) for values in found)
        return LossChangeEstimate(change, error)

    @cached_property
    def _automatic(self) -> AutomaticDecoder:
        return AutomaticDecoder(self._decoder.module, self._mean, self._contents, self._codes, self._memory_bytes // 2)

    @cached_property
    def _plug_in_gram(self) -> Tensor:
        if self.path == "torch_func":
            return self._off(automatic_kernels.automatic_gram, self._automatic, self._automatic)
        return gram.pooled_gram(self.sensitivities, self.sensitivities)

    @cached_property
    def _sample_products(self) -> Tensor:
        if self.path == "torch_func":
            return self._off(automatic_kernels.automatic_sample_products, self._automatic)
        return gram.sample_products(self.sensitivities)

    @cached_property
    def _same_sample(self) -> SampledGram:
        if self.path == "torch_func":
            products = self._off(automatic_kernels.automatic_same_sample, self._automatic)
            return SampledGram(products.mean(2), products.std(2) / math.sqrt(self.n_samples))
        return same_sample_gram(self.sensitivities)

    def _automatic_changes(self, rates: list[float], users: Tensor, source: int) -> Tensor:
        return self._off(automatic_kernels.automatic_loss_changes, self._automatic, rates, users, source)

    def _off(self, function: Any, *arguments: Any) -> Tensor:
        # torch.func differentiates by itself; outside it nothing must be recorded.
        with torch.no_grad():
            result: Tensor = function(*arguments)
        return result.detach()

    def _give(self, result: Tensor) -> Matrix:
        if not all_finite(result):
            raise NumericalFailure("a gradient is not finite: the likelihood overflows at the decoder's logits")
        return result if self._gives_torch else result.numpy()

    @property
    def _widths(self) -> tuple[int, ...]:
        layers = self._decoder.layers or ()
        return (*(layer.n_inputs for layer in layers), self._contents.n_items)

    def _check_widths(self) -> None:
        layers = self._decoder.layers
        if layers is None:
            return
        if layers[0].n_inputs != self._codes.shape[2]:
            raise InvalidInput(
                f"decoder takes {layers[0].n_inputs} latent dimensions but codes have {self._codes.shape[2]}"
            )
        if layers[-1].n_outputs != self._contents.n_items:
            raise InvalidInput(f"decoder gives {layers[-1].n_outputs} logits but x has {self._contents.n_items} items")
