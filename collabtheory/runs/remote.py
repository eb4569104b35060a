"""What makes a worker elsewhere compute as a local one does: the same code, one thread, one task at a time."""

from __future__ import annotations

import os
import platform
import threading
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from collabtheory.errors import InvalidInput
from collabtheory.runs.pool import THREAD_VARIABLES
from collabtheory.runs.task import numerical_versions, source_fingerprint

T = TypeVar("T")

# Precisions of mpmath and Arb are global to a process, so two tasks in two threads would disturb each other.
_one_at_a_time = threading.Lock()


def code_identity() -> dict[str, str]:
    """Return what a worker must have in common with this process: the package's source and versions of libraries."""
    return {"collabtheory (source)": source_fingerprint()[:16], **numerical_versions()}


def run_as_locally(code: Mapping[str, str], function: Callable[..., T], /, *arguments: Any) -> T:
    """Call ``function`` as a worker of the local pool would; the entry point on other machines.

    Parameters
    ----------
    code
        The :func:`code_identity` of the process that asks.
    function, arguments
        What to call.

    Raises
    ------
    InvalidInput
        If this process has other code: its results would be filed under the wrong name.
    """
    _refuse_other_code(code)
    with _one_at_a_time:
        use_one_thread()
        return function(*arguments)


def use_one_thread() -> None:
    """Make all numerical libraries of this process use one thread, those that are loaded and those still to come."""
    import torch
    from threadpoolctl import threadpool_limits

    for variable in THREAD_VARIABLES:
        os.environ[variable] = "1"
    torch.set_num_threads(1)
    threadpool_limits(1)


def _refuse_other_code(expected: Mapping[str, str]) -> None:
    own = code_identity()
    differing = [
        f"{name} {own.get(name)} instead of {wanted}" for name, wanted in expected.items() if own.get(name) != wanted
    ]
    if differing:
        raise InvalidInput(
            f"the worker on {platform.node()} has other code: {', '.join(differing)}; give all workers the same "
            "installation, and start them anew after a change"
        )
