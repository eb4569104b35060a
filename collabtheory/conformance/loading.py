"""A model to check, named on the command line: a checkpoint, or an object in a Python file."""

from __future__ import annotations

import contextlib
import importlib.util
import sys
from pathlib import Path

import numpy as np
from scipy import sparse
from torch import nn

from collabtheory.conformance.under_test import VaeUnderTest, random_contents
from collabtheory.data.interactions import Interactions
from collabtheory.errors import DataError, InvalidInput

MADE_UP_USERS = 200


def load_under_test(target: str) -> VaeUnderTest:
    """Return the model that ``target`` names.

    Parameters
    ----------
    target
        A checkpoint of this project (``model.safetensors``), or ``FILE.py:NAME``, where ``NAME`` is a
        :class:`VaeUnderTest` or a callable without arguments that returns one. The file is run; files beside it can
        be imported.

    Raises
    ------
    InvalidInput
        If the target is neither, or the file cannot be run, lacks the name, or holds something else under it.
    DataError
        If a file is missing or the checkpoint cannot be read.
    """
    if target.endswith(".safetensors"):
        from collabtheory.conformance.autoencoder_under_test import from_checkpoint

        return from_checkpoint(Path(target))
    file, colon, name = target.rpartition(":")
    if not colon or not file.endswith(".py") or not name.isidentifier():
        raise InvalidInput(f"{target}: name a checkpoint (.safetensors) or an object in a file (FILE.py:NAME)")
    return _from_file(Path(file), name)


def contents_for(
    target: str, model: VaeUnderTest, data: Interactions | None, rng: np.random.Generator
) -> sparse.csr_array:
    """Return contents to probe a loaded model with.

    Parameters
    ----------
    target, model
        What :func:`load_under_test` was given and returned.
    data
        Users with the model's items: by id for a checkpoint, else by position. None makes users up.
    rng
        Source of made-up users.

    Raises
    ------
    InvalidInput
        If the data are of other items, or there are none and the model does not say how many items it has
        (``n_items``, or a last linear layer of its decoder).
    """
    if data is None:
        return random_contents(_n_items(model), MADE_UP_USERS, rng)
    if target.endswith(".safetensors"):
        from collabtheory.models.checkpoints import load_model

        return load_model(target).on_its_items(data).matrix
    if model.n_items is not None and data.n_items != model.n_items:
        raise InvalidInput(f"{data.name} has {data.n_items} items and the model {model.n_items}")
    return data.matrix


def _n_items(model: VaeUnderTest) -> int:
    linear = [part for part in model.decoder.modules() if isinstance(part, nn.Linear)]
    if model.n_items is None and not linear:
        raise InvalidInput("the model does not say how many items it has: give n_items, or data")
    return model.n_items if model.n_items is not None else int(linear[-1].out_features)


def _from_file(path: Path, name: str) -> VaeUnderTest:
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    # Standard output is for results; what the file prints goes elsewhere.
    with contextlib.redirect_stdout(sys.stderr):
        return _made(path, name)


def _made(path: Path, name: str) -> VaeUnderTest:
    found = _run(path).get(name)
    if found is None:
        raise InvalidInput(f"{path}: has no {name}")
    if not isinstance(found, VaeUnderTest) and callable(found):
        try:
            found = found()
        except Exception as error:
            raise InvalidInput(f"{path}: {name}() failed ({type(error).__name__}: {error})") from error
    if not isinstance(found, VaeUnderTest):
        raise InvalidInput(f"{path}: {name} must be a VaeUnderTest or return one; it is {type(found).__name__}")
    return found


def _run(path: Path) -> dict[str, object]:
    specification = importlib.util.spec_from_file_location(f"_collabtheory_model_{path.stem}", path)
    if specification is None or specification.loader is None:
        raise InvalidInput(f"{path}: not a Python file")
    module = importlib.util.module_from_spec(specification)
    # Dataclasses look their module up there while the file runs.
    sys.modules[module.__name__] = module
    sys.path.insert(0, str(path.resolve().parent))
    try:
        specification.loader.exec_module(module)
    except Exception as error:
        raise InvalidInput(f"{path}: cannot be run ({type(error).__name__}: {error})") from error
    finally:
        sys.path.remove(str(path.resolve().parent))
    return vars(module)
