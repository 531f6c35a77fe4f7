"""Counts and latencies of a run, in memory that does not grow with it."""

from __future__ import annotations

import math
import time
from collections import deque
from dataclasses import dataclass, field
from typing import TypedDict

import numpy as np
import numpy.typing as npt

from edgerd.types import Inspection, Verdict

SMALLEST_MS = 1e-3
LARGEST_MS = 1e7
GROWTH = 1.01
"""Each bin of the histogram ends 1 % above its beginning."""
RECENT_FRAMES = 30


class Percentiles(TypedDict):
    """Milliseconds; None while nothing was measured."""

    p50: float | None
    p95: float | None
    p99: float | None
    max: float | None
    n: int


class LatencyHistogram:
    """Durations in bins that are evenly spaced on a logarithmic scale, so that 2,300 counts serve any number of them.

    Percentiles (nearest rank) are right to 0.5 % between 1 microsecond and 10,000 s; count and maximum are exact.
    """

    def __init__(self) -> None:
        self._counts: npt.NDArray[np.int64] = np.zeros(_bin(LARGEST_MS) + 1, np.int64)
        self._n = 0
        self._max_ms = 0.0

    def add(self, duration_ms: float) -> None:
        """Take one duration, milliseconds."""
        self._counts[_bin(duration_ms)] += 1
        self._n += 1
        self._max_ms = max(self._max_ms, duration_ms)

    def counts(self) -> npt.NDArray[np.int64]:
        """How many durations lie in each bin, from `SMALLEST_MS` on, each `GROWTH` times as far as the one before."""
        return np.array(self._counts)

    def percentile(self, percent: float) -> float | None:
        """The smallest duration that at least `percent` of all are not above, milliseconds; None without any."""
        if not self._n:
            return None
        rank = max(1, math.ceil(self._n * percent / 100))
        index = int(np.searchsorted(self._counts.cumsum(), rank))
        return min(SMALLEST_MS * math.pow(GROWTH, index + 0.5), self._max_ms)

    def percentiles(self) -> Percentiles:
        """What `bench` and `run` report."""
        p50, p95, p99 = (_rounded(self.percentile(percent)) for percent in (50, 95, 99))
        return Percentiles(p50=p50, p95=p95, p99=p99, max=_rounded(self._max_ms) if self._n else None, n=self._n)


@dataclass
class RunStatistics:
    """What is known of a run so far.

    Attributes:
        frames: Verdicts: frames that were looked at, and triggers that got none; the sum of the next three.
        ok: Good frames.
        ng: Defective frames.
        no_decision: Frames that could not be judged, and triggers that got none.
        without_frame: Triggers that got no frame. `frames` less these, with `dropped` and `skipped`, are all the frames
            that came.
        dropped: Frames that came and went while another was being judged.
        skipped: Frames that nobody asked for: between triggers, or parts.
        alerts: Alerts raised.
        held_back: Defective frames that belong to no alert, because the alert policy asks for more of them.
        engine_ms: The graph, fusion included, over the frames that were judged; on a GPU only where it is measured.
        frame_ms: Frame in memory to verdict, over the frames that were judged.
        capture_to_verdict_ms: Capture to verdict, over the frames that were judged.
        last_captured_monotonic_s: When the newest of the frames was captured; None before the first.
        last_verdict: What was said of the newest of them; None before the first.
        started_s: When the run began, on `time.monotonic`'s clock.
    """

    frames: int = 0
    ok: int = 0
    ng: int = 0
    no_decision: int = 0
    without_frame: int = 0
    dropped: int = 0
    skipped: int = 0
    alerts: int = 0
    held_back: int = 0
    engine_ms: LatencyHistogram = field(default_factory=LatencyHistogram)
    frame_ms: LatencyHistogram = field(default_factory=LatencyHistogram)
    capture_to_verdict_ms: LatencyHistogram = field(default_factory=LatencyHistogram)
    last_captured_monotonic_s: float | None = None
    last_verdict: Verdict | None = None
    started_s: float = field(default_factory=time.monotonic)
    _recent_s: deque[float] = field(default_factory=lambda: deque(maxlen=RECENT_FRAMES))

    def count(self, inspection: Inspection, capture_to_verdict_ms: float) -> None:
        """Take one inspected frame."""
        self.frames += 1
        self.last_verdict = inspection.verdict
        self._recent_s.append(time.monotonic())
        if inspection.verdict is Verdict.NO_DECISION:
            self.no_decision += 1
            return
        self.ok += inspection.verdict is Verdict.OK
        self.ng += inspection.verdict is Verdict.NG
        self.frame_ms.add(inspection.frame_ms)
        self.capture_to_verdict_ms.add(capture_to_verdict_ms)
        if inspection.engine_ms is not None:
            self.engine_ms.add(inspection.engine_ms)

    @property
    def elapsed_s(self) -> float:
        """Seconds since the run began."""
        return time.monotonic() - self.started_s

    @property
    def frames_per_s(self) -> float:
        """Over the last `RECENT_FRAMES` frames; 0 before the second."""
        if len(self._recent_s) < 2 or self._recent_s[-1] == self._recent_s[0]:
            return 0.0
        return (len(self._recent_s) - 1) / (self._recent_s[-1] - self._recent_s[0])


def _bin(duration_ms: float) -> int:
    inside = min(max(duration_ms, SMALLEST_MS), LARGEST_MS)
    return int(math.log(inside / SMALLEST_MS) / math.log(GROWTH))


def _rounded(duration_ms: float | None) -> float | None:
    return None if duration_ms is None else round(duration_ms, 3)
