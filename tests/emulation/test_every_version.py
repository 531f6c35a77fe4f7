"""Runs every test that is marked `emulated`, in a process of its own for each TensorRT."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from emulation.install import InstallError, install
from emulation.versions import VERSIONS

TESTS = Path(__file__).parents[1]


@pytest.fixture(scope="module", autouse=True)
def installed():
    """What the emulation runs on; where it cannot be had, CI fails and a person's run skips."""
    try:
        install()
    except InstallError as error:
        if os.environ.get("CI"):
            pytest.fail(f"CI must run these tests, but: {error}")
        pytest.skip(f"the emulated GPU cannot be installed: {error}")


@pytest.mark.timeout(900)
@pytest.mark.parametrize("version", VERSIONS)
def test_tensorrt(version, made_once, bundle, edge_bundle, tmp_path):  # bundles: so that they are in `made_once`
    files = [str(file) for file in sorted(TESTS.rglob("test_*.py")) if "mark.emulated" in file.read_text("utf-8")]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--tensorrt", version]
    command += ["--basetemp", str(tmp_path / "inner"), "--made", str(made_once), *files]
    ended = subprocess.run(command, cwd=TESTS.parent, capture_output=True, text=True, timeout=800)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    last = ended.stdout.strip().splitlines()[-1]
    assert re.search(r"[1-9]\d* passed", last), ended.stdout
    if os.environ.get("CI"):
        assert "skipped" not in last, f"CI must run these tests, but skipped some:\n{ended.stdout}"
