"""Choosing an engine by name: worker processes of this machine, a Dask cluster, or Slurm."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from collabtheory.errors import InvalidInput
from collabtheory.runs.pool import Pool

if TYPE_CHECKING:
    from collabtheory.runs.dask_engine import DaskEngine
    from collabtheory.runs.slurm_engine import SlurmEngine

ENGINES = {"local": (), "dask": ("distributed", "threadpoolctl"), "slurm": ("submitit", "threadpoolctl")}
"""By name, the modules that it needs besides those of every installation."""


def open_engine(
    name: str | None = None,
    *,
    jobs: int = 0,
    scheduler: str | None = None,
    options: Sequence[str] = (),
    folder: Path = Path("runs"),
) -> Pool | DaskEngine | SlurmEngine:
    """Return an engine, to be used in a ``with`` statement.

    Parameters
    ----------
    name
        ``local``, ``dask`` or ``slurm``; if None, ``dask`` where a scheduler is given and ``local`` elsewhere.
    jobs
        Worker processes (``local``; 0 = one a core), or most jobs in the queue (``slurm``; 0 = 100). A Dask cluster
        has the workers that it has.
    scheduler
        Address of a Dask scheduler.
    options
        For Slurm, ``key=value``: parameters of submitit.
    folder
        Where Slurm's job files and logs go, into ``.slurm``.

    Raises
    ------
    InvalidInput
        If there is no such engine, its packages are not installed, or an option does not belong to it.

    Examples
    --------
    >>> with open_engine("local", jobs=1) as engine:
    ...     engine.submit(divmod, 7, 2).result()
    (3, 1)
    >>> open_engine("cloud")
    Traceback (most recent call last):
    ...
    collabtheory.errors.InvalidInput: engine must be one of local, dask, slurm; it is 'cloud'
    """
    name = name or ("dask" if scheduler else "local")
    _check(name, scheduler, options)
    if name == "dask":
        from collabtheory.runs.dask_engine import DaskEngine

        return DaskEngine(str(scheduler))
    if name == "slurm":
        from collabtheory.runs.slurm_engine import JOBS, SlurmEngine

        return SlurmEngine(folder.absolute() / ".slurm", jobs=jobs or JOBS, options=parse_options(options))
    return Pool(jobs or os.cpu_count() or 1)


def parse_options(options: Sequence[str]) -> dict[str, object]:
    """Return ``key=value`` words as a dictionary; numbers become numbers.

    Examples
    --------
    >>> parse_options(["slurm_partition=long", "timeout_min=90", "mem_gb=1.5"])
    {'slurm_partition': 'long', 'timeout_min': 90, 'mem_gb': 1.5}
    """
    parsed: dict[str, object] = {}
    for option in options:
        key, equals, value = option.partition("=")
        if not key or not equals:
            raise InvalidInput(f"--engine-option must be key=value; it is {option!r}")
        parsed[key] = _number_or_text(value)
    return parsed


def _number_or_text(value: str) -> object:
    for kind in (int, float):
        try:
            return kind(value)
        except ValueError:
            continue
    return value


def _check(name: str, scheduler: str | None, options: Sequence[str]) -> None:
    if name not in ENGINES:
        raise InvalidInput(f"engine must be one of {', '.join(ENGINES)}; it is {name!r}")
    if (name == "dask") != bool(scheduler):
        raise InvalidInput(
            "engine dask needs the address of its scheduler (--scheduler)"
            if name == "dask"
            else f"a scheduler belongs to engine dask, and the engine is {name}"
        )
    if options and name != "slurm":
        raise InvalidInput(f"engine options belong to engine slurm, and the engine is {name}")
    missing = [module for module in ENGINES[name] if importlib.util.find_spec(module) is None]
    if missing:
        raise InvalidInput(f"engine {name} needs {' and '.join(missing)}: pip install 'collabtheory[cluster]'")
