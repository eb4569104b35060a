"""Where numbers come from: versions, revision, machine. Kept beside ``claims.jsonl``, which must not hold them."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path

import collabtheory

PACKAGES = ("torch", "numpy", "scipy", "pandas", "pot", "sympy", "matplotlib")


def provenance() -> dict[str, object]:
    """Return versions of collabtheory, Python and its libraries, the git revision, and the processor."""
    return {
        "collabtheory": collabtheory.__version__,
        "revision": git_revision(),
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in PACKAGES},
        "system": f"{platform.system()} {platform.machine()}",
        "processor": processor(),
        "cores": os.cpu_count(),
        "threads_per_worker": 1,
        "device": "cpu",
    }


def git_revision() -> str | None:
    """Return the revision of the checkout this package runs from (with ``+`` if changed), None outside of one."""
    root = Path(collabtheory.__file__).parent.parent
    if not (root / ".git").exists():
        return None
    try:
        revision = _git(root, "rev-parse", "--short=12", "HEAD")
        return revision + ("+" if _git(root, "status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.SubprocessError):
        return None


def processor() -> str:
    """Return the processor's name as the system gives it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or "unknown"
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown")


def _git(root: Path, *words: str) -> str:
    return subprocess.run(
        ("git", *words), cwd=root, capture_output=True, text=True, check=True, timeout=10
    ).stdout.strip()


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
