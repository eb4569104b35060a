"""Checkpoints: weights in safetensors, everything needed to use them in the file's metadata. Never pickle."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import safetensors
import safetensors.torch
import torch
from torch import Tensor

from collabtheory._version import __version__
from collabtheory.data.interactions import Interactions
from collabtheory.errors import DataError, InvalidInput, OutputError
from collabtheory.models.architectures import build
from collabtheory.models.autoencoder import Autoencoder
from collabtheory.models.specification import ModelSpec
from collabtheory.runs.files import CHECKPOINT_FORMAT, write_atomically


@dataclass(frozen=True)
class Checkpoint:
    """A model with what is known of it: data fingerprint, item ids, epoch, seed, training specification."""

    path: Path
    model: Autoencoder
    about: dict[str, object]

    def on_its_items(self, data: Interactions) -> Interactions:
        """Return the data on the model's items, found by id, in the model's order.

        Raises
        ------
        InvalidInput
            If the data lack one of them, or the checkpoint does not say which they are.
        """
        column_of = {str(item): column for column, item in enumerate(data.item_ids.tolist())}
        wanted = [str(item) for item in self.about.get("item_ids", ())]  # type: ignore[attr-defined]
        if not wanted:
            raise InvalidInput(f"{self.path}: does not say which items its columns are")
        missing = [item for item in wanted if item not in column_of]
        if missing:
            raise InvalidInput(f"{data.name} lacks {len(missing)} of the model's items, first {missing[0]!r}")
        return data.select_items([column_of[item] for item in wanted])


def save_tensors(path: Path, tensors: dict[str, Tensor], about: dict[str, object]) -> None:
    """Write named tensors with a JSON description to ``path``, atomically."""
    # One entry only: the format keeps several in no fixed order, and equal checkpoints shall be equal files.
    metadata = {CHECKPOINT_FORMAT: json.dumps(about, sort_keys=True)}
    contiguous = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}

    def write(temporary: Path) -> None:
        try:
            safetensors.torch.save_file(contiguous, temporary, metadata)
        except safetensors.SafetensorError as error:
            raise OutputError(f"cannot write {path}: {error}") from error

    write_atomically(path, write)


def load_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, object]]:
    """Read what :func:`save_tensors` wrote.

    Raises
    ------
    DataError
        If the file is missing, a pickle, truncated, or not a checkpoint of this package.
    """
    _refuse_pickle(path)
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
    except (safetensors.SafetensorError, OSError) as error:
        raise DataError(f"{path}: not a readable safetensors file ({error})") from error
    if CHECKPOINT_FORMAT not in metadata:
        raise DataError(f"{path}: a safetensors file, but not a collabtheory checkpoint")
    return tensors, json.loads(metadata[CHECKPOINT_FORMAT])


def save_model(path: Path, model: Autoencoder, about: dict[str, object]) -> None:
    """Write a model with its full specification."""
    about = {
        **about,
        "collabtheory": __version__,
        "model": model.spec.model_dump(mode="json"),
        "n_items": model.n_items,
    }
    save_tensors(path, dict(model.state_dict()), about)


def load_model(path: str | Path) -> Checkpoint:
    """Read a checkpoint that :func:`save_model` wrote; the model is in evaluation mode.

    Raises
    ------
    DataError
        As :func:`load_tensors`, or if the weights do not fit the specification or are not finite.
    """
    path = Path(path)
    tensors, about = load_tensors(path)
    if "model" not in about:
        raise DataError(f"{path}: holds a training state, not a model")
    model = build(ModelSpec.model_validate(about["model"]), int(str(about["n_items"])), np.random.default_rng(0))
    expected = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    found = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    if expected != found:
        raise DataError(f"{path}: its weights do not fit its specification (expected {expected}, found {found})")
    for name, tensor in tensors.items():
        if not torch.isfinite(tensor).all():
            raise DataError(f"{path}: weight {name} is not finite")
    model.load_state_dict(tensors)
    return Checkpoint(path, model.eval(), about)


def _refuse_pickle(path: Path) -> None:
    try:
        with path.open("rb") as file:
            start = file.read(9)
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}") from error
    # A safetensors file is an 8-byte length and then JSON; its length may well begin with pickle's 0x80.
    if start[8:9] != b"{" and (start[:1] == b"\x80" or start[:4] == b"PK\x03\x04"):
        raise DataError(f"{path}: a pickle (or a torch.save archive); pickles can run code and are never opened")
