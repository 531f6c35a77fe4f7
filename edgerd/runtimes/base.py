"""What every runtime stands on: public methods that check and translate errors, and hooks that do the work.

As in Polygraphy, what callers call is written once, here: it refuses what does not fit, turns what a library raises
into an error of ours, and hands over to a method whose name begins with an underscore. A runtime writes only those.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple

from edgerd.bundle.manifest import EngineKey
from edgerd.runtimes.interface import check_frames, check_precision, closed, library_errors, thread_count
from edgerd.runtimes.protocol import Engine, Maps, Probe
from edgerd.types import UInt8Array


class Place(NamedTuple):
    """Where an engine that is built here and now will run: the part of its key that the machine decides."""

    runtime_version: str
    device: str
    """Name of the GPU or CPU."""
    features: tuple[str, ...]
    """CPU features or compute capability that compiled code may use, sorted."""


class BaseRuntime(ABC):
    """The public methods of a runtime (`edgerd.runtimes.protocol.Runtime`), over hooks that each runtime writes."""

    name: str
    """The key in `edgerd.runtimes.RUNTIMES`."""
    library: str
    """What messages call it: "ONNX Runtime"."""

    @abstractmethod
    def probe(self) -> Probe:
        """What this machine offers; never raises, and imports the library only where it is installed."""

    def key(self, precision: str, graph_sha256: str) -> EngineKey:
        """Where an engine that is built here and now will run.

        Args:
            precision: One of `probe().precisions`.
            graph_sha256: Hash of the graph that it is compiled from.

        Raises:
            MissingDependencyError: The runtime is not installed.
        """
        place = self._place()
        return EngineKey(runtime=self.name, precision=precision, graph_sha256=graph_sha256, **place._asdict())

    def build(self, graph: bytes, precision: str) -> dict[str, bytes]:
        """Compile a graph; returns the files to keep in the bundle, name to content (names without a folder).

        Args:
            graph: The fused graph, ONNX; for "int8" the Q/DQ graph of `probe().int8_flavour`.
            precision: One of `probe().precisions`.

        Raises:
            MissingDependencyError: The runtime is not installed.
            InputError: It cannot run that precision here.
            BundleDamagedError: It cannot read the graph.
            DeviceError: The library, or the device, refused to build.
        """
        self._check_wanted(precision)
        with library_errors(self.library, "build the engine"):
            return self._build(graph, precision)

    def load(self, graph: bytes, key: EngineKey, files: Mapping[str, bytes], *, threads: int = 0) -> Engine:
        """Open an engine.

        Args:
            graph: The graph that `build` was given.
            key: What `key` gave when the engine was built.
            files: What `build` returned; empty to compile from the graph now.
            threads: CPU threads to use; 0 for all the cores this process may use.

        Raises:
            MissingDependencyError: The runtime is not installed.
            InputError: It cannot run the key's precision here, or the number of threads is negative.
            BundleDamagedError: It cannot read the graph or the files.
            DeviceError: The library, or the device, refused to load the engine.
        """
        threads = thread_count(threads)
        check_precision(self.name, self.probe(), key.precision)
        with library_errors(self.library, "load the engine"):
            return self._load(graph, key, files, threads)

    def _check_wanted(self, precision: str) -> None:
        """Refuse to build what cannot be built here; a runtime with options of its own checks those too."""
        check_precision(self.name, self.probe(), precision)

    @abstractmethod
    def _place(self) -> Place:
        """Where engines run that are built here and now.

        Raises:
            MissingDependencyError: The runtime is not installed.
        """

    @abstractmethod
    def _build(self, graph: bytes, precision: str) -> dict[str, bytes]:
        """Compile a graph for a precision that was checked; RuntimeError and MemoryError are translated."""

    @abstractmethod
    def _load(self, graph: bytes, key: EngineKey, files: Mapping[str, bytes], threads: int) -> Engine:
        """Open an engine with 1 or more threads; RuntimeError and MemoryError are translated."""


class BaseEngine(ABC):
    """The public methods of an engine (`edgerd.runtimes.protocol.Engine`), over hooks that each runtime writes.

    Attributes:
        key: What it was opened under.
        threads: CPU threads that it computes with.
        size: Height and width of the frames it takes, px; None where it takes any.
        is_closed: Whether `close` was called.
    """

    library: str
    """What messages call the runtime: "ONNX Runtime"."""

    def __init__(self, key: EngineKey, threads: int, size: tuple[int, int] | None) -> None:
        self.key = key
        self.threads = threads
        self.size = size
        self.is_closed = False
        # Libraries differ in what two threads may do at once: ONNX Runtime runs both, OpenVINO raises "Infer Request is
        # busy", buffers of ours would be overwritten. With a lock every runtime does the same: the second one waits.
        self._one_at_a_time = threading.Lock()

    def infer(self, frames: UInt8Array) -> Maps:
        """Run a batch; a call from another thread waits until the one that is under way has ended.

        Args:
            frames: uint8 (N, H, W, 3), BGR, C-contiguous, at the graph's size.

        Raises:
            InputError: The array has another shape or dtype.
            DeviceError: The library, or the device that it runs on, refused to run; no error of the library's own
                leaves this method.
            EdgerdError: The engine is closed.
        """
        with self._one_at_a_time:
            if self.is_closed:
                raise closed()
            check_frames(frames, self.size)
            with library_errors(self.library, "run"), self._errors():
                return self._infer(frames)

    def close(self) -> None:
        """Free what the engine holds, once a run that is under way has ended; safe to call twice."""
        with self._one_at_a_time:
            if not self.is_closed:
                self._close()
                self.is_closed = True

    def _errors(self) -> AbstractContextManager[None]:
        """Translates exceptions of the library's own; RuntimeError and MemoryError are translated in any case."""
        return nullcontext()

    @abstractmethod
    def _infer(self, frames: UInt8Array) -> Maps:
        """Run a batch that was checked; the result's arrays belong to the caller."""

    @abstractmethod
    def _close(self) -> None:
        """Free everything; called again only where it raised."""
