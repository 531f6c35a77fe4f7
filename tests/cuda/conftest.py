"""The emulated GPU, opened."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def _shared_cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def shared_cache(_shared_cache, monkeypatch):
    """A cache of all these tests together, so that kernels are compiled once."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(_shared_cache))


@pytest.fixture
def private_cache(tmp_path, monkeypatch):
    """A cache of this test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def driver(emulation):
    """The emulated driver: its log, and what a test can do to it."""
    return emulation.driver


@pytest.fixture
def gpu(driver, shared_cache):
    """Opens the GPU, `gpu(...)` as `Context(...)`; closed at the end."""
    from edgerd.cuda.context import Context

    opened = []

    def open_(*arguments, **options):
        opened.append(Context(*arguments, **options))
        return opened[-1]

    yield open_
    for context in reversed(opened):
        context.close()


@pytest.fixture
def emulated_python(emulation):
    """Runs a program in a process of its own, over the same emulation; gives what `subprocess.run` gives."""
    start = (
        "from emulation.install import install\n"
        "from emulation.loading import load\n"
        f"emulation = load({emulation.version.name!r}, install())\n"
    )

    def run(program):
        return subprocess.run(
            [sys.executable, "-c", start + textwrap.dedent(program)],
            env=os.environ | {"PYTHONPATH": str(TESTS)},
            capture_output=True,
            text=True,
            timeout=60,
        )

    return run
