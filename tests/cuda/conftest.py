"""Fixtures that open the emulated GPU."""

import pytest


@pytest.fixture
def driver(emulation):
    """The emulated driver, whose log a test can read, and whose calls it can let fail."""
    return emulation.driver


@pytest.fixture
def gpu(driver, shared_cache):
    """Opens the GPU: each call of `gpu()` is a `Context()`, which is closed at the end of the test."""
    from edgerd.cuda.context import Context

    opened = []

    def open_():
        opened.append(Context())
        return opened[-1]

    yield open_
    for context in reversed(opened):
        context.close()
