"""Checkpoints of linear item models: weights in safetensors, their description in the file's metadata."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from collabtheory._version import __version__
from collabtheory.errors import DataError, InvalidInput
from collabtheory.models.checkpoints import load_tensors, save_tensors
from collabtheory.models.linear import LinearItemModel

_KIND = "linear item model"


@dataclass(frozen=True)
class LinearCheckpoint:
    """A linear item model with what is known of it: specification, data fingerprint, item ids."""

    model: LinearItemModel
    about: dict[str, object]


def save_linear(path: str | Path, model: LinearItemModel, about: dict[str, object]) -> None:
    """Write a model and a description (values that JSON can hold) to ``path``, atomically.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    about = {**about, "collabtheory": __version__, "kind": _KIND, "n_items": model.n_items}
    save_tensors(Path(path), {"weights": torch.from_numpy(np.ascontiguousarray(model.weights))}, about)


def load_linear(path: str | Path) -> LinearCheckpoint:
    """Read what :func:`save_linear` wrote; the weights are the same bits.

    Raises
    ------
    DataError
        If the file is missing, a pickle, truncated, of another model, or has weights that are no linear item model.
    """
    tensors, about = load_tensors(Path(path))
    if about.get("kind") != _KIND or set(tensors) != {"weights"}:
        raise DataError(f"{path}: a checkpoint, but not one of a linear item model")
    try:
        model = LinearItemModel(tensors["weights"].numpy())
    except InvalidInput as error:
        raise DataError(f"{path}: {error}") from error
    if about.get("n_items") != model.n_items:
        raise DataError(f"{path}: weights of {model.n_items} items, described as {about.get('n_items')}")
    return LinearCheckpoint(model, about)
