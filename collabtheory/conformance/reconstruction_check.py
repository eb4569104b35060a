"""Which likelihood the reconstruction term of a training loss is, and in which scale."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from scipy import sparse
from scipy.special import expit, log_softmax, softmax

from collabtheory.conformance.finding import Outcome, fine, not_checked, suspicious, wrong
from collabtheory.conformance.reductions import Reduced, reduce_by_user
from collabtheory.conformance.under_test import Probe, VaeUnderTest, decode, to_array
from collabtheory.models.likelihoods import LIKELIHOODS

RELATIVE = 2e-3
_READINGS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "": lambda logits: logits,
    "a softmax is taken twice: the decoder's probabilities are given to a loss that wants logits": lambda logits: (
        np.asarray(softmax(logits, axis=-1))
    ),
    "a log of a softmax is given to a loss that wants logits": lambda logits: np.asarray(log_softmax(logits, axis=-1)),
    "a sigmoid is taken twice: the decoder's probabilities are given to a loss that wants logits": lambda logits: (
        np.asarray(expit(logits))
    ),
}


def reconstruction(model: VaeUnderTest, probe: Probe, rng: np.random.Generator) -> Outcome:
    """Check that the reconstruction term is the negative log-likelihood of each user, summed over items.

    Differences between two codes of the same user are compared, so that terms without logits do not matter.
    """
    if model.reconstruction is None:
        return not_checked("reconstruction (the term at given codes) was not given")
    if probe.trouble:
        return not_checked(probe.trouble)
    term = model.reconstruction
    codes = probe.mu + probe.sigma * rng.standard_normal(probe.mu.shape)
    found = reduce_by_user(lambda x, a, b: to_array(term(x, a)) - to_array(term(x, b)), probe.contents, codes, probe.mu)
    if found.values is None:
        return wrong(f"of one user the reconstruction term has shape {found.shape}: sum it over items.")
    if np.abs(found.values).max() == 0:
        return not_checked("the reconstruction term is the same at two codes: the decoder says nothing of them")
    return _judge(model, probe, found, found.values, codes)


def _judge(model: VaeUnderTest, probe: Probe, found: Reduced, values: np.ndarray, codes: np.ndarray) -> Outcome:
    logits, at_mean = decode(model, codes), decode(model, probe.mu)
    likely = [model.likelihood] if model.likelihood is not None else []
    for reading, form in _READINGS.items():
        for name in dict.fromkeys([*likely, *LIKELIHOODS]):
            expected = log_loss(name, form(logits), probe.contents) - log_loss(name, form(at_mean), probe.contents)
            for scale, factor in _scales(probe).items():
                if np.allclose(values, factor * expected, rtol=RELATIVE, atol=RELATIVE * np.abs(values).max()):
                    return _verdict(model, found, reading, name, scale)
    return suspicious("the reconstruction term agrees with no likelihood known here, in no scale known here.")


def _scales(probe: Probe) -> dict[str, np.ndarray | float]:
    return {
        "": 1.0,
        "divided by the user's number of items": 1.0 / probe.sizes,
        "averaged over all items": 1.0 / probe.contents.shape[1],
        "twice as large (no factor 1/2)": 2.0,
        "with its sign reversed": -1.0,
    }


def _verdict(model: VaeUnderTest, found: Reduced, reading: str, name: str, scale: str) -> Outcome:
    if reading:
        return wrong(f"{name}, but {reading}.")
    if model.likelihood is not None and name != model.likelihood:
        return wrong(f"the reconstruction term is {name}, not {model.likelihood} as claimed.")
    if scale == "with its sign reversed":
        return wrong(f"{name} with its sign reversed: training would make what users have unlikely.")
    if scale:
        return suspicious(f"{name}, but {scale}: the KL weight counts that much more than its value says.")
    if found.how == "other":
        return wrong("over a batch the reconstruction is neither one value a user nor their mean nor their sum.")
    return fine(f"{name}, summed over items; over users: {found.how}")


def log_loss(likelihood: str, logits: np.ndarray, contents: sparse.csr_array) -> np.ndarray:
    """Return the negative log-likelihood of each user without terms free of logits, ``(users,)`` nats."""
    loss = LIKELIHOODS[likelihood].loss(torch.from_numpy(logits), torch.from_numpy(contents.toarray()))
    result: np.ndarray = loss.numpy()
    return result
