"""A plugin for pytest: in CI no test marked `service` is skipped where all that such tests need is installed.

Such tests skip themselves where they do not find a program. On a person's machine that is right. In CI it would hide a
test that looks for the program in the wrong place.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Generator
from functools import cache
from pathlib import Path

import pytest

PACKAGES = Path(__file__).with_name("services.apt")
"""Debian's packages, one in a line; `make setup-services` installs them."""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    was_skipped = report.skipped and not hasattr(report, "wasxfail")
    if was_skipped and os.environ.get("CI") and item.get_closest_marker("service") and _is_all_installed():
        reason = report.longrepr[-1] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"CI has all the packages of tests/{PACKAGES.name} and must run this test, but: {reason}"
    return report


@cache
def _is_all_installed() -> bool:
    if not shutil.which("dpkg-query"):
        return False
    command = ["dpkg-query", "--show", "--showformat=${db:Status-Status}\n", *PACKAGES.read_text().split()]
    asked = subprocess.run(command, capture_output=True, text=True, check=False)
    return asked.returncode == 0 and set(asked.stdout.split()) == {"installed"}
