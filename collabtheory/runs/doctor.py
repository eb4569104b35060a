"""Whether an installation works, found out by using it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from collabtheory.runs.provenance import provenance


@dataclass(frozen=True)
class Finding:
    """One thing examined."""

    what: str
    fine: bool
    text: str


def examine() -> tuple[Finding, ...]:
    """Examine versions, arithmetic, statements, the data folder and the place where runs are written."""
    examined = {
        "versions": _versions,
        "arithmetic": _arithmetic,
        "statements": _statements,
        "data folder": _data_folder,
        "output": _output,
    }
    return tuple(_examine(what, look) for what, look in examined.items())


def _examine(what: str, look: Callable[[], str]) -> Finding:
    try:
        return Finding(what, True, look())
    except Exception as error:
        # Whatever is broken is the finding.
        return Finding(what, False, f"{type(error).__name__}: {error}")


def _versions() -> str:
    known = provenance()
    packages = known["packages"]
    versions = (
        ", ".join(f"{name} {version}" for name, version in packages.items()) if isinstance(packages, dict) else ""
    )
    return f"collabtheory {known['collabtheory']}, Python {known['python']}, {versions}; {known['cores']} cores"


def _arithmetic() -> str:
    import numpy as np
    import torch

    from collabtheory.transfer import gradient_gram

    rng = np.random.default_rng(0)
    decoder = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Tanh(), torch.nn.Linear(3, 4)).double()
    x, codes = (rng.random((2, 4)) < 0.5).astype(float), rng.standard_normal((2, 1, 2))
    gradients = []
    for contents, code in zip(torch.tensor(x), torch.tensor(codes[:, 0]), strict=True):
        loss = contents.sum() * torch.logsumexp(decoder(code), -1) - decoder(code) @ contents
        gradients.append(torch.cat([part.flatten() for part in torch.autograd.grad(loss, list(decoder.parameters()))]))
    expected = (torch.stack(gradients) @ torch.stack(gradients).T).numpy()
    error = float(np.abs(gradient_gram(decoder, "multinomial", x, codes) - expected).max() / np.abs(expected).max())
    if error > 1e-10:
        raise ArithmeticError(f"the gradient Gram matrix differs from autograd by {error:.1e}")
    return f"gradient Gram matrix equals autograd to {error:.1e}"


def _statements() -> str:
    from collabtheory.claims.discovery import discover

    files = discover()
    return f"{len(files)} statements with {sum(bool(c.control) for f in files for c in f.checks)} negative controls"


def _data_folder() -> str:
    folder = os.environ.get("COLLABTHEORY_DATA")
    if not folder:
        return "COLLABTHEORY_DATA is not set (optional: a folder of data sets, see `collabtheory data list`)"
    if not Path(folder).is_dir():
        raise FileNotFoundError(f"COLLABTHEORY_DATA names {folder}, which is not a folder")
    return f"{folder} with {sum(1 for _ in Path(folder).iterdir())} files"


def _output() -> str:
    with tempfile.NamedTemporaryFile(dir=Path.cwd()):
        return f"{Path.cwd()} can be written"
