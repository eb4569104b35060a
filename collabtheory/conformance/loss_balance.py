"""The balance of the two terms of a training loss, that beta be what it says."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import sparse

from collabtheory.conformance.finding import Outcome, fine, not_checked, suspicious, wrong
from collabtheory.conformance.reconstruction_check import log_loss
from collabtheory.conformance.reductions import reduce_by_user
from collabtheory.conformance.under_test import Probe, VaeUnderTest, decode, to_array

CALLS = 24
Loss = Callable[[sparse.csr_array, float, np.random.Generator], Any]


def loss_balance(model: VaeUnderTest, probe: Probe, rng: np.random.Generator) -> Outcome:
    """Check that reconstruction and KL term stand in the loss with the same factor, so that beta is what it says."""
    if probe.trouble:
        return not_checked(probe.trouble)
    if model.loss is not None:
        return _whole(model, model.loss, probe, rng)
    if model.kl is None or model.reconstruction is None:
        return not_checked("neither loss nor both of kl and reconstruction were given")
    term, codes = model.reconstruction, probe.mu
    terms = {
        "KL term": reduce_by_user(model.kl, probe.contents).how,
        "reconstruction": reduce_by_user(term, probe.contents, codes).how,
    }
    if set(terms.values()) == {"mean", "sum"}:
        summed = next(name for name, how in terms.items() if how == "sum")
        return wrong(
            f"the {summed} is summed over users, the other term averaged: the KL weight depends on the batch size.",
            users=probe.contents.shape[0],
        )
    return fine(f"over users: {', '.join(f'{name} {how}' for name, how in terms.items())}")


def _whole(model: VaeUnderTest, loss: Loss, probe: Probe, rng: np.random.Generator) -> Outcome:
    """Return how the slope of the loss in beta and its value at beta = 0 compare with KL and log-likelihood.

    The value is that of sampled codes; it is compared with a Monte Carlo mean within five standard errors.
    """
    at_zero, slope = _measure(loss, probe, rng)
    kl = float((0.5 * (probe.mu**2 + probe.sigma**2 - 1 - 2 * np.log(probe.sigma))).sum(1).mean())
    numbers = {"loss": float(at_zero.mean()), "slope": float(slope.mean()), "kl": kl}
    if np.abs(slope).max() <= 1e-7 * abs(at_zero.mean()):
        return wrong("the loss does not depend on the KL weight: the KL term is off.", **numbers)
    if not model.standard_prior or model.likelihood is None:
        return not_checked("a loss can be taken apart only with a known likelihood and the prior N(0, I)", **numbers)
    if kl < 1e-6:
        return not_checked("every posterior equals the prior, so that the KL term has no size", **numbers)
    expected, error = _expected(model, probe, rng)
    own_error = float(at_zero.std(ddof=1) / math.sqrt(len(at_zero)))
    relative = 0.01 + 5 * (error + own_error) / abs(numbers["loss"])
    # A squared error may be written with or without the constant half of the squared contents.
    constants = [0.0, 0.5 * float(probe.sizes.mean())] if model.likelihood == "gaussian" else [0.0]
    expected = min((expected + c for c in constants), key=lambda value: abs(math.log(abs(numbers["loss"] / value))))
    return _name(numbers | {"expected": expected}, relative, _factors(probe))


def _measure(loss: Loss, probe: Probe, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    zero, one = [], []
    for seed in rng.integers(2**31, size=CALLS):
        # The same seed twice, so that the noise of the codes drops out of the difference.
        zero.append(float(to_array(loss(probe.contents, 0.0, np.random.default_rng(seed))).mean()))
        one.append(float(to_array(loss(probe.contents, 1.0, np.random.default_rng(seed))).mean()))
    return np.array(zero), np.array(one) - np.array(zero)


def _expected(model: VaeUnderTest, probe: Probe, rng: np.random.Generator) -> tuple[float, float]:
    """Return the mean log-loss of sampled codes with its standard error, nats per user."""
    means = []
    for _ in range(CALLS):
        codes = probe.mu + probe.sigma * rng.standard_normal(probe.mu.shape)
        means.append(log_loss(model.likelihood or "", decode(model, codes), probe.contents).mean())
    return float(np.mean(means)), float(np.std(means, ddof=1) / math.sqrt(CALLS))


def _factors(probe: Probe) -> dict[str, float]:
    """Return the factors that one term is known to get in some public code, beside a factor 1 of the other."""
    users, n_items = probe.contents.shape
    return {
        "averaged over the latent dimensions": 1 / probe.mu.shape[1],
        "without its factor 1/2": 2.0,
        "summed over users beside an average": float(users),
        "averaged over users beside a sum": 1.0 / users,
        "summed beside an average over items": float(n_items),
        "summed beside an average over items and dimensions": n_items / probe.mu.shape[1],
    }


def _name(numbers: dict[str, float], relative: float, factors: dict[str, float]) -> Outcome:
    kl_factor, loss_factor = numbers["slope"] / numbers["kl"], numbers["loss"] / numbers["expected"]
    ratio = kl_factor / loss_factor
    numbers = numbers | {"ratio": ratio}
    if abs(ratio - 1) <= relative:
        return fine("both terms have the same factor, so that the KL weight is what it says", **numbers)
    named = [words for words, factor in factors.items() if abs(ratio / factor - 1) <= relative]
    if named:
        return wrong(
            f"the KL term is {named[0]}: the KL weight is {ratio:.3g} times what it says it is.",
            **numbers,
        )
    return suspicious(
        f"beside the log-likelihood the KL term has {ratio:.3g} times the factor it should have, for no reason known "
        "here (a regulariser in the loss, another likelihood, or codes drawn with other noise change it, too).",
        **numbers,
    )
