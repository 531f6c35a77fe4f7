"""pytest with an emulated GPU: `pytest --tensorrt 10.13 tests/cuda` runs the tests that are marked `emulated`.

Without the option those tests are left out; tests/emulation/test_every_version.py runs them, once per TensorRT.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .versions import MAIN, VERSIONS

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
def emulation(request: pytest.FixtureRequest) -> Iterator[Emulation]:  # type: ignore[name-defined]  # noqa: F821
    """The emulated GPU and TensorRT, as new; the test fails if the stand-ins were used in a way that they refuse."""
    loaded = request.config.stash[_LOADED]
    loaded.reset()
    yield loaded
    failures = list(loaded.world.failures)
    loaded.reset()
    assert not failures, "\n".join(failures)


_LOADED: pytest.StashKey = pytest.StashKey()
