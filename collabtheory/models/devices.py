"""Where the tensors of a training live: the processor, or a graphics processor that torch can use through CUDA."""

from __future__ import annotations

import torch
from torch import Tensor

from collabtheory.errors import InvalidInput

CPU = torch.device("cpu")
CHOICES = "cpu, cuda, cuda:N or auto"


def find_device(name: str | torch.device) -> torch.device:
    """Return the device of that name, once it is known to be there.

    Parameters
    ----------
    name
        ``cpu``; ``cuda``, the first GPU; ``cuda:N``, another one (from 0); ``auto``, ``cuda`` where torch finds a GPU
        and ``cpu`` elsewhere. What was found is in the result: nothing is chosen without saying so.

    Returns
    -------
    torch.device
        Either ``cpu``, or a GPU with its number.

    Raises
    ------
    InvalidInput
        If there is no device of that name here, or none is called so.

    Examples
    --------
    >>> find_device("cpu")
    device(type='cpu')
    """
    wanted = str(name)
    there = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if wanted == "cpu" or (wanted == "auto" and there == 0):
        return CPU
    if wanted in ("auto", "cuda"):
        wanted = "cuda:0"
    kind, _, number = wanted.partition(":")
    if kind != "cuda" or not number.isdecimal():
        raise InvalidInput(f"unknown device {str(name)!r}; choose one of {CHOICES}")
    if int(number) >= there:
        raise InvalidInput(f"device {str(name)!r} is not there: {_what_is_there(there)}; cpu always is")
    return torch.device("cuda", int(number))


def send(values: Tensor, device: torch.device) -> Tensor:
    """Return a CPU tensor's values on a device (itself, if that is the CPU) without waiting for what the device does.

    Safe for ordinary memory: CUDA has its own copy of it before the call returns.
    """
    return values.to(device, non_blocking=True)


def describe_device(device: torch.device) -> str:
    """Return the name of a device, with that of the hardware where it is a GPU."""
    return str(device) if device.type != "cuda" else f"{device} ({torch.cuda.get_device_name(device)})"


def _what_is_there(gpus: int) -> str:
    if gpus:
        return f"torch finds {gpus} GPU(s), numbered from 0"
    built_for = torch.version.cuda
    return f"torch finds no GPU (it was built {f'for CUDA {built_for}' if built_for else 'without CUDA'})"
