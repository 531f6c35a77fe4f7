"""Tests that need a service may be skipped, but not in CI once what they need is installed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
SKIPPED = """
import pytest

@pytest.mark.{mark}
def test_it():
    pytest.skip("no broker found")
"""


@pytest.mark.parametrize(
    ("ci", "state", "mark", "outcome"),
    [
        ("true", "installed", "service", "1 failed"),
        ("true", "not-installed", "service", "1 skipped"),
        ("true", "installed", "slow", "1 skipped"),
        ("", "installed", "service", "1 skipped"),
    ],
)
def test_a_test_that_skips_itself(tmp_path: Path, ci: str, state: str, mark: str, outcome: str) -> None:
    (tmp_path / "test_one.py").write_text(SKIPPED.format(mark=mark))
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers =\n  service\n  slow\n")
    query = tmp_path / "dpkg-query"
    query.write_text(f"#!/bin/sh\necho {state}\n")
    query.chmod(0o755)
    environment = {**os.environ, "CI": ci, "PATH": f"{tmp_path}:{os.environ['PATH']}", "PYTHONPATH": str(TESTS)}
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-rs", "-p", "services_in_ci", "-p", "no:cacheprovider", tmp_path],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert outcome in ended.stdout, ended.stdout + ended.stderr
    assert "no broker found" in ended.stdout
