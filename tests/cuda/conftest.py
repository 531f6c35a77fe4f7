"""The emulated GPU, opened."""

import pytest


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
