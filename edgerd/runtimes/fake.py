"""A runtime that needs no graph, for tests of what stands above the runtimes. Not in the table."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from edgerd.bundle.manifest import EngineKey
from edgerd.errors import InputError
from edgerd.runtimes.interface import closed, thread_count
from edgerd.runtimes.protocol import Maps, Probe
from edgerd.types import UInt8Array

MID_GREY = 128


class FakeEngine:
    """Scores a pixel by how far it is from mid grey, so that a test can paint the map it wants.

    `anomaly_map` is |mean over the channels - 128| / 128, 0 to 1: 0 on a picture of grey level 128, 0.5 on one of 192,
    and 1 only where it is black. `score` is its maximum. Frames of any height and width are taken.

    Attributes:
        key: What it was opened under.
        threads: CPU threads it pretends to use.
        is_closed: Whether `close` was called.
    """

    def __init__(self, key: EngineKey | None = None, threads: int = 1) -> None:
        self.key = key or FakeRuntime().key("fp32", "0" * 64)
        self.threads = threads
        self.is_closed = False

    def infer(self, frames: UInt8Array) -> Maps:
        """See `Engine.infer`."""
        if self.is_closed:
            raise closed()
        if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[3] != 3:
            raise InputError(f"The engine was given {frames.dtype} {frames.shape}.", expected="uint8 (N, H, W, 3)")
        grey = frames.mean(axis=3, dtype=np.float32)
        anomaly_map = np.abs(grey - MID_GREY) / np.float32(MID_GREY)
        return Maps(score=anomaly_map.max(axis=(1, 2)), anomaly_map=anomaly_map)

    def close(self) -> None:
        """See `Engine.close`."""
        self.is_closed = True


class FakeRuntime:
    """Opens `FakeEngine`s, whatever the graph says."""

    name = "fake"

    def probe(self) -> Probe:
        """See `Runtime.probe`."""
        return Probe(version="1", precisions=("fp32", "int8"), int8_flavour="u8s8")

    def key(self, precision: str, graph_sha256: str) -> EngineKey:
        """See `Runtime.key`."""
        return EngineKey(
            runtime=self.name, runtime_version="1", precision=precision, device="fake", graph_sha256=graph_sha256
        )

    def build(self, graph: bytes, precision: str) -> dict[str, bytes]:
        """See `Runtime.build`; gives one file that names the precision."""
        del graph
        return {"fake.bin": precision.encode()}

    def load(self, graph: bytes, key: EngineKey, files: Mapping[str, bytes], *, threads: int = 0) -> FakeEngine:
        """See `Runtime.load`; ignores graph and files."""
        del graph, files
        return FakeEngine(key, thread_count(threads))
