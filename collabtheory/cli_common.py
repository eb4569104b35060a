"""What the commands share: options, reading data, and saying things on the right stream."""

from __future__ import annotations

import os
import sys
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from collabtheory.errors import InvalidInput

if TYPE_CHECKING:
    import torch
    from rich.console import Console

    from collabtheory.data import Interactions
    from collabtheory.runs.frozen import Frozen

Spec = TypeVar("Spec", bound="Frozen")

EXIT_CODES = (
    "Exit codes: 0 fine; 1 something violated or contradicted, or a negative control not caught; 2 usage, bad input or "
    "unwritable output; 3 vacuous or inconclusive under --strict; 4 crash, or a check that broke; 5 nothing selected; "
    "130 interrupted."
)


DataOption = Annotated[
    str,
    typer.Option("--data", help="A name (see `data list`) or a file (user,item[,rating[,timestamp]])."),
]
MinRating = Annotated[
    float | None, typer.Option(help="Keep ratings of at least this; default 4, or the data set's own.")
]
MinUserItems = Annotated[int | None, typer.Option(min=0, help="Keep users with at least this many items; default 5.")]
MinItemUsers = Annotated[
    int | None,
    typer.Option(min=0, help="Keep items with at least this many users; default all, or the data set's own."),
]
Duplicates = Annotated[str, typer.Option(help="Repeated (user, item) rows: error, first, last or max.")]
Offline = Annotated[bool, typer.Option("--offline", help="Never download.")]
Device = Annotated[
    str, typer.Option(help="cpu, cuda (a GPU), cuda:N, or auto: cuda where there is one. Last digits depend on it.")
]
Memory = Annotated[
    str | None,
    typer.Option(help="Memory that this run may take, such as 2G; default a quarter of what is free."),
]
ChecksOption = Annotated[
    Path | None, typer.Option("--checks", help="Folder with statements of your own, instead of the built-in ones.")
]


def fail(message: str, code: int) -> None:
    """Print one line and end with an exit code."""
    sys.stderr.write(" ".join(message.split()) + "\n")
    sys.exit(code)


def changed(kind: type[Spec], spec: Spec, **changes: object) -> Spec:
    """Return a specification with the given changes; a bad one names its option."""
    given = {name: value for name, value in changes.items() if value is not None}
    try:
        return kind.model_validate({**spec.model_dump(), **given})
    except ValueError as error:
        first = error.errors()[0]  # type: ignore[attr-defined]
        raise InvalidInput(f"--{'-'.join(map(str, first['loc'])).replace('_', '-')}: {first['msg']}") from error


def load_data(
    data: str,
    min_rating: float | None,
    min_user_items: int | None,
    min_item_users: int | None,
    duplicates: str,
    offline: bool,
) -> Interactions:
    """Read the data that a command was given."""
    from collabtheory.data import load

    return load(
        data,
        min_rating=min_rating,
        min_user_items=min_user_items,
        min_item_users=min_item_users,
        duplicates=duplicates,
        offline=offline,
    )


def share_memory(memory: str | None, jobs: int) -> AbstractContextManager[int]:
    """Divide the memory bound among the worker processes and this one, which takes about as much as one of them."""
    from collabtheory.runs.memory import shared_budget

    return shared_budget(memory, (jobs or os.cpu_count() or 1) + 1)


def describe(console: Console, data: Interactions) -> None:
    """Say on the console what the data are and what the filters did."""
    for step in data.filters:
        console.print(str(step), highlight=False, markup=False)
    console.print(
        f"{data.name}: {data.n_users:,} users x {data.n_items:,} items, {data.n_interactions:,} interactions",
        highlight=False,
        markup=False,
    )


def say_device(console: Console, device: torch.device) -> None:
    """Say on the console where the model is trained or evaluated, whether chosen or found."""
    from collabtheory.models.devices import describe_device

    console.print(f"device: {describe_device(device)}", highlight=False, markup=False)


def plain_name(name: str) -> str:
    """Return a name that is fit for a folder."""
    return "".join(letter if letter.isalnum() or letter in "-_." else "-" for letter in name) or "data"


def stdout() -> Console:
    """Return the console for results."""
    from rich.console import Console

    return Console()


def stderr() -> Console:
    """Return the console for progress."""
    from rich.console import Console

    return Console(stderr=True)
