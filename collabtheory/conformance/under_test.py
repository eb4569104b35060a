"""A model of any make as plain callables, and the users that it is probed with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy import sparse
from torch import nn

from collabtheory.errors import InvalidInput
from collabtheory.models.likelihoods import get_likelihood

Posterior = tuple[Any, Any]
PROBE_USERS, FEW = 24, 8
SAME = 1e-4
"""Largest difference, relative to the largest entry, of two results that count as the same (float32 is allowed)."""
CLAIMED_MASKING = ("normalise_then_mask", "mask_then_normalise", "mask_only")


@dataclass(frozen=True, eq=False)
class VaeUnderTest:
    """A VAE recommender as callables. Only the first two are needed; what the others would show is not checked.

    ``contents`` is always a CSR matrix ``(users, items)``; results may be arrays or torch tensors; ``rng`` is a
    ``numpy.random.Generator`` (for torch: ``torch.manual_seed(int(rng.integers(2**31)))``).

    Parameters
    ----------
    encode
        ``contents -> (mu, sigma)``, each ``(users, d)``, as at test time: no masking, no sampling. ``sigma`` is a
        standard deviation.
    decoder
        Module from codes ``(..., d)`` to logits ``(..., items)``.
    likelihood, n_items, latent, masking, keep_probability, beta_cap, total_steps
        What the model is said to be, where that is known: the likelihood's name; items; ``d``; the convention of
        ``ModelSpec.masking``; the probability of keeping an input item; the largest KL weight; the number of training
        steps planned.
    standard_prior
        False where the KL term is not that to N(0, I), as in RecVAE: its form is then not checked.
    scores
        ``contents -> (users, items)``: what items are ranked by at test time.
    sample
        ``(contents, rng) -> codes``: the codes of a training step, the input being clean (input dropout off).
    kl
        ``contents -> (users,)`` or a scalar: the KL term as reported or trained, not multiplied by its weight.
    reconstruction
        ``(contents, codes) -> (users,)`` or a scalar: the reconstruction term of training at given codes.
    loss
        ``(contents, beta, rng) ->`` scalar (or ``(users,)``): the training loss at that KL weight, on clean input and
        without regularisers.
    beta
        ``(step, total_steps) ->`` the KL weight at a step (from 0) of a training of so many steps.
    rank
        ``(contents, k) -> (users, k)`` recommended item numbers, best first; -1 pads.
    encode_masked
        ``(contents, rng) -> (mu, sigma)`` with the input masked as in training.
    train_with_l2
        ``l2 ->`` the flat weights after a little training (one step will do) from one fixed start on fixed batches
        with that L2 weight.
    evaluate
        ``(scores, seen, held_out) -> {"recall@20": value, ...}``: the evaluator, values a mean or one a user.
    """

    encode: Callable[[sparse.csr_array], Posterior]
    decoder: nn.Module
    likelihood: str | None = None
    n_items: int | None = None
    latent: int | None = None
    masking: str | None = None
    keep_probability: float | None = None
    beta_cap: float | None = None
    total_steps: int | None = None
    standard_prior: bool = True
    scores: Callable[[sparse.csr_array], Any] | None = None
    sample: Callable[[sparse.csr_array, np.random.Generator], Any] | None = None
    kl: Callable[[sparse.csr_array], Any] | None = None
    reconstruction: Callable[[sparse.csr_array, np.ndarray], Any] | None = None
    loss: Callable[[sparse.csr_array, float, np.random.Generator], Any] | None = None
    beta: Callable[[int, int], float] | None = None
    rank: Callable[[sparse.csr_array, int], Any] | None = None
    encode_masked: Callable[[sparse.csr_array, np.random.Generator], Posterior] | None = None
    train_with_l2: Callable[[float], Any] | None = None
    evaluate: Callable[[np.ndarray, sparse.csr_array, sparse.csr_array], Mapping[str, Any]] | None = None

    def __post_init__(self) -> None:
        if not callable(self.encode):
            raise InvalidInput("encode must be a callable, contents -> (mu, sigma)")
        if not isinstance(self.decoder, nn.Module):
            raise InvalidInput(f"decoder must be a torch.nn.Module; it is {type(self.decoder).__name__}")
        if self.likelihood is not None:
            get_likelihood(self.likelihood)
        if self.masking is not None and self.masking not in CLAIMED_MASKING:
            raise InvalidInput(f"masking must be one of {', '.join(CLAIMED_MASKING)}; it is {self.masking!r}")


@dataclass(frozen=True, eq=False)
class Probe:
    """Users that a model is probed with, and what it made of them.

    ``mu``, ``sigma`` are float64 ``(users, d)``; ``again`` is the mean from a second call, ``alone`` mean and standard
    deviation, side by side, of the first few users, each encoded on its own, ``(few, 2 d)``.
    """

    contents: sparse.csr_array
    mu: np.ndarray
    sigma: np.ndarray
    again: np.ndarray
    alone: np.ndarray

    @property
    def repeatable(self) -> bool:
        """Whether the encoder gives the same means twice."""
        return same(self.mu, self.again)

    @property
    def independent(self) -> bool:
        """Whether a user's posterior is the same alone and among others."""
        return same(self.alone, np.hstack([self.mu, self.sigma])[: len(self.alone)])

    @property
    def sizes(self) -> np.ndarray:
        """Items of each user, ``(users,)``."""
        return np.diff(self.contents.indptr)

    @property
    def trouble(self) -> str:
        """Why nothing can be measured against the posterior, or an empty string."""
        if not self.repeatable:
            return "encode gives other means when called again, so that nothing can be measured against them"
        if not (np.isfinite(self.sigma).all() and (self.sigma > 0).all()):
            return "encode does not return standard deviations, so that nothing can be measured against them"
        if not self.independent:
            return "posteriors depend on who else is in the batch, so that nothing can be measured against them"
        return ""


def make_probe(model: VaeUnderTest, contents: sparse.csr_array, rng: np.random.Generator) -> Probe:
    """Choose at most 24 users with items, of many sizes, and encode them twice.

    Raises
    ------
    InvalidInput
        If fewer than two users have items, or ``encode`` fails or returns something else than two finite
        ``(users, d)`` arrays.
    """
    sizes = np.diff(contents.indptr)
    with_items = rng.permutation(np.flatnonzero(sizes > 0))
    if len(with_items) < 2:
        raise InvalidInput(f"contents must hold at least two users with items; they hold {len(with_items)}")
    by_size = with_items[np.argsort(sizes[with_items], kind="stable")]
    spread = np.unique(np.linspace(0, len(by_size) - 1, PROBE_USERS).round().astype(int))
    users = sparse.csr_array(contents[np.sort(by_size[spread])], dtype=np.float64)
    mu, sigma = posterior(model, users)
    if not np.isfinite(mu).all():
        raise InvalidInput("encode returns means that are not finite for users with items")
    alone = [np.hstack(posterior(model, users[u : u + 1])) for u in range(min(FEW, len(mu)))]
    return Probe(users, mu, sigma, posterior(model, users)[0], np.concatenate(alone))


def posterior(model: VaeUnderTest, contents: sparse.csr_array) -> tuple[np.ndarray, np.ndarray]:
    """Return ``encode``'s answer as float64 arrays, its shape checked; a single sigma for all users is spread out."""
    try:
        with torch.no_grad():
            mu, sigma = model.encode(contents)
        mu, sigma = to_array(mu), to_array(sigma)
        sigma = np.broadcast_to(sigma, mu.shape)
    except Exception as error:
        raise InvalidInput(f"encode(contents) failed: {type(error).__name__}: {error}") from error
    if mu.ndim != 2 or mu.shape[0] != contents.shape[0]:
        raise InvalidInput(f"encode must return (users, d) arrays; {contents.shape[0]} users gave mu of {mu.shape}")
    return mu, sigma


def decode(model: VaeUnderTest, codes: np.ndarray) -> np.ndarray:
    """Return the logits of codes, float64, the decoder being in evaluation mode meanwhile."""
    # Module by module: `train()` would switch parts on that were off.
    were = [(module, module.training) for module in model.decoder.modules()]
    try:
        model.decoder.eval()
        return decode_as_is(model, codes)
    finally:
        for module, training in were:
            module.training = training


def decode_as_is(model: VaeUnderTest, codes: np.ndarray) -> np.ndarray:
    """Return the logits of codes, float64, in whatever mode the decoder is."""
    with torch.no_grad():
        return to_array(model.decoder(torch.as_tensor(codes, dtype=decoder_dtype(model))))


def decoder_dtype(model: VaeUnderTest) -> torch.dtype:
    """Return the floating type of the decoder's weights; float64 where it has none."""
    return next((p.dtype for p in model.decoder.parameters() if p.dtype.is_floating_point), torch.float64)


def to_array(values: Any) -> np.ndarray:
    """Return an array or tensor as a float64 array."""
    if isinstance(values, torch.Tensor):
        values = values.detach().cpu().numpy()
    return np.asarray(values, dtype=np.float64)


def same(first: np.ndarray, second: np.ndarray, tolerance: float = SAME) -> bool:
    """Return whether two arrays agree within ``tolerance`` of their largest entry; NaN agrees with nothing."""
    if first.shape != second.shape:
        return False
    scale = max(float(np.abs(first).max(initial=0.0)), float(np.abs(second).max(initial=0.0)))
    return bool(np.abs(first - second).max(initial=0.0) <= tolerance * scale)


def random_contents(n_items: int, n_users: int, rng: np.random.Generator) -> sparse.csr_array:
    """Draw contents with popular and rare items and short and long histories (at least 2 items, at most half of all).

    Raises
    ------
    InvalidInput
        If there are fewer than 4 items.
    """
    if n_items < 4:
        raise InvalidInput(f"at least 4 items are needed to probe a model; there are {n_items}")
    sizes = np.clip(np.exp(rng.normal(2.5, 1.0, n_users)).astype(int), 2, n_items // 2)
    popularity = 1.0 / rng.permutation(np.arange(1, n_items + 1))
    # Adding Gumbel noise to log-weights and taking the largest draws without replacement.
    keys = np.log(popularity) + rng.gumbel(size=(n_users, n_items))
    columns = [np.sort(np.argpartition(-row, size)[:size]) for row, size in zip(keys, sizes, strict=True)]
    indptr = np.concatenate([[0], np.cumsum(sizes)])
    return sparse.csr_array((np.ones(indptr[-1]), np.concatenate(columns), indptr), shape=(n_users, n_items))
