import os
from pathlib import Path

import pytest


@pytest.fixture
def real_data():
    folder = Path(os.environ.get("COLLABTHEORY_DATA") or Path(__file__).parents[2] / ".." / "shared" / "data")
    if not (folder / "ml-1m.csv.gz").is_file():
        pytest.skip(f"no data folder at {folder}; set COLLABTHEORY_DATA")
    return folder
