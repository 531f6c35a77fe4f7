"""The primary context of the GPU, as one thread enters and leaves it.

Each thread retains it once and keeps it until the process ends, as CUDA's own runtime does. For Python may free what
TensorRT and ONNX Runtime hold on the GPU only after the engine is closed, and that needs the context. Besides, pycuda's
release would leave the context current (`cuDevicePrimaryCtxRelease` pops nothing).
"""

from __future__ import annotations

import threading
from typing import Any, Final

DEVICE_NUMBER: Final = 0
"""Number of the GPU that is used, among those that CUDA sees."""


class PrimaryContext:
    """The context of a thread. Its users enter and leave it once each, and may leave in any order."""

    def __init__(self, cuda: Any) -> None:
        self._cuda = cuda
        self._context: Any = cuda.Device(DEVICE_NUMBER).retain_primary_context()
        self._n_entered = 0

    def enter(self) -> None:
        """Make the context current in this thread.

        Raises:
            pycuda.driver.Error: The driver refuses.
        """
        self._context.push()
        self._n_entered += 1

    def leave(self) -> None:
        """Undo one `enter`; does nothing after `abandon`.

        Raises:
            pycuda.driver.Error: The driver refuses.
        """
        if self._n_entered:
            self._n_entered -= 1
            self._context.pop()

    def abandon(self) -> None:
        """Detach from a context whose GPU is lost.

        Such a context cannot be made current again. pycuda would abort the process over that when it frees what is left
        (a traceback may hold a stream until the end); it does not free what belongs to a detached context.

        Raises:
            pycuda.driver.Error: The context below it on the stack cannot be made current.
        """
        self._n_entered = 0
        if _THREAD.held is not None and _THREAD.held.primary is self:  # the last user may be freed in another thread
            _THREAD.held = None
        if self._context is not None:
            context, self._context = self._context, None
            context.detach()

    def leave_at_last(self) -> None:
        """Undo every `enter`, even where the GPU is lost."""
        try:
            while self._n_entered:
                self.leave()
        except self._cuda.Error:
            self.abandon()


def primary_context(cuda: Any) -> PrimaryContext:
    """The primary context as this thread uses it; retained at the first call.

    Args:
        cuda: The module `pycuda.driver`.

    Raises:
        pycuda.driver.Error: The driver refuses.
    """
    if _THREAD.held is None:
        _THREAD.held = _UntilThreadEnds(PrimaryContext(cuda))
    return _THREAD.held.primary


class _UntilThreadEnds:
    """Leaves a context when its thread ends: pycuda aborts the process if a context is current then."""

    def __init__(self, primary: PrimaryContext) -> None:
        self.primary = primary

    def __del__(self) -> None:
        self.primary.leave_at_last()


class _Thread(threading.local):
    """The context of the current thread, once it has one."""

    held: _UntilThreadEnds | None = None


_THREAD = _Thread()
