"""pytest with an emulated GPU: `pytest --tensorrt 10.13 tests/cuda` runs the tests that are marked `emulated`.

Without the option those tests are left out; tests/emulation/test_every_version.py runs them, once per TensorRT.
"""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import pytest

from .versions import MAIN, VERSIONS

if TYPE_CHECKING:
    from .loading import Emulation

TESTS = Path(__file__).parents[1]
MARK = "emulated(once): runs over the emulated GPU, for each TensorRT; with once=True only for one of them"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--tensorrt", choices=sorted(VERSIONS), help="run the tests marked `emulated` with this TensorRT")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", MARK)
    version = config.getoption("--tensorrt")
    if version:
        from .install import InstallError, install
        from .loading import load

        try:
            config.stash[_LOADED] = load(version, install())
        except InstallError as error:
            raise pytest.UsageError(f"the emulated GPU cannot be installed: {error}") from error


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    version = config.getoption("--tensorrt")
    wanted = [item for item in items if _belongs(item, version)]
    config.hook.pytest_deselected(items=[item for item in items if item not in wanted])
    items[:] = wanted


def _belongs(item: pytest.Item, version: str | None) -> bool:
    mark = item.get_closest_marker("emulated")
    if mark is None or version is None:
        return (mark is None) == (version is None)
    return version == MAIN or not mark.kwargs.get("once")


@pytest.fixture
def emulation(request: pytest.FixtureRequest) -> Iterator[Emulation]:
    """The emulated GPU and TensorRT, as new; the test fails if the stand-ins were used in a way that they refuse."""
    loaded = request.config.stash[_LOADED]
    loaded.reset()
    yield loaded
    failures = list(loaded.world.failures)
    loaded.reset()
    assert not failures, "\n".join(failures)


@pytest.fixture
def trt(emulation: Emulation) -> ModuleType:
    """The real bindings."""
    return emulation.trt


@pytest.fixture
def cuda(emulation: Emulation) -> Iterator[ModuleType]:
    """`pycuda.driver`, with the primary context of the device on this thread."""
    import pycuda.driver as cuda

    cuda.init()
    context = cuda.Device(0).retain_primary_context()
    context.push()
    yield cuda
    context.pop()


@pytest.fixture
def emulated_python(emulation: Emulation) -> Callable[[str], subprocess.CompletedProcess[str]]:
    """Runs a program in a process of its own, over the same emulation, its variable `emulation`."""
    start = (
        "from emulation.install import install\n"
        "from emulation.loading import load\n"
        f"emulation = load({emulation.version.name!r}, install())\n"
    )

    def run(program: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", start + textwrap.dedent(program)]
        environment = os.environ | {"PYTHONPATH": str(TESTS)}
        return subprocess.run(
            command, cwd=TESTS.parent, env=environment, capture_output=True, text=True, timeout=60, check=False
        )

    return run


# the user's cache: compiled kernels, engines, timings


@pytest.fixture(scope="session")
def _cache_of_all(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def shared_cache(_cache_of_all: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of all tests together, so that kernels are compiled once; edgerd's folder in it."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(_cache_of_all))
    return _cache_of_all / "edgerd"


@pytest.fixture
def private_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of this test's own, empty; edgerd's folder in it."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "edgerd"


_LOADED: pytest.StashKey[Emulation] = pytest.StashKey()
