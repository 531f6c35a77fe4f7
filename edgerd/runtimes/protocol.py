"""What a runtime is: something that makes an engine from a graph and runs it.

As in Polygraphy, a runtime is a loader (`Runtime`: probes the machine, compiles, loads) and a runner (`Engine`). Those
in the table stand on `edgerd.runtimes.base`, which makes the checks and translates the errors that are promised here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from edgerd.bundle.manifest import EngineKey
from edgerd.types import Float32Array, UInt8Array


class Maps(NamedTuple):
    """What the fused graph gives for a batch of N tiles. The arrays belong to the caller."""

    score: Float32Array
    """float32 (N,): maximum of each map, 0 to 6."""
    anomaly_map: Float32Array
    """float32 (N, H, W)."""


@dataclass(frozen=True, slots=True)
class Probe:
    """Whether a runtime can be used on this machine.

    Attributes:
        version: Its version where it is installed, else None.
        precisions: What it can run here, slowest first ("fp32", "bf16", ...); empty where it cannot be used.
        reason: Why it cannot be used, or what is missing for more; empty where all is well.
        fix: What to type to get it, empty where all is well.
        int8_flavour: Which Q/DQ graph "int8" is built from, an entry of `edgerd.precision.flavours.FLAVOURS`; empty
            where there is no "int8".
    """

    version: str | None
    precisions: tuple[str, ...] = ()
    reason: str = ""
    fix: str = ""
    int8_flavour: str = ""

    @property
    def usable(self) -> bool:
        """True where at least one precision runs."""
        return bool(self.precisions)


class Engine(Protocol):
    """A loaded engine.

    Several threads may call it, on every runtime: there is one set of buffers, and a lock lets one run after the other.
    What is on a GPU is closed in the thread that loaded it; a TensorRT engine also runs there only. In another thread
    both are a DeviceError.
    """

    key: EngineKey
    threads: int

    def infer(self, frames: UInt8Array) -> Maps:
        """Run a batch.

        Args:
            frames: uint8 (N, H, W, 3), BGR, C-contiguous, at the graph's size.

        Raises:
            InputError: The array has another shape or dtype.
            DeviceError: The library, or the device that it runs on, refused to run; no error of the library's own
                leaves `infer`.
            EdgerdError: The engine is closed.
        """
        ...

    def close(self) -> None:
        """Free what the engine holds, once a run that is under way has ended; safe to call twice."""
        ...


class Runtime(Protocol):
    """A way to run a graph on this machine."""

    name: str

    def probe(self) -> Probe:
        """What this machine offers; never raises, imports the library only if it is there."""
        ...

    def key(self, precision: str, graph_sha256: str) -> EngineKey:
        """Where an engine that is built here and now will run.

        Args:
            precision: One of `probe().precisions`.
            graph_sha256: Hash of the graph that it is compiled from.

        Raises:
            MissingDependencyError: The runtime is not installed.
        """
        ...

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
        ...

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
        ...
