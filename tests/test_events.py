"""What sinks are sent. The keys are a contract: whoever changes this test breaks somebody's reader."""

from __future__ import annotations

import json

from edgerd.events import Alert, CameraEvent, DeviceEvent, DiskEvent, FrameVerdict
from edgerd.types import Box, DefectRegion, Inspection, Verdict

REGION = DefectRegion(Box(1, 2, 3, 4), area_px=10, peak=0.75)
REGION_RECORD = {"x": 1, "y": 2, "width": 3, "height": 4, "area_px": 10, "peak": 0.75}


def test_alert() -> None:
    alert = Alert(
        id="i", state="raised", camera="0", frame=7, source="0", captured_at=1.5, decided_at=2.5, score=0.75,
        threshold=0.5, regions=(REGION,), bundle="b", trigger="t", product="nut", recipe="r", reason="it ended",
    )  # fmt: skip
    stored = json.loads(json.dumps(alert.to_json()))
    assert Alert.from_json(stored) == alert
    assert stored == {
        "kind": "alert",
        "id": "i",
        "state": "raised",
        "camera": "0",
        "frame": 7,
        "source": "0",
        "captured_at": 1.5,
        "decided_at": 2.5,
        "score": 0.75,
        "threshold": 0.5,
        "regions": [REGION_RECORD],
        "bundle": "b",
        "trigger": "t",
        "product": "nut",
        "recipe": "r",
        "reason": "it ended",
    }


def test_camera_event() -> None:
    event = CameraEvent("i", "lost", "0", "Camera 0 is silent.", decided_at=2.5, bundle="b", captured_at=1.5)
    assert json.loads(json.dumps(event.to_json())) == {
        "kind": "camera",
        "id": "i",
        "state": "lost",
        "camera": "0",
        "reason": "Camera 0 is silent.",
        "captured_at": 1.5,
        "decided_at": 2.5,
        "bundle": "b",
    }


def test_device_event() -> None:
    event = DeviceEvent("i", "lost", "0", "NVIDIA H200", "The GPU is lost.", 2.5, "b", frame=7, captured_at=1.5)
    assert json.loads(json.dumps(event.to_json())) == {
        "kind": "device",
        "id": "i",
        "state": "lost",
        "camera": "0",
        "device": "NVIDIA H200",
        "reason": "The GPU is lost.",
        "frame": 7,
        "captured_at": 1.5,
        "decided_at": 2.5,
        "bundle": "b",
    }


def test_disk_event() -> None:
    event = DiskEvent("i", "error", "0", "The verdict log drops lines.", 2.5, "b")
    assert json.loads(json.dumps(event.to_json())) == {
        "kind": "disk",
        "id": "i",
        "state": "error",
        "camera": "0",
        "reason": "The verdict log drops lines.",
        "decided_at": 2.5,
        "bundle": "b",
    }


def test_frame_verdict() -> None:
    inspection = Inspection(Verdict.NG, 0.75, 0.5, regions=(REGION,), frame_ms=12.34567)
    line = FrameVerdict(
        inspection, camera="parts/", frame=3, source="parts/3.png", captured_at=1.5, decided_at=2.5, bundle="b",
        trigger="t", product="nut",
    )  # fmt: skip
    assert json.loads(json.dumps(line.to_json())) == {
        "camera": "parts/",
        "frame": 3,
        "source": "parts/3.png",
        "captured_at": 1.5,
        "decided_at": 2.5,
        "verdict": "NG",
        "reason": "",
        "score": 0.75,
        "threshold": 0.5,
        "regions": [REGION_RECORD],
        "frame_ms": 12.346,
        "bundle": "b",
        "trigger": "t",
        "product": "nut",
    }
