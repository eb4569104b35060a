"""The page does what it shows, and its table names every check."""

import doctest
import re
from pathlib import Path

from collabtheory.conformance import CHECKS

PAGE = Path(__file__).parents[2] / "docs" / "check_vae.md"


def test_python_on_the_page_does_what_it_shows():
    failed, tried = doctest.testfile(str(PAGE), module_relative=False, optionflags=doctest.ELLIPSIS)
    assert tried > 10
    assert failed == 0


def test_table_of_the_page_names_every_check_once_in_order():
    assert re.findall(r"^\| `(\w+)`", PAGE.read_text("utf-8"), re.MULTILINE) == list(CHECKS)


def test_code_that_is_not_run_on_the_page_is_python():
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    unrun = [block for block in blocks if ">>>" not in block]
    assert len(unrun) == 2
    for block in unrun:
        compile(block, "page", "exec")
