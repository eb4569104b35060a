"""Checks of the KL term: its form, and the weight that it has along training."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from collabtheory.conformance.finding import Outcome, fine, not_checked, suspicious, wrong
from collabtheory.conformance.reductions import reduce_by_user
from collabtheory.conformance.under_test import Probe, VaeUnderTest

Schedule = Callable[[int, int], float]
RELATIVE = 1e-3
TINY_KL = 1e-6
LENGTHS = (1_000, 10_000, 100_000)
ARRIVED = 0.95
"""The weight has arrived where it ends at no less than this share of its cap."""


def kl_form(model: VaeUnderTest, probe: Probe, rng: np.random.Generator) -> Outcome:
    r"""Check that the KL term of a user is :math:`\frac12 \sum_j (\mu_j^2 + \sigma_j^2 - 1 - \log \sigma_j^2)`."""
    if model.kl is None:
        return not_checked("kl (the KL term of given users) was not given")
    if not model.standard_prior:
        return not_checked("the prior is not N(0, I), so that there is no closed form to compare with")
    if probe.trouble:
        return not_checked(probe.trouble)
    forms = _forms(probe.mu, probe.sigma)
    truth = forms["closed form"]
    if truth.max() < TINY_KL:
        return not_checked("every posterior equals the prior, where all forms agree")
    found = reduce_by_user(model.kl, probe.contents)
    if found.values is None:
        return wrong(f"of one user the KL term has shape {found.shape}: sum over the last axis, the dimensions.")
    ratio = float(np.median(found.values / truth))
    numbers = {"ratio": ratio, "d": probe.mu.shape[1], "kl": float(truth.mean())}
    named = _which(found.values, forms, probe.mu.shape[1])
    if named is None:
        return wrong("the KL term agrees with no form known here; see the ratio to the closed form.", **numbers)
    if named:
        return wrong(named, **numbers)
    if found.how == "other":
        return wrong("over a batch the KL term is neither one value a user nor their mean nor their sum.", **numbers)
    return fine(f"closed form, summed over dimensions; over users: {found.how}", **numbers)


def _forms(mu: np.ndarray, sigma: np.ndarray) -> dict[str, np.ndarray]:
    logarithm = 2 * np.log(sigma)

    def total(variance: np.ndarray, log_variance: np.ndarray) -> np.ndarray:
        result: np.ndarray = 0.5 * (mu**2 + variance - 1 - log_variance).sum(1)
        return result

    return {
        "closed form": total(sigma**2, logarithm),
        "the standard deviation stands where the variance belongs": total(sigma, logarithm / 2),
        "the log-variance is read as the log of the standard deviation": total(sigma**4, 2 * logarithm),
        "the standard deviation stands where the log-variance belongs": total(np.exp(sigma), sigma),
        "the variance stands where the log-variance belongs": total(np.exp(sigma**2), sigma**2),
        "the log-variance stands where the variance belongs": total(logarithm, logarithm),
        "the standard deviation stands where the variance belongs, its logarithm being right": total(sigma, logarithm),
    }


def _which(values: np.ndarray, forms: dict[str, np.ndarray], d: int) -> str | None:
    """Return what is wrong with the KL term, empty for nothing, None for unknown."""
    scales = {
        "": 1.0,
        "the mean is taken over the latent dimensions, so that beta is divided by d without a word": 1 / d,
        "the factor 1/2 is missing": 2.0,
        "the factor 1/2 is missing and the mean is taken over the latent dimensions": 2 / d,
        "the factor 1/2 stands twice": 0.5,
        "the sign is reversed, so that training drives the posterior away from the prior": -1.0,
    }
    for form, expected in forms.items():
        for scale, factor in scales.items():
            if np.allclose(values, factor * expected, rtol=RELATIVE, atol=RELATIVE * np.abs(values).max()):
                parts = [part for part in (form if form != "closed form" else "", scale) if part]
                return f"In the KL term {'; '.join(parts)}." if parts else ""
    return None


def kl_annealing(model: VaeUnderTest, probe: Probe, rng: np.random.Generator) -> Outcome:
    """Check that the KL weight arrives at its cap, stays there, and goes by the length of the training."""
    if model.beta is None:
        return not_checked("beta (the KL weight at a step of a training) was not given")
    lengths = LENGTHS if model.total_steps is None else (model.total_steps,)
    runs = {length: _weights(model.beta, length) for length in lengths}
    # A training a thousand times longer shows where a climb of fixed length would end.
    largest = max(float(np.max(_weights(model.beta, 1000 * length))) for length in lengths)
    cap = model.beta_cap if model.beta_cap is not None else max(largest, *(float(run.max()) for run in runs.values()))
    numbers = {"cap": cap, "largest": max(float(run.max()) for run in runs.values())}
    numbers["last"] = min(float(run[-1]) for run in runs.values())
    if any(not np.isfinite(run).all() or (run < 0).any() for run in runs.values()):
        return wrong("the KL weight is negative or not finite at some step.", **numbers)
    if cap == 0 or numbers["largest"] == 0:
        return suspicious("the KL weight is 0 throughout: nothing ties the posterior to the prior.", **numbers)
    trouble = _shape(runs, cap)
    if trouble is not None:
        return Outcome(trouble.status, trouble.words, numbers)
    return _arrival(runs, cap, numbers, _goes_by_steps(model.beta, min(runs)))


def _weights(beta: Schedule, length: int) -> np.ndarray:
    steps = np.unique(np.linspace(0, length - 1, 401).round().astype(int))
    return np.array([float(beta(int(step), length)) for step in steps])


def _shape(runs: dict[int, np.ndarray], cap: float) -> Outcome | None:
    """Return what is wrong with a weight that leaves its range or falls."""
    falls = {length: int((np.diff(run) < -1e-9 * cap).sum()) for length, run in runs.items()}
    if any(run.max() > cap * (1 + 1e-6) for run in runs.values()):
        back = " and drops back to it" if any(falls.values()) else ""
        return wrong(f"the KL weight climbs past its cap{back}: take min(cap, weight) at every step.")
    if not any(falls.values()):
        return None
    if max(_restarts(run, 1e-9 * cap) for run in runs.values()) >= 2:
        return suspicious("the KL weight starts anew several times: a cyclical schedule, if that is meant.")
    return wrong("the KL weight falls during training, so that it ends below what it had reached.")


def _restarts(run: np.ndarray, near: float) -> int:
    """Return how often the weight rises again after it fell."""
    change = np.diff(run)
    rising = change[np.abs(change) > near] > 0
    return int((rising[1:] & ~rising[:-1]).sum())


def _arrival(runs: dict[int, np.ndarray], cap: float, numbers: dict[str, float], fixed: bool) -> Outcome:
    late = [length for length, run in runs.items() if run[-1] < ARRIVED * cap]
    if late:
        why = "its climb has a fixed number of steps" if fixed else "its climb is longer than the training"
        return wrong(
            f"in a training of {late[0]:,} steps the KL weight ends below its cap: {why}, and the KL term never gets "
            "its weight. State the climb as a share of the training.",
            **numbers,
        )
    if fixed:
        return suspicious(
            "the climb of the KL weight has a fixed number of steps, whatever the length of the training; it arrives "
            "in the one asked for. State it as a share.",
            **numbers,
        )
    return fine("arrives at its cap, never above, never falling, whatever the length of training", **numbers)


def _goes_by_steps(beta: Schedule, length: int) -> bool:
    steps = np.unique(np.linspace(0, length - 1, 21).round().astype(int))
    short, long = (np.array([float(beta(int(s), n)) for s in steps]) for n in (length, 1000 * length))
    return bool(np.ptp(short) > 0 and np.allclose(short, long, rtol=1e-9))
