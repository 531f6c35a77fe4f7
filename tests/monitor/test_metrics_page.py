"""The metrics page, read as Prometheus reads it, and what docs/reference/metrics.md says of it."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families
from snapshots import camera, line

from edgerd.monitor.metrics import metrics_text
from edgerd.monitor.snapshot import CameraState, LineSnapshot, SinkSnapshot
from edgerd.types import Verdict

DOCUMENT = Path(__file__).parents[2] / "docs" / "reference" / "metrics.md"
EVERYTHING = line(sinks=(SinkSnapshot("broker", 7, "Connection refused."), SinkSnapshot("alerts.jsonl", 0)))

names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)


def samples(snapshot: LineSnapshot) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Name and labels to value; no sample may come twice."""
    found = [
        (sample.name, tuple(sorted(sample.labels.items())), sample.value)
        for family in text_string_to_metric_families(metrics_text(snapshot).decode())
        for sample in family.samples
    ]
    values = {(name, labels): value for name, labels, value in found}
    assert len(values) == len(found)
    return values


def value(snapshot: LineSnapshot, name: str, **labels: str) -> float:
    return samples(snapshot)[name, tuple(sorted(labels.items()))]


def test_frames_are_counted_by_camera_and_verdict():
    both = line(cameras=(camera("left", verdicts=[Verdict.OK] * 3 + [Verdict.NG]), camera("right", verdicts=())))
    assert value(both, "edgerd_frames_total", camera="left", verdict="OK") == 3
    assert value(both, "edgerd_frames_total", camera="left", verdict="NG") == 1
    assert value(both, "edgerd_frames_total", camera="left", verdict="NO_DECISION") == 0
    assert value(both, "edgerd_frames_total", camera="right", verdict="OK") == 0
    assert value(both, "edgerd_frames_dropped_total", camera="left") == 3
    assert value(both, "edgerd_alerts_total", camera="left") == 1
    assert value(both, "edgerd_frames_held_back", camera="left") == 2


def test_durations_are_histograms_in_seconds():
    name = ("camera", "left")
    found = samples(line())
    buckets = {
        float(dict(labels)["le"]): count
        for (sample, labels), count in found.items()
        if sample == "edgerd_frame_seconds_bucket"
    }
    assert buckets[0.005] == 0
    assert buckets[0.01] == buckets[float("inf")] == 3
    assert found["edgerd_frame_seconds_count", (name,)] == 3
    assert found["edgerd_frame_seconds_sum", (name,)] == pytest.approx(3 * 0.008, rel=0.01)
    assert found["edgerd_capture_to_verdict_seconds_sum", (name,)] == pytest.approx(3 * 0.012, rel=0.01)


def test_a_camera_is_in_one_state_and_its_last_verdict_is_one():
    lost = line(cameras=(camera(state=CameraState.LOST, verdicts=[Verdict.NG]),))
    states = {s.value: value(lost, "edgerd_camera_state", camera="left", state=s.value) for s in CameraState}
    assert states == {"starting": 0, "running": 0, "lost": 1, "ended": 0}
    verdicts = {v.value: value(lost, "edgerd_last_verdict", camera="left", verdict=v.value) for v in Verdict}
    assert verdicts == {"OK": 0, "NG": 1, "NO_DECISION": 0}
    captured = value(lost, "edgerd_last_frame_timestamp_seconds", camera="left")
    assert captured == pytest.approx(time.time() - 1, abs=30)
    assert value(lost, "edgerd_healthy") == 0
    assert value(lost, "edgerd_ready") == 1


def test_a_camera_without_a_frame_has_no_last_frame():
    found = samples(line(cameras=(camera(state=CameraState.STARTING, verdicts=()),)))
    assert not [name for name, _ in found if name in ("edgerd_last_verdict", "edgerd_last_frame_timestamp_seconds")]


def test_what_waits_in_the_outbox_is_told_for_each_sink():
    assert value(EVERYTHING, "edgerd_outbox_waiting_events", sink="broker") == 7
    assert value(EVERYTHING, "edgerd_sink_healthy", sink="broker") == 0
    assert value(EVERYTHING, "edgerd_sink_healthy", sink="alerts.jsonl") == 1
    assert value(EVERYTHING, "edgerd_disk_free_bytes") == 5_000_000


@given(st.lists(names, min_size=1, max_size=4, unique=True))
def test_any_name_of_a_camera_makes_a_page_that_prometheus_takes(given_names):
    several = line(cameras=tuple(camera(name, verdicts=[Verdict.OK]) for name in given_names))
    total = sum(count for (name, _), count in samples(several).items() if name == "edgerd_frames_total")
    assert total == len(given_names)


@given(st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", min_size=8, max_size=16))
def test_no_secret_gets_into_a_label(secret):
    uris = [f"rtsp://admin:{secret}@10.0.0.3/live", f"http://10.0.0.3/mjpeg?password={secret}"]
    telling = line(
        cameras=(camera(uris[0]), camera(uris[1]), camera(uris[0].replace(secret, f"{secret}2"))),
        sinks=(SinkSnapshot(f"mqtt://edgerd:{secret}@broker", 1),),
    )
    assert secret not in metrics_text(telling).decode()
    assert len({dict(labels)["camera"] for name, labels in samples(telling) if name == "edgerd_alerts_total"}) == 3


def test_every_metric_is_documented_as_it_is():
    """Name, type, labels and meaning: the table in docs/reference/metrics.md and the page agree."""
    found = set()
    for family in text_string_to_metric_families(metrics_text(EVERYTHING).decode()):
        name = f"{family.name}_total" if family.type == "counter" else family.name
        labels = {label for sample in family.samples for label in sample.labels} - {"le"}
        found.add((name, family.type, ", ".join(sorted(labels)), family.documentation))
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| (.*?) \| (.*?) \|$", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE)
    documented = {(name, kind, labels.replace("`", ""), meaning) for name, kind, labels, meaning in rows}
    assert documented == {(name, kind, labels or "-", meaning) for name, kind, labels, meaning in found}
