"""A snapshot of a line in Prometheus' text format.

Names follow Prometheus' conventions (https://prometheus.io/docs/practices/naming/): base units, `_total` for what only
grows, a time stamp instead of an age. docs/reference/metrics.md lists them for users; a test compares the two.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector, CollectorRegistry

from edgerd.monitor.snapshot import BUCKETS_MS, CameraSnapshot, CameraState, Latencies, LineSnapshot
from edgerd.redaction import without_secrets
from edgerd.types import Verdict

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4

_BOUNDS_S = (*(f"{bound / 1000:g}" for bound in BUCKETS_MS), "+Inf")


def metrics_text(snapshot: LineSnapshot) -> bytes:
    """All metrics of a line, UTF-8.

    Args:
        snapshot: The line, now. Names that hold a secret are shown without it.
    """
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Snapshot(snapshot))
    return generate_latest(registry)


class _Snapshot(Collector):
    """Gives the metrics of one snapshot to prometheus-client, which writes and escapes them."""

    def __init__(self, snapshot: LineSnapshot) -> None:
        self._snapshot = snapshot

    def collect(self) -> Iterator[Metric]:
        """Every metric."""
        now_s, now_monotonic_s = time.time(), time.monotonic()
        yield from _line_metrics(self._snapshot, now_monotonic_s)
        yield from _camera_counts(self._snapshot.cameras)
        yield from _camera_states(self._snapshot.cameras, now_s - now_monotonic_s)
        yield from _camera_durations(self._snapshot.cameras)
        yield from _sink_metrics(self._snapshot)


def _line_metrics(snapshot: LineSnapshot, now_monotonic_s: float) -> Iterator[Metric]:
    build = InfoMetricFamily("edgerd_build", "Version of edgerd.")
    build.add_metric([], {"version": snapshot.version})
    yield build
    bundles = InfoMetricFamily("edgerd_bundle", "Id of a bundle that judges.", labels=["bundle"])
    for name in dict.fromkeys(snapshot.bundles):
        bundles.add_metric([name], {})
    yield bundles
    engines = InfoMetricFamily("edgerd_engine", "An engine that judges.", labels=["engine"])
    for name in dict.fromkeys(map(without_secrets, snapshot.engines)):
        engines.add_metric([name], {})
    yield engines
    yield _gauge("edgerd_start_time_seconds", "Unix time at which the line was started.", snapshot.started_at)
    healthy = not snapshot.unhealthy(now_monotonic_s)
    yield _gauge("edgerd_healthy", "1 while /healthz answers 200, else 0.", healthy)
    yield _gauge("edgerd_ready", "1 while /readyz answers 200, else 0.", not snapshot.not_ready())
    if snapshot.disk_free_bytes is not None:
        free = snapshot.disk_free_bytes
        yield _gauge("edgerd_disk_free_bytes", "Free space where the outbox and the pictures are.", free)


def _camera_counts(cameras: Sequence[CameraSnapshot]) -> Iterator[Metric]:
    frames = CounterMetricFamily("edgerd_frames", "Frames that were looked at.", labels=["camera", "verdict"])
    dropped = CounterMetricFamily(
        "edgerd_frames_dropped", "Frames that came and went while another was being judged.", labels=["camera"]
    )
    alerts = CounterMetricFamily("edgerd_alerts", "Alerts raised.", labels=["camera"])
    # a gauge: an alert that is raised later takes back the frames that helped to confirm it
    held_back = GaugeMetricFamily("edgerd_frames_held_back", "NG frames that belong to no alert.", labels=["camera"])
    for name, camera in zip(_labels(camera.name for camera in cameras), cameras, strict=True):
        for verdict, n in (
            (Verdict.OK, camera.ok),
            (Verdict.NG, camera.ng),
            (Verdict.NO_DECISION, camera.no_decision),
        ):
            frames.add_metric([name, verdict.value], n)
        dropped.add_metric([name], camera.dropped)
        alerts.add_metric([name], camera.alerts)
        held_back.add_metric([name], camera.held_back)
    yield from (frames, dropped, alerts, held_back)


def _camera_states(cameras: Sequence[CameraSnapshot], unix_minus_monotonic_s: float) -> Iterator[Metric]:
    states = GaugeMetricFamily(
        "edgerd_camera_state", "1 for the state that a camera is in, 0 for the others.", labels=["camera", "state"]
    )
    captured = GaugeMetricFamily(
        "edgerd_last_frame_timestamp_seconds",
        "Unix time at which the newest judged frame was captured.",
        labels=["camera"],
    )
    verdicts = GaugeMetricFamily(
        "edgerd_last_verdict", "1 for the verdict of the newest frame, 0 for the others.", labels=["camera", "verdict"]
    )
    for name, camera in zip(_labels(camera.name for camera in cameras), cameras, strict=True):
        for state in CameraState:
            states.add_metric([name, state.value], camera.state is state)
        if camera.last_frame_monotonic_s is not None:
            captured.add_metric([name], camera.last_frame_monotonic_s + unix_minus_monotonic_s)
        if camera.last_verdict is not None:
            for verdict in Verdict:
                verdicts.add_metric([name, verdict.value], camera.last_verdict is verdict)
    yield from (states, captured, verdicts)


def _camera_durations(cameras: Sequence[CameraSnapshot]) -> Iterator[Metric]:
    frame = HistogramMetricFamily(
        "edgerd_frame_seconds", "Frame in memory to verdict, of frames that were judged.", labels=["camera"]
    )
    capture = HistogramMetricFamily(
        "edgerd_capture_to_verdict_seconds", "Capture to verdict, of frames that were judged.", labels=["camera"]
    )
    for name, camera in zip(_labels(camera.name for camera in cameras), cameras, strict=True):
        _add(frame, name, camera.frame_ms)
        _add(capture, name, camera.capture_to_verdict_ms)
    yield from (frame, capture)


def _add(family: HistogramMetricFamily, camera: str, latencies: Latencies) -> None:
    counts = (*latencies.cumulative, latencies.n)
    family.add_metric([camera], list(zip(_BOUNDS_S, counts, strict=True)), latencies.sum_ms / 1000)


def _sink_metrics(snapshot: LineSnapshot) -> Iterator[Metric]:
    waiting = GaugeMetricFamily(
        "edgerd_outbox_waiting_events", "Events that a sink has not taken yet.", labels=["sink"]
    )
    healthy = GaugeMetricFamily("edgerd_sink_healthy", "1 while a sink takes events, else 0.", labels=["sink"])
    for name, sink in zip(_labels(sink.name for sink in snapshot.sinks), snapshot.sinks, strict=True):
        waiting.add_metric([name], sink.waiting)
        healthy.add_metric([name], not sink.reason)
    yield from (waiting, healthy)


def _gauge(name: str, documentation: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, documentation, value=value)


def _labels(names: Iterable[str]) -> list[str]:
    """Names without their secrets, and still no two alike: Prometheus refuses a page that says the same thing twice."""
    seen: Counter[str] = Counter()
    labels = []
    for name in map(without_secrets, names):
        seen[name] += 1
        labels.append(name if seen[name] == 1 else f"{name} #{seen[name]}")
    return labels
