"""Telling masking conventions apart from outside, by users with one item and with two."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse, stats

from collabtheory.conformance.finding import Outcome, fine, not_checked, suspicious, wrong
from collabtheory.conformance.under_test import SAME, Probe, VaeUnderTest, posterior, to_array

COPIES = 200
"""Masks drawn for each user."""
N_PAIRS = 4
RATE_ERROR = 1e-3
"""Probability that a right keep probability is called wrong."""


@dataclass(frozen=True)
class Signs:
    """What is seen: is the input divided by a norm, what one kept item of one and of two looks like, how many kept."""

    normalised: bool
    alone_unscaled: bool
    of_two_unscaled: bool
    kept: int
    tried: int


def input_masking(model: VaeUnderTest, probe: Probe, rng: np.random.Generator) -> Outcome:
    """Find out which masking convention training follows, and with which probability of keeping.

    Users with one item and users with two tell the conventions apart: what is left after masking is one item, in a
    scale that the convention decides.
    """
    if model.encode_masked is None:
        return not_checked("encode_masked (the posterior under a training mask) was not given")
    if probe.trouble:
        return not_checked(probe.trouble)
    signs = _look(model, probe, rng)
    if signs is None:
        return not_checked("single items hardly move the code, or the encoder reads contents as sets")
    return _held_against(model, signs)


def _held_against(model: VaeUnderTest, signs: Signs) -> Outcome:
    """Return the convention that the model follows, held against the one it claims."""
    if signs.kept == signs.tried and model.keep_probability == 1.0:
        return fine("nothing is masked, as claimed", kept=1.0)
    kept = signs.kept / signs.tried
    if signs.kept in (0, signs.tried):
        return wrong("encode_masked masks nothing." if kept else "encode_masked masks everything.", kept=kept)
    rate = _rate(model, signs)
    if rate is not None:
        return wrong(rate, kept=kept)
    convention, words = _convention(signs)
    if model.masking is not None and convention != model.masking:
        return wrong(f"{words}, against the claimed convention {model.masking}.", kept=kept)
    if convention in ("normalised, not rescaled", "not normalised, rescaled"):
        return suspicious(f"{words}: none of the published conventions.", kept=kept)
    return fine(words, kept=kept)


def _rate(model: VaeUnderTest, signs: Signs) -> str | None:
    rho = model.keep_probability
    if rho is None or stats.binomtest(signs.kept, signs.tried, rho).pvalue >= RATE_ERROR:
        return None
    swapped = stats.binomtest(signs.kept, signs.tried, 1 - rho).pvalue >= RATE_ERROR
    why = " It is used as the probability of dropping." if swapped else ""
    return f"the share of items kept, {signs.kept / signs.tried:.3f}, is not the claimed keep_probability {rho:g}.{why}"


def _convention(signs: Signs) -> tuple[str, str]:
    if not signs.normalised:
        if signs.alone_unscaled:
            return "mask_only", "items are masked, nothing is normalised or rescaled (mask_only)"
        return "not normalised, rescaled", "items are masked and rescaled, nothing is normalised"
    if not signs.alone_unscaled:
        return "normalise_then_mask", "normalised, then masked and rescaled (normalise_then_mask)"
    if signs.of_two_unscaled:
        return "mask_then_normalise", "masked, then normalised (mask_then_normalise)"
    return "normalised, not rescaled", "normalised, then masked, but not divided by the keep probability"


def _look(model: VaeUnderTest, probe: Probe, rng: np.random.Generator) -> Signs | None:
    items = rng.permutation(np.unique(probe.contents.indices))[: 2 * N_PAIRS]
    n_items = probe.contents.shape[1]
    pairs = items[: len(items) // 2 * 2].reshape(-1, 2)
    if not len(pairs):
        return None
    singles = [_rows([[item]], n_items) for item in items]
    clean = np.stack([posterior(model, row)[0][0] for row in singles])
    empty = posterior(model, _rows([[]], n_items))[0][0]
    scale = float(np.abs(clean).max())
    gap = np.abs(clean - empty).max(1)
    doubled = np.stack([posterior(model, sparse.csr_array(row * 2.0))[0][0] for row in singles])
    half = np.stack([posterior(model, sparse.csr_array(row * 0.5))[0][0] for row in singles])
    if gap.min() < 100 * SAME * scale:
        return None
    normalised = bool(np.abs(doubled - clean).max() <= SAME * scale and np.abs(half - clean).max() <= SAME * scale)
    one = _masked(model, _rows([[item] for item in items for _ in range(COPIES)], n_items), rng)
    two = _masked(model, _rows([list(pair) for pair in pairs for _ in range(COPIES)], n_items), rng)
    owners = np.repeat(np.arange(len(items)), COPIES)
    left = np.abs(one - empty).max(1) > SAME * scale
    alone = bool(np.abs(one - clean[owners]).max(1)[left].max(initial=0.0) <= SAME * scale)
    return Signs(normalised, alone, _pairs_reach(two, clean, scale), int(left.sum()), len(left))


def _pairs_reach(two: np.ndarray, clean: np.ndarray, scale: float) -> bool:
    """Return whether a masked pair is ever encoded as one of its items alone."""
    owners = np.repeat(np.arange(len(two) // COPIES), COPIES)
    return any(bool((np.abs(two - clean[2 * owners + side]).max(1) <= SAME * scale).any()) for side in (0, 1))


def _masked(model: VaeUnderTest, rows: sparse.csr_array, rng: np.random.Generator) -> np.ndarray:
    return np.empty(0) if model.encode_masked is None else to_array(model.encode_masked(rows, rng)[0])


def _rows(sets: list[list[int]], n_items: int) -> sparse.csr_array:
    sizes = [len(one) for one in sets]
    columns = np.array([item for one in sets for item in sorted(one)], dtype=np.int64)
    return sparse.csr_array(
        (np.ones(sum(sizes)), columns, np.concatenate([[0], np.cumsum(sizes)])), shape=(len(sets), n_items)
    )
