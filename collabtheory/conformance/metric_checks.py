"""Which definitions an evaluator uses: its values on made-up rankings against each named definition."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from scipy import sparse

from collabtheory.conformance.finding import Outcome, fine, not_checked, suspicious, wrong
from collabtheory.conformance.under_test import Probe, VaeUnderTest, to_array

N_ITEMS = 400
N_USERS = 30
_NAME = re.compile(r"(recall|ndcg|precision|hr|hit|hitrate)[@_](\d+)", re.IGNORECASE)
_Definition = Callable[[np.ndarray, np.ndarray, int], Any]


def metrics(model: VaeUnderTest, probe: Probe, rng: np.random.Generator) -> Outcome:
    """Check that the evaluator computes what its names say, and find out by which of the definitions in use.

    Users have 1 to 150 held-out items of 400, and their seen items have the highest scores of all, so that definitions
    and masking can be told apart.
    """
    if model.evaluate is None:
        return not_checked("evaluate (the evaluator) was not given")
    scores, seen, held_out = _users(rng)
    found = {name: to_array(value) for name, value in model.evaluate(scores, seen, held_out).items()}
    readings = {name: _reading(name, value, scores, seen, held_out) for name, value in found.items()}
    known = {name: reading for name, reading in readings.items() if reading is not None}
    if not known:
        return not_checked(f"no metric named recall@k, ndcg@k, precision@k or hr@k among {', '.join(found) or 'none'}")
    bad = [f"{name}: {text}" for name, (right, text) in known.items() if not right]
    words = "; ".join(f"{name}: {text}" for name, (_, text) in known.items())
    return wrong(f"{'; '.join(bad)}.") if bad else fine(words)


def users_without_held_out(model: VaeUnderTest, probe: Probe, rng: np.random.Generator) -> Outcome:
    """Check that test users without a held-out item are left out (or refused), not counted as 0 or NaN."""
    if model.evaluate is None:
        return not_checked("evaluate (the evaluator) was not given")
    scores, seen, held_out = _users(rng)
    before = _means(model.evaluate(scores, seen, held_out))
    emptied = held_out.toarray()
    emptied[::3] = 0
    kept = np.arange(N_USERS) % 3 != 0
    expected = _means(model.evaluate(scores[kept], sparse.csr_array(seen[kept]), sparse.csr_array(held_out[kept])))
    try:
        after = _means(model.evaluate(scores, seen, sparse.csr_array(emptied)))
    except Exception as error:
        return fine(f"refused: {type(error).__name__}")
    if any(np.isnan(value) for value in after.values()):
        return wrong("users without a held-out item make the value NaN: leave them out.")
    if all(abs(after[name] - expected[name]) <= 1e-6 for name in expected):
        return fine("left out")
    if before and all(abs(after[name] - expected[name] * kept.mean()) <= 1e-6 for name in expected):
        return wrong("users without a held-out item count as 0: leave them out.")
    return suspicious("users without a held-out item change the value in a way not known here.")


def _means(values: Mapping[str, Any]) -> dict[str, float]:
    return {name: float(np.mean(to_array(value))) for name, value in values.items()}


def _users(rng: np.random.Generator) -> tuple[np.ndarray, sparse.csr_array, sparse.csr_array]:
    """Return scores, seen and held-out items of made-up users; all scores differ."""
    scores = rng.permuted(np.tile(np.arange(N_ITEMS, dtype=np.float64), (N_USERS, 1)), axis=1)
    seen, held_out = (np.zeros((N_USERS, N_ITEMS)) for _ in range(2))
    for user, size in enumerate(np.geomspace(1, 150, N_USERS).astype(int)):
        seen[user, np.argsort(-scores[user])[:10]] = 1
        # Better than chance, as of a model that has learned something.
        chances = np.where(seen[user] > 0, 0.0, np.exp(scores[user] / 100))
        held_out[user, rng.choice(N_ITEMS, size, replace=False, p=chances / chances.sum())] = 1
    return scores, sparse.csr_array(seen), sparse.csr_array(held_out)


def _reading(
    name: str, value: np.ndarray, scores: np.ndarray, seen: sparse.csr_array, held_out: sparse.csr_array
) -> tuple[bool, str] | None:
    """Return whether a value is that of a definition in use of its name, and which; None for names not known."""
    parts = _NAME.search(name)
    if parts is None:
        return None
    family, k = parts[1].lower(), int(parts[2])
    family = "hr" if family.startswith("h") else family
    n = np.diff(held_out.indptr)
    masked = np.where(seen.toarray() > 0, -np.inf, scores)
    hits = _hits(masked, held_out, k)
    fitting = [text for text, define in _DEFINITIONS[family].items() if _fits(value, define(hits, n, k))]
    if fitting:
        return True, " or ".join(fitting)
    return False, _error(family, value, hits, _hits(scores, held_out, k), n, k)


def _error(family: str, value: np.ndarray, hits: np.ndarray, unmasked: np.ndarray, n: np.ndarray, k: int) -> str:
    for define in _DEFINITIONS[family].values():
        if _fits(value, define(unmasked, n, k)):
            return "seen items are not masked before ranking"
    for other, definitions in _DEFINITIONS.items():
        for text, define in definitions.items():
            if other != family and _fits(value, define(hits, n, k)):
                return f"this is {other}@{k} ({text})"
    for text, define in _DEFINITIONS[family].items():
        if _fits(value, define(hits, n, k) * 100):
            return f"{text}, in percent"
    return "agrees with no definition in use"


def _hits(scores: np.ndarray, held_out: sparse.csr_array, k: int) -> np.ndarray:
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(held_out.toarray() > 0, order, axis=1)


def _fits(value: np.ndarray, expected: np.ndarray) -> bool:
    if value.size == 1:
        return bool(abs(value.item() - expected.mean()) <= 1e-6 * max(1.0, abs(expected.mean())))
    return value.size == expected.size and bool(np.allclose(value.ravel(), expected, atol=1e-6))


def _gain(hits: np.ndarray) -> np.ndarray:
    gain: np.ndarray = (hits / np.log2(np.arange(2, hits.shape[1] + 2))).sum(1)
    return gain


def _ideal(n: np.ndarray) -> np.ndarray:
    ideal: np.ndarray = np.cumsum(1 / np.log2(np.arange(2, int(n.max()) + 2)))[n - 1]
    return ideal


_DEFINITIONS: dict[str, dict[str, _Definition]] = {
    "recall": {
        "hits / min(k, n)": lambda hits, n, k: hits.sum(1) / np.minimum(n, k),
        "hits / n": lambda hits, n, k: hits.sum(1) / n,
    },
    "ndcg": {
        "ideal of min(k, n) items": lambda hits, n, k: _gain(hits) / _ideal(np.minimum(n, k)),
        "ideal of all n items, not cut at k": lambda hits, n, k: _gain(hits) / _ideal(n),
        "ideal of k items": lambda hits, n, k: _gain(hits) / _ideal(np.full_like(n, k)),
    },
    "precision": {"hits / k": lambda hits, n, k: hits.sum(1) / k},
    "hr": {"any hit": lambda hits, n, k: hits.any(1).astype(np.float64)},
}
