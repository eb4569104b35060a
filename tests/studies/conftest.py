"""Makes the made-up study importable by the tests of this folder."""

import importlib.util
import sys
from pathlib import Path

_specification = importlib.util.spec_from_file_location("synthetic_study", Path(__file__).parent / "synthetic_study.py")
_module = importlib.util.module_from_spec(_specification)
sys.modules.setdefault("synthetic_study", _module)
_specification.loader.exec_module(_module)
