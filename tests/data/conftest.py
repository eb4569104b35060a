import os
from pathlib import Path

import pytest

SHARED = Path(os.environ.get("COLLABTHEORY_DATA") or Path(__file__).parents[2] / ".." / "shared" / "data")


@pytest.fixture(autouse=True)
def _no_outside_data(monkeypatch, tmp_path):
    """No test sees the user's folders, cache or network settings unless it names them."""
    monkeypatch.delenv("COLLABTHEORY_DATA", raising=False)
    monkeypatch.delenv("COLLABTHEORY_OFFLINE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def real_data():
    if not (SHARED / "ml-100k.csv.gz").is_file():
        pytest.skip(f"no data folder at {SHARED}; set COLLABTHEORY_DATA")
    return SHARED


@pytest.fixture
def write(tmp_path):
    def write(name, content):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write
