"""The tests themselves: pytest takes two files of one name for one module, and refuses to run the second."""

from __future__ import annotations

from collections import Counter
from pathlib import Path


def test_no_two_files_have_one_name() -> None:
    names = Counter(file.name for file in Path(__file__).parent.rglob("*.py"))
    twice = {name for name, count in names.items() if count > 1} - {"conftest.py", "__init__.py"}
    assert not twice
