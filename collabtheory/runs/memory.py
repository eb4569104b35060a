"""How much memory a process may take, and how large the blocks of its loops may be then.

The bound comes from ``--memory``, which reaches worker processes through :data:`VARIABLE`; without it, a quarter of
what is free. Loops over users ask :func:`rows_within` for their block size. Results do not depend on it.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path

from collabtheory.errors import InvalidInput

VARIABLE = "COLLABTHEORY_MEMORY"
"""Environment variable with the bound of one process, in bytes or as in :func:`parse_size`."""
SHARE = 4
"""Without a bound, this part of the free memory is used: one fourth."""
MEBIBYTE = 1 << 20
_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT]?)(?:i?B)?", re.IGNORECASE | re.ASCII)
_CGROUP = Path("/sys/fs/cgroup")
_MEMINFO = Path("/proc/meminfo")


def parse_size(text: str) -> int:
    """Return a number of bytes written as ``2G``, ``512M``, ``1.5GiB`` or plain bytes; units are powers of 1024.

    Raises
    ------
    InvalidInput
        If it is none of these, or less than a mebibyte.

    Examples
    --------
    >>> parse_size("2G"), parse_size("1.5 MiB"), parse_size("2000000")
    (2147483648, 1572864, 2000000)
    """
    match = _SIZE.fullmatch(text.strip())
    size = int(float(match[1]) * _UNITS[match[2].upper()]) if match else 0
    if size < MEBIBYTE:
        raise InvalidInput(f"memory must be a size of at least 1M, such as 512M or 2G; it is {text!r}")
    return size


def free_bytes() -> int:
    """Return the bytes that can still be had: of the machine, and of the control group this process runs in.

    Raises
    ------
    InvalidInput
        Where the system does not say; ``--memory`` then has to.
    """
    lines = _MEMINFO.read_text(encoding="ascii").splitlines() if _MEMINFO.is_file() else []
    sizes = [int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvailable:")]
    limit, used = (_CGROUP / name for name in ("memory.max", "memory.current"))
    if limit.is_file() and used.is_file() and (most := limit.read_text(encoding="ascii").strip()) != "max":
        sizes.append(max(0, int(most) - int(used.read_text(encoding="ascii"))))
    if not sizes:
        raise InvalidInput("this system does not say how much memory is free; give --memory, such as --memory 2G")
    return min(sizes)


def budget(option: str | None = None) -> int:
    """Return the bytes that this process may take: the option's, else the environment's, else a quarter of the free.

    Raises
    ------
    InvalidInput
        As :func:`parse_size` and :func:`free_bytes`.
    """
    given = option or os.environ.get(VARIABLE)
    return parse_size(given) if given else free_bytes() // SHARE


@contextlib.contextmanager
def shared_budget(option: str | None, processes: int = 1) -> Iterator[int]:
    """Divide ``--memory`` among processes of this machine while the block runs, and yield the share of each.

    Children inherit it through the environment. Without an option it is fixed at the start, so that workers that start
    at different times have the same.
    """
    before = os.environ.get(VARIABLE)
    share = max(budget(option) // processes, MEBIBYTE)
    os.environ[VARIABLE] = str(share)
    try:
        yield share
    finally:
        if before is None:
            del os.environ[VARIABLE]
        else:
            os.environ[VARIABLE] = before


def rows_within(row_bytes: int, *, fixed: int = 0, most: int, least: int = 1, what: str = "this") -> int:
    """Return how many rows a block may have: as many as fit beside ``fixed`` bytes, at most ``most``.

    Parameters
    ----------
    row_bytes
        What each row of a block needs.
    fixed
        What the loop needs whatever its blocks are.
    most, least
        Blocks beyond ``most`` rows gain nothing; below ``least`` they are refused.
    what
        The work, as the error names it.

    Raises
    ------
    InvalidInput
        If fewer than ``least`` rows fit.

    Examples
    --------
    >>> rows_within(1 << 20, most=256)
    256
    """
    bound = budget()
    rows = (bound - fixed) // max(1, row_bytes)
    if rows < least:
        needed = fixed + least * row_bytes
        raise InvalidInput(f"{what} needs {megabytes(needed)} and may take {megabytes(bound)}; raise --memory")
    return int(min(rows, most))


def megabytes(size: float) -> str:
    """Return a size for people.

    Examples
    --------
    >>> megabytes(3 << 20), megabytes(5 << 30)
    ('3 MiB', '5,120 MiB')
    """
    return f"{-(-int(size) // MEBIBYTE):,} MiB"


def resident_bytes() -> int:
    """Return what this process holds now (0 where the system does not say)."""
    status = Path("/proc/self/statm")
    if not status.is_file():
        return 0
    return int(status.read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
