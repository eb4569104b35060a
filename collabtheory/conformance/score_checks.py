"""Checks of test time: scores come from the mean, and items that a user has are not recommended."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from scipy import sparse
from scipy.special import expit, log_softmax, softmax
from torch import Tensor, nn

from collabtheory.conformance.finding import Outcome, fine, not_checked, suspicious, wrong
from collabtheory.conformance.under_test import Probe, VaeUnderTest, decode, same, to_array

SCORE_TOLERANCE = 1e-3


def test_time_scores(model: VaeUnderTest, probe: Probe, rng: np.random.Generator) -> Outcome:
    """Check that scores (or, without them, rankings) are the same twice, and those of the posterior mean."""
    if model.scores is None:
        return _repeated_ranking(model, probe)
    first, second = (to_array(model.scores(probe.contents)) for _ in range(2))
    if first.shape != probe.contents.shape:
        return wrong(f"scores must have the shape of the contents, {probe.contents.shape}; it is {first.shape}.")
    if not np.isfinite(first).all():
        return wrong("scores are not finite: mask items already seen when ranking, not in the scores.")
    difference = float(np.abs(first - second).max())
    if not same(first, second):
        return wrong(
            "scores differ from call to call: a sampled code or dropout is used at test time. Score decoder(mu) in "
            "evaluation mode.",
            difference=difference,
        )
    if probe.trouble:
        return not_checked(probe.trouble)
    logits = decode(model, probe.mu)
    for name, form in _FORMS.items():
        if same(first, form(logits), SCORE_TOLERANCE):
            return fine(f"repeatable, and {name} of the posterior mean")
    apart = float(np.abs(first - logits).max() / np.abs(logits).max())
    return suspicious(
        "scores are repeatable but not those of the posterior mean: sampled with a fixed seed, from another layer, or "
        "adjusted afterwards.",
        apart=apart,
    )


test_time_scores.__test__ = False  # type: ignore[attr-defined]  # no test, whatever its name begins with

_FORMS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "the logits": lambda logits: logits,
    "the softmax": lambda logits: np.asarray(softmax(logits, axis=1)),
    "the log-softmax": lambda logits: np.asarray(log_softmax(logits, axis=1)),
    "the sigmoid": lambda logits: np.asarray(expit(logits)),
}


def _repeated_ranking(model: VaeUnderTest, probe: Probe) -> Outcome:
    if model.rank is None:
        return not_checked("neither scores nor rank was given")
    k = min(20, probe.contents.shape[1])
    first, second = (to_array(model.rank(probe.contents, k)) for _ in range(2))
    if np.array_equal(first, second):
        return fine("rankings are the same twice (scores were not given)")
    return wrong(
        "rankings differ from call to call: a sampled code or dropout is used at test time. Rank by decoder(mu)."
    )


def seen_items(model: VaeUnderTest, probe: Probe, rng: np.random.Generator) -> Outcome:
    """Check that no item that a user has is recommended, even where every other item has a negative logit.

    As many items are asked for as the user with most has not seen. The decoder's output is raised and lowered
    meanwhile, so that items masked with 0 come after and before all others; it is as it was afterwards.
    """
    if model.rank is None:
        return not_checked("rank (the items recommended) was not given")
    n_items = probe.contents.shape[1]
    k = n_items - int(probe.sizes.max())
    if k < 1:
        return not_checked("a user has every item, so that nothing is left to rank")
    largest = float(np.abs(decode(model, probe.mu)).max()) + 10.0
    shares = []
    for shift in (largest, 0.0, -largest):
        with _shifted(model.decoder, shift):
            shares.append(_seen_share(model.rank, probe.contents, k))
    if None in shares:
        return wrong("a ranking names an item twice, or one that does not exist.")
    raised, plain, lowered = (share or 0.0 for share in shares)
    if raised > 0:
        return wrong("items that the user has are recommended: set their scores to -inf before ranking.", share=raised)
    if max(plain, lowered) > 0:
        return wrong(
            "items that the user has are recommended where the other logits are negative: they are masked with 0. "
            "Use -inf.",
            share=max(plain, lowered),
        )
    return fine("no item that a user has is recommended, though all other logits be negative", k=k)


def _seen_share(rank: Callable[[sparse.csr_array, int], Any], contents: sparse.csr_array, k: int) -> float | None:
    ranked = to_array(rank(contents, k)).astype(np.int64)
    seen, total = 0, 0
    for user, row in enumerate(ranked):
        given = row[row >= 0]
        if len(np.unique(given)) < len(given) or (given >= contents.shape[1]).any():
            return None
        own = contents.indices[contents.indptr[user] : contents.indptr[user + 1]]
        seen, total = seen + int(np.isin(given, own).sum()), total + len(given)
    return seen / max(total, 1)


@contextmanager
def _shifted(decoder: nn.Module, by: float) -> Iterator[None]:
    """Add a number to all logits, which changes no softmax and no order among items that are ranked by them."""

    def shift(module: nn.Module, inputs: Any, output: Tensor) -> Tensor:
        return output + by

    handle = decoder.register_forward_hook(shift)
    try:
        yield
    finally:
        handle.remove()
