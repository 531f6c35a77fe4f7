"""Snapshots of lines, for tests of what reads them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from edgerd.line.statistics import RunStatistics
from edgerd.monitor.snapshot import CameraSnapshot, CameraState, LineSnapshot
from edgerd.types import Inspection, Verdict


def statistics(*verdicts: Verdict, frame_ms: float = 8.0, capture_to_verdict_ms: float = 12.0) -> RunStatistics:
    """Of a run with a frame for each verdict."""
    counted = RunStatistics()
    for verdict in verdicts:
        score = None if verdict is Verdict.NO_DECISION else 0.1
        counted.count(Inspection(verdict, score, 0.5, frame_ms=frame_ms), capture_to_verdict_ms)
    return counted


def camera(
    name: str = "left",
    state: CameraState = CameraState.RUNNING,
    verdicts: Sequence[Verdict] = (Verdict.OK, Verdict.OK, Verdict.NG, Verdict.NO_DECISION),
) -> CameraSnapshot:
    counted = statistics(*verdicts)
    counted.dropped, counted.alerts, counted.held_back = 3, 1, 2
    counted.last_captured_monotonic_s = time.monotonic() - 1 if verdicts else None
    return CameraSnapshot.of(name, state, counted)


def line(**changes: Any) -> LineSnapshot:
    """A healthy line of one camera, with these attributes changed."""
    attributes: dict[str, Any] = {
        "cameras": (camera(),),
        "sinks": (),
        "version": "1.2.3",
        "started_at": 1_800_000_000.0,
        "last_turn_monotonic_s": time.monotonic(),
        "is_warm": True,
        "bundles": ("b" * 64,),
        "engines": ("onnxruntime fp32 on a CPU",),
        "disk_free_bytes": 5_000_000,
    }
    return LineSnapshot(**attributes | changes)
