"""The options of commands that run tasks: how many at a time, and where."""

from __future__ import annotations

from typing import Annotated

import typer

Jobs = Annotated[
    int,
    typer.Option(
        min=0, help="Worker processes; 0 = one a core (slurm: jobs in the queue, 0 = 100). Results do not depend on it."
    ),
]
EngineName = Annotated[
    str | None,
    typer.Option("--engine", help="Where tasks run: local, dask or slurm. Results do not depend on it."),
]
Scheduler = Annotated[str | None, typer.Option(help="Address of a Dask scheduler; implies --engine dask.")]
EngineOptions = Annotated[
    list[str] | None,
    typer.Option("--engine-option", help="For slurm: key=value, such as slurm_partition=long or timeout_min=60."),
]
