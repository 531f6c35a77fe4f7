"""What a runtime is: something that makes an engine from a graph and runs it.

As in Polygraphy, a runtime is a loader (`Runtime`: probes the machine, compiles, loads) and a runner (`Engine`).
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
    """A loaded engine. Not shared between threads; on a GPU `infer` is called from the thread that loaded it."""

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
        """
        ...

    def close(self) -> None:
        """Free what the engine holds; safe to call twice."""
        ...


class Runtime(Protocol):
    """A way to run a graph on this machine."""

    name: str

    def probe(self) -> Probe:
        """What this machine offers; never raises, imports the library only if it is there."""
        ...

    def key(self, precision: str, graph_sha256: str) -> EngineKey:
        """Where an engine that is built here and now will run.

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
        """
        ...

    def load(self, graph: bytes, key: EngineKey, files: Mapping[str, bytes], *, threads: int = 0) -> Engine:
        """Open an engine.

        Args:
            graph: As for `build`.
            key: As `key` gave it.
            files: What `build` returned; empty to compile from the graph now.
            threads: CPU threads to use; 0 for all the cores this process may use.

        Raises:
            MissingDependencyError: The runtime is not installed.
            BundleDamagedError: It cannot read the graph or the files.
        """
        ...
