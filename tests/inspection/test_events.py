"""What sinks are sent. The keys are a contract: whoever changes this test breaks somebody's reader."""

from __future__ import annotations

import json

from edgerd.inspection.events import alert_event, camera_event, verdict_record
from edgerd.types import Alert, Box, DefectRegion, Inspection, Verdict

REGION = DefectRegion(Box(1, 2, 3, 4), area_px=10, peak=0.75)
REGION_RECORD = {"x": 1, "y": 2, "width": 3, "height": 4, "area_px": 10, "peak": 0.75}


def test_alert_event() -> None:
    alert = Alert(
        id="i", state="raised", camera="0", frame=7, source="0", captured_at=1.5, decided_at=2.5, score=0.75,
        threshold=0.5, regions=(REGION,), bundle="b",
    )  # fmt: skip
    event = alert_event(alert)
    assert json.loads(json.dumps(event)) == {
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
    }


def test_camera_event() -> None:
    assert camera_event("i", "lost", "0", "Camera 0 is silent.", 2.5, "b") == {
        "kind": "camera",
        "id": "i",
        "state": "lost",
        "camera": "0",
        "reason": "Camera 0 is silent.",
        "decided_at": 2.5,
        "bundle": "b",
    }


def test_verdict_record() -> None:
    inspection = Inspection(Verdict.NG, 0.75, 0.5, regions=(REGION,), frame_ms=12.34567)
    record = verdict_record(
        inspection, camera="parts/", frame=3, source="parts/3.png", captured_at=1.5, decided_at=2.5, bundle="b"
    )
    assert json.loads(json.dumps(record)) == {
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
    }
