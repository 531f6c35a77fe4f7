"""What is known of a line at one moment: frozen values, made by whoever runs the line, read by the monitor.

Times that end in `monotonic_s` are on `time.monotonic()`'s clock.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from edgerd.line.statistics import GROWTH, LARGEST_MS, SMALLEST_MS, LatencyHistogram, Percentiles, RunStatistics
from edgerd.types import StrEnum, Verdict

STALLED_AFTER_S: Final = 10.0
"""A line whose thread has not finished a turn for so long is stuck: in a driver, in a library, on a device."""

BUCKETS_MS: Final = (1, 2.5, 5, 10, 20, 35, 50, 75, 100, 150, 250, 500, 1000, 2500, 5000)
"""Upper bounds of the buckets in which durations are counted, milliseconds; one without a bound follows."""

_N_BINS = int(math.log(LARGEST_MS / SMALLEST_MS) / math.log(GROWTH)) + 1
_BIN_CENTRES_MS = SMALLEST_MS * np.power(GROWTH, np.arange(_N_BINS) + 0.5)
_BINS_BELOW = np.searchsorted(_BIN_CENTRES_MS, BUCKETS_MS, side="right")
"""For each bucket, how many bins of a `LatencyHistogram` lie below its bound."""


class CameraState(StrEnum):
    """Whether a camera gives frames."""

    STARTING = "starting"
    """It is being opened, and has not given a frame yet."""
    RUNNING = "running"
    LOST = "lost"
    """It gives no more frames, or could not be opened; the line tries to open it again."""
    ENDED = "ended"
    """It has no more frames: the end of a file or a folder."""


@dataclass(frozen=True, slots=True)
class Latencies:
    """Durations so far, in a form that does not grow with their number.

    Attributes:
        percentiles: Their median, 95th and 99th percentile and maximum, milliseconds.
        cumulative: For each bound of `BUCKETS_MS`, how many were not above it, to within 0.5 % of the bound.
        n: How many there were.
        sum_ms: Their sum, milliseconds, to within 0.5 %; it never falls.
    """

    percentiles: Percentiles
    cumulative: tuple[int, ...]
    n: int
    sum_ms: float

    @classmethod
    def of(cls, histogram: LatencyHistogram) -> Latencies:
        """Read a histogram, which its thread may go on filling meanwhile."""
        counts = histogram.counts()
        below = np.concatenate([[0], counts.cumsum()])
        return cls(
            percentiles=histogram.percentiles(),
            cumulative=tuple(below[_BINS_BELOW].tolist()),
            n=int(below[-1]),
            sum_ms=float(counts @ _BIN_CENTRES_MS),
        )


@dataclass(frozen=True, slots=True)
class CameraSnapshot:
    """One camera of a line.

    Attributes:
        name: Its name; no two cameras of a line have the same.
        state: Whether it gives frames.
        ok: Good frames.
        ng: Defective frames.
        no_decision: Frames that could not be judged.
        dropped: Frames that came and went while another was being judged.
        alerts: Alerts raised.
        held_back: Defective frames that belong to no alert, because the alert policy asks for more of them.
        last_frame_monotonic_s: When its newest judged frame was captured; None before the first.
        last_verdict: What was said of that frame; None before the first.
        frame_ms: Frame in memory to verdict, over the frames that were judged.
        capture_to_verdict_ms: Capture of the frame to verdict, over the same frames.
    """

    name: str
    state: CameraState
    ok: int
    ng: int
    no_decision: int
    dropped: int
    alerts: int
    held_back: int
    last_frame_monotonic_s: float | None
    last_verdict: Verdict | None
    frame_ms: Latencies
    capture_to_verdict_ms: Latencies

    @property
    def frames(self) -> int:
        """Frames that were looked at."""
        return self.ok + self.ng + self.no_decision

    @classmethod
    def of(cls, name: str, state: CameraState, statistics: RunStatistics) -> CameraSnapshot:
        """Read what a camera's run has counted; from any thread."""
        return cls(
            name=name,
            state=state,
            ok=statistics.ok,
            ng=statistics.ng,
            no_decision=statistics.no_decision,
            dropped=statistics.dropped,
            alerts=statistics.alerts,
            held_back=statistics.held_back,
            last_frame_monotonic_s=statistics.last_captured_monotonic_s,
            last_verdict=statistics.last_verdict,
            frame_ms=Latencies.of(statistics.frame_ms),
            capture_to_verdict_ms=Latencies.of(statistics.capture_to_verdict_ms),
        )


@dataclass(frozen=True, slots=True)
class SinkSnapshot:
    """One receiver of events.

    Attributes:
        name: Its name; no two sinks of a line have the same.
        waiting: Events in the outbox that it has not taken yet.
        reason: Why it takes none at present, one sentence; empty where it does.
    """

    name: str
    waiting: int
    reason: str = ""


@dataclass(frozen=True, slots=True)
class LineSnapshot:
    """A line at one moment.

    Attributes:
        cameras: Its cameras, in the recipe's order.
        sinks: The receivers of its events.
        version: Version of edgerd.
        started_at: Unix seconds, UTC: when the line was started.
        last_turn_monotonic_s: When the thread that judges last finished a turn of its loop. It makes turns without
            frames too, so that a line whose cameras are silent still turns; None before the first.
        is_warm: Whether every engine is loaded and has run once.
        bundles: Ids of the bundles that judge, 64 hex digits each.
        engines: The engines that judge, each as people call it: "openvino int8 on Intel(R) Xeon(R)".
        disk_free_bytes: Free space where the outbox and the pictures are; None where nothing is written.
        reasons: What else is wrong (device lost, disk full, an outbox that cannot be written), a sentence each.
    """

    cameras: tuple[CameraSnapshot, ...]
    sinks: tuple[SinkSnapshot, ...]
    version: str
    started_at: float
    last_turn_monotonic_s: float | None
    is_warm: bool
    bundles: tuple[str, ...]
    engines: tuple[str, ...]
    disk_free_bytes: int | None = None
    reasons: tuple[str, ...] = ()

    def has_stalled(self, now_monotonic_s: float, after_s: float = STALLED_AFTER_S) -> bool:
        """Whether the thread that judges is stuck: it has made turns, and none for `after_s` seconds."""
        return self.last_turn_monotonic_s is not None and now_monotonic_s - self.last_turn_monotonic_s > after_s

    def unhealthy(self, now_monotonic_s: float) -> tuple[str, ...]:
        """Why somebody should look at the line, a sentence each; empty while it judges all its cameras."""
        return tuple(self._unhealthy(now_monotonic_s))

    def not_ready(self) -> tuple[str, ...]:
        """What the line still waits for, a sentence each; empty once engines are warm and each camera gave a frame."""
        engines = () if self.is_warm else ("The engines are not warm yet.",)
        return engines + tuple(
            f"Camera {camera.name} has not given a frame yet." for camera in self.cameras if not camera.frames
        )

    def _unhealthy(self, now_monotonic_s: float) -> Iterator[str]:
        yield from self.reasons
        turned_s = self.last_turn_monotonic_s
        if turned_s is not None and self.has_stalled(now_monotonic_s):
            yield f"The thread that judges has been stuck for {now_monotonic_s - turned_s:.0f} s."
        for camera in self.cameras:
            if camera.state is CameraState.LOST:
                yield f"Camera {camera.name} is lost."
        for sink in self.sinks:
            if sink.reason:
                yield f"Sink {sink.name} takes no events, {sink.waiting} are waiting: {sink.reason}"
