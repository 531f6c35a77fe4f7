"""The emulated GPU, opened."""

import pytest


@pytest.fixture
def driver(emulation):
    """The emulated driver: its log, and what a test can do to it."""
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
