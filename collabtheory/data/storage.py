"""Interactions on disk: one ``.npz`` without pickle, written beside its place and moved there when complete."""

from __future__ import annotations

import json
import os
import struct
import uuid
import zipfile
import zlib
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd

from collabtheory.data.filters import FilterStep
from collabtheory.data.interactions import Interactions, binary_csr
from collabtheory.errors import DataError, OutputError

_FORMAT = "collabtheory interactions 1"
# What damaged bytes make of the zip, the array headers (an absurd shape: MemoryError) and the JSON inside.
_BROKEN = (
    *(OSError, EOFError, zipfile.BadZipFile, zlib.error, struct.error, RuntimeError, MemoryError, SyntaxError),
    *(ValueError, KeyError, IndexError, TypeError, AttributeError),
)


def save_interactions(data: Interactions, path: Path) -> Path:
    """Write ``data`` to ``path`` atomically; a reader sees the old file or the new one, never a part."""
    arrays = _arrays(data)
    # Not tempfile: its files can be read by their owner only, also after they are moved.
    partial = path.with_name(f".{path.name}.{uuid.uuid4().hex}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(partial, "xb") as stream:
            np.savez(stream, **arrays)  # type: ignore[arg-type]
        os.replace(partial, path)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror or error}") from error
    finally:
        partial.unlink(missing_ok=True)
    return path


def load_interactions(path: Path) -> Interactions:
    """Read what :func:`save_interactions` wrote."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            return _from_arrays({key: archive[key] for key in archive.files})
    except FileNotFoundError as error:
        raise DataError(f"{path}: there is no such file") from error
    except _BROKEN as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(f"{path}: is not a file that Interactions.save wrote ({reason})") from error


def _arrays(data: Interactions) -> dict[str, np.ndarray]:
    header = {"format": _FORMAT, "name": data.name, "filters": [asdict(step) for step in data.filters]}
    arrays = {
        "header": np.array(json.dumps(header)),
        "shape": np.array(data.matrix.shape, dtype=np.int64),
        "indptr": data.matrix.indptr,
        "indices": data.matrix.indices,
        "user_ids": _as_text(data.user_ids),
        "item_ids": _as_text(data.item_ids),
    }
    for key in ("item_titles", "item_genres", "timestamps"):
        values = getattr(data, key)
        if values is not None:
            arrays[key] = _as_text(values)
    if data.truth is not None:
        for column in data.truth.columns:
            arrays[f"truth/{column}"] = _as_text(data.truth[column].to_numpy())
    return arrays


def _from_arrays(arrays: dict[str, np.ndarray]) -> Interactions:
    header = json.loads(str(arrays["header"]))
    if header["format"] != _FORMAT:
        raise ValueError(f"its format is {header['format']!r}, not {_FORMAT!r}")
    truth = {
        key.removeprefix("truth/"): _as_objects(values) for key, values in arrays.items() if key.startswith("truth/")
    }
    n_users, n_items = (int(n) for n in arrays["shape"])
    optional = {key: _as_objects(arrays[key]) for key in ("item_titles", "item_genres", "timestamps") if key in arrays}
    return Interactions(
        binary_csr(arrays["indptr"], arrays["indices"], (n_users, n_items)),
        _as_objects(arrays["user_ids"]),
        _as_objects(arrays["item_ids"]),
        name=header["name"],
        filters=tuple(FilterStep(**step) for step in header["filters"]),
        truth=pd.DataFrame(truth) if truth else None,
        **optional,
    )


def _as_text(values: np.ndarray) -> np.ndarray:
    return np.asarray(values, dtype=np.str_) if values.dtype.kind not in "iufb" else values


def _as_objects(values: np.ndarray) -> np.ndarray:
    return values.astype(object) if values.dtype.kind == "U" else values
