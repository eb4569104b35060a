"""collabtheory: verify the theory of collaborative learning in VAE recommenders, on your data and your model."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from collabtheory._version import __version__

if TYPE_CHECKING:
    from collabtheory import claims, data, latent, models, ranking, report, runs, transfer
    from collabtheory.data import Interactions, load
    from collabtheory.models import DiagonalGaussian

# Imported on first use: `collabtheory --help` must not pay for torch.
_SUBMODULES = ("claims", "data", "latent", "models", "ranking", "report", "runs", "transfer")
_NAMES = {
    "DiagonalGaussian": "collabtheory.models",
    "Interactions": "collabtheory.data",
    "load": "collabtheory.data",
}

__all__ = [
    "DiagonalGaussian",
    "Interactions",
    "__version__",
    "claims",
    "data",
    "latent",
    "load",
    "models",
    "ranking",
    "report",
    "runs",
    "transfer",
]


def __getattr__(name: str) -> Any:
    """Import a submodule or a public name when it is first asked for."""
    if name in _SUBMODULES:
        return importlib.import_module(f"collabtheory.{name}")
    if name in _NAMES:
        return getattr(importlib.import_module(_NAMES[name]), name)
    raise AttributeError(f"module 'collabtheory' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
