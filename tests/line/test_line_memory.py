"""Memory of a run that goes on and on."""

from __future__ import annotations

import gc
import tracemalloc
from pathlib import Path

import pytest
from line_parts import run_camera

from edgerd.cameras.sample import SampleCamera
from edgerd.inspection.inspector import Inspector
from edgerd.line.update import Update
from edgerd.sinks.jsonl import JsonlSink


def test_memory_stays_flat(inspector: Inspector) -> None:
    uri = "sample://ring?size=64&pool=8&defective=0.3"
    used: list[int] = []

    def measure(update: Update) -> None:
        if update.statistics.frames in (200, 1200):
            gc.collect()  # also what the interpreter keeps of freed objects to use again
            used.append(tracemalloc.get_traced_memory()[0])

    tracemalloc.start()
    run_camera(inspector, SampleCamera(uri), max_frames=1200, on_update=measure)
    tracemalloc.stop()
    assert used[1] - used[0] < 20_000


@pytest.mark.slow
def test_memory_stays_flat_over_20_000_frames(inspector: Inspector, tmp_path: Path) -> None:
    resident_kib: list[int] = []

    def measure(update: Update) -> None:
        if update.statistics.frames in (1000, 20_000):
            status = Path("/proc/self/status").read_text()
            resident_kib.append(int(status.split("VmRSS:")[1].split()[0]))

    camera = SampleCamera("sample://ring?size=256&pool=32&defective=0.3")
    sinks = [JsonlSink(tmp_path / "verdicts.jsonl")]
    run_camera(inspector, camera, verdict_sinks=sinks, event_sinks=sinks, max_frames=20_000, on_update=measure)
    assert resident_kib[1] <= 1.02 * resident_kib[0]
