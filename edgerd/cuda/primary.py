"""The primary context of a GPU, as one thread enters and leaves it.

It is retained once per thread and kept until the process ends, as CUDA's own runtime does. What TensorRT and ONNX
Runtime hold on the GPU is freed whenever Python comes to it, perhaps after the engine is closed, and must find its
context there; and pycuda's release would leave the context current (`cuDevicePrimaryCtxRelease` pops nothing).
"""

from __future__ import annotations

import threading
from typing import Any


class PrimaryContext:
    """Entered as often as it is left: those who share it in a thread may close in any order."""

    def __init__(self, cuda: Any, number: int) -> None:
        self._cuda = cuda
        self._context: Any = cuda.Device(number).retain_primary_context()
        self._n_entered = 0

    def enter(self) -> None:
        """Make it current.

        Raises:
            pycuda.driver.Error: The driver refuses.
        """
        self._context.push()
        self._n_entered += 1

    def leave(self) -> None:
        """Undo one `enter`; nothing after `abandon`.

        Raises:
            pycuda.driver.Error: The driver refuses.
        """
        if self._n_entered:
            self._n_entered -= 1
            self._context.pop()

    def abandon(self) -> None:
        """Give it up for lost.

        A lost context cannot be made current again, and pycuda would end the process over that when it frees what is
        left (a traceback may hold a stream until the end). Of a detached context it frees nothing.

        Raises:
            pycuda.driver.Error: The context below it cannot be made current.
        """
        self._n_entered = 0
        _THREAD.forget(self)
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


def primary_context(cuda: Any, number: int) -> PrimaryContext:
    """This thread's, of a GPU.

    Args:
        cuda: The module `pycuda.driver`.
        number: Of the GPU.

    Raises:
        pycuda.driver.Error: The driver refuses.
    """
    if number not in _THREAD.held:
        _THREAD.held[number] = _UntilThreadEnds(PrimaryContext(cuda, number))
    return _THREAD.held[number].primary


class _UntilThreadEnds:
    """Leaves a context when its thread ends: pycuda aborts the process over one that is current then."""

    def __init__(self, primary: PrimaryContext) -> None:
        self.primary = primary

    def __del__(self) -> None:
        self.primary.leave_at_last()


class _Thread(threading.local):
    """The contexts of a thread, by the number of the GPU."""

    def __init__(self) -> None:
        self.held: dict[int, _UntilThreadEnds] = {}

    def forget(self, primary: PrimaryContext) -> None:
        self.held = {number: held for number, held in self.held.items() if held.primary is not primary}


_THREAD = _Thread()
