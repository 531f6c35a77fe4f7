"""A monitor over a line that runs meanwhile, in a thread of its own, as it does in a factory."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from urllib.parse import urlsplit

from prometheus_client.parser import text_string_to_metric_families
from snapshots import line

from edgerd.line.statistics import RunStatistics
from edgerd.monitor import LineSnapshot, open_monitor
from edgerd.monitor.server import Monitor
from edgerd.monitor.snapshot import CameraSnapshot, CameraState
from edgerd.types import Inspection, Verdict


class FakeLine:
    """Judges one frame after the other, as fast as it can, and says so when it is asked."""

    def __init__(self) -> None:
        self.statistics = RunStatistics()
        self.last_turn_s: float | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def snapshot(self) -> LineSnapshot:
        camera = CameraSnapshot.of("left", CameraState.RUNNING, self.statistics)
        return line(cameras=(camera,), last_turn_monotonic_s=self.last_turn_s)

    @contextmanager
    def running(self) -> Iterator[None]:
        self._thread.start()
        try:
            yield
        finally:
            self._stop.set()
            self._thread.join()

    def _run(self) -> None:
        number = 0
        while not self._stop.is_set():
            verdict = (Verdict.OK, Verdict.NG, Verdict.NO_DECISION)[number % 3]
            self.statistics.count(Inspection(verdict, 0.1, 0.5, frame_ms=1 + number % 20), 2 + number % 20)
            self.statistics.last_captured_monotonic_s = self.last_turn_s = time.monotonic()
            number += 1


def counters(monitor: Monitor) -> dict[tuple[str, str], float]:
    """Everything that may only grow, and the two ends of a histogram."""
    address = urlsplit(monitor.url)
    with closing(HTTPConnection(address.hostname, address.port, timeout=20)) as connection:
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
    return {
        (sample.name, str(sample.labels)): sample.value
        for family in text_string_to_metric_families(text)
        if family.type in ("counter", "histogram")
        for sample in family.samples
    }


def test_counters_only_grow_and_end_where_the_line_ended() -> None:
    fake = FakeLine()
    with open_monitor(fake.snapshot, port=0) as monitor:
        before = counters(monitor)
        with fake.running():
            while before["edgerd_frames_total", "{'camera': 'left', 'verdict': 'NG'}"] < 3000:
                now = counters(monitor)
                assert all(now[name] >= value for name, value in before.items())
                before = now
        end = counters(monitor)
    counted = fake.statistics
    assert counted.frames > 0
    for verdict, n in (("OK", counted.ok), ("NG", counted.ng), ("NO_DECISION", counted.no_decision)):
        assert end["edgerd_frames_total", f"{{'camera': 'left', 'verdict': '{verdict}'}}"] == n
    judged = counted.ok + counted.ng
    assert end["edgerd_frame_seconds_count", "{'camera': 'left'}"] == judged
    assert end["edgerd_frame_seconds_bucket", "{'camera': 'left', 'le': '+Inf'}"] == judged
