"""A runtime that needs no graph, for tests of what stands above the runtimes. Not in the table."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from edgerd.bundle.manifest import EngineKey
from edgerd.runtimes.base import BaseEngine, BaseRuntime, Place
from edgerd.runtimes.protocol import Maps, Probe
from edgerd.types import UInt8Array

MID_GREY = 128
_LIBRARY = "The fake runtime"


class FakeEngine(BaseEngine):
    """Scores a pixel by how far it is from mid grey, so that a test can paint the map it wants.

    `anomaly_map` is |mean over the channels - 128| / 128, 0 to 1: 0 on a picture of grey level 128, 0.5 on one of 192,
    and 1 only where it is black. `score` is its maximum. Frames of any height and width are taken.
    """

    library = _LIBRARY

    def __init__(self, key: EngineKey | None = None, threads: int = 1) -> None:
        super().__init__(key or FakeRuntime().key("fp32", "0" * 64), threads, None)

    def _infer(self, frames: UInt8Array) -> Maps:
        grey = frames.mean(axis=3, dtype=np.float32)
        anomaly_map = np.abs(grey - MID_GREY) / np.float32(MID_GREY)
        return Maps(score=anomaly_map.max(axis=(1, 2)), anomaly_map=anomaly_map)

    def _close(self) -> None:
        """There is nothing to free."""


class FakeRuntime(BaseRuntime):
    """Opens `FakeEngine`s, whatever the graph says."""

    name = "fake"
    library = _LIBRARY

    def probe(self) -> Probe:
        """It runs everywhere, in FP32 and INT8."""
        return Probe(version="1", precisions=("fp32", "int8"), int8_flavour="u8s8")

    def _place(self) -> Place:
        return Place("1", "fake", ())

    def _build(self, graph: bytes, precision: str) -> dict[str, bytes]:
        """Give one file that names the precision."""
        del graph
        return {"fake.bin": precision.encode()}

    def _load(self, graph: bytes, key: EngineKey, files: Mapping[str, bytes], threads: int) -> FakeEngine:
        del graph, files
        return FakeEngine(key, threads)
