"""Steps that are the same for every frame, captured once as a CUDA graph and replayed with one call.

pycuda has no API for graphs, so this module calls the driver (`edgerd.cuda.driver`) with the handles of pycuda's
streams.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from ctypes import c_void_p
from typing import Any

from edgerd.cuda.context import Context
from edgerd.errors import DeviceLostError, EdgerdError

_THREAD_LOCAL = 1
"""CU_STREAM_CAPTURE_MODE_THREAD_LOCAL: during a capture, unsafe calls are forbidden to this thread, not to all."""


class Step:
    """Work for one stream, replayed as a graph where it can be captured, else enqueued anew each time.

    The work is enqueued once and waited for before it is captured: in their first run, libraries allocate memory and
    choose kernels, which a capture does not allow. A replay has the addresses and sizes of the capture; only the
    content of the memory may change.

    Attributes:
        reason: Why there is no graph; empty where there is one.
    """

    def __init__(self, context: Context, stream: Any, enqueue: Callable[[], None], *, capture: bool = True) -> None:
        """Run the work once, then capture it.

        Args:
            context: The GPU.
            stream: A `pycuda.driver.Stream`, not the default one.
            enqueue: Enqueues the work on that stream, and does nothing else. It is called once here and once more for
                the capture; where there is no graph, also at each `launch`.
            capture: False to enqueue the work each time.

        Raises:
            EdgerdError: The work fails without a capture too, or the GPU is lost.
        """
        self._context = context
        self._stream = stream
        self._enqueue = enqueue
        self._graph: c_void_p | None = None
        self.reason = "" if capture else "not asked for"
        self._run()
        context.synchronise(stream)
        if capture:
            self._try_capture()

    @property
    def is_graph(self) -> bool:
        """Whether the work was captured, so that `launch` is one call of the driver."""
        return self._graph is not None

    def launch(self) -> None:
        """Enqueue the work on the stream.

        Raises:
            DeviceError: The GPU refuses, or is lost.
        """
        if self._graph is None:
            self._run()
        else:
            self._call("cuGraphLaunch", self._graph, self._handle)

    def close(self) -> None:
        """Free the graph; safe to call twice. Nothing may be under way on the stream."""
        graph, self._graph = self._graph, None
        if graph is not None and not self._context.is_lost:
            self._call("cuGraphExecDestroy", graph)

    @property
    def _handle(self) -> c_void_p:
        return c_void_p(self._stream.handle)

    def _run(self) -> None:
        with self._context.errors():
            self._enqueue()

    def _try_capture(self) -> None:
        try:
            self._graph = self._captured()
        except DeviceLostError:
            raise
        except EdgerdError as error:
            self.reason = error.what
            # what was enqueued during the capture did not run; if the stream is broken, this raises
            self._context.synchronise(self._stream)

    def _captured(self) -> c_void_p:
        graph, executable = c_void_p(), c_void_p()
        self._call("cuStreamBeginCapture_v2", self._handle, _THREAD_LOCAL)
        try:
            self._run()
        except BaseException:
            # where the work broke the capture, this call fails, but it ends the capture all the same
            self._library.cuStreamEndCapture(self._handle, ctypes.byref(graph))
            self._destroy(graph)
            raise
        self._call("cuStreamEndCapture", self._handle, ctypes.byref(graph))
        try:
            self._call("cuGraphInstantiateWithFlags", ctypes.byref(executable), graph, 0)
        finally:
            self._destroy(graph)
        return executable

    def _destroy(self, graph: c_void_p) -> None:
        if graph:
            self._library.cuGraphDestroy(graph)

    @property
    def _library(self) -> Any:
        return self._context.driver.library

    def _call(self, name: str, *arguments: Any) -> None:
        self._context.check(getattr(self._library, name)(*arguments), name)
