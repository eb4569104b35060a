"""Seeds derived from words, so that no result depends on the order in which things are drawn."""

from __future__ import annotations

import hashlib

import numpy as np


def derive(root: int, *words: str | int) -> np.random.Generator:
    """Return a generator whose seed is SHA-256 of ``(root, *words)``.

    The same words give the same stream on every machine and in every process; different words give independent ones.

    Examples
    --------
    >>> derive(0, "masks", 3).integers(1000) == derive(0, "masks", 3).integers(1000)
    np.True_
    """
    return np.random.default_rng(np.random.SeedSequence(derive_integer(root, *words)))


def derive_integer(root: int, *words: str | int) -> int:
    """Return the 128-bit integer that :func:`derive` seeds with (for torch, take it mod 2^63)."""
    text = "\x1f".join(f"{type(word).__name__}:{word}" for word in (root, *words))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:16], "big")
