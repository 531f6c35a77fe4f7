"""What sinks are sent: plain dicts of JSON values, made here and nowhere else. Their keys are a contract."""

from __future__ import annotations

from typing import Any

from edgerd.types import Alert, DefectRegion, Inspection


def alert_event(alert: Alert) -> dict[str, Any]:
    """An events line for a raised or cleared alert; times in Unix seconds, UTC."""
    return {
        "kind": "alert",
        "id": alert.id,
        "state": alert.state,
        "camera": alert.camera,
        "frame": alert.frame,
        "source": alert.source,
        "captured_at": alert.captured_at,
        "decided_at": alert.decided_at,
        "score": alert.score,
        "threshold": alert.threshold,
        "regions": [region_record(region) for region in alert.regions],
        "bundle": alert.bundle,
    }


def camera_event(event_id: str, state: str, camera: str, reason: str, decided_at: float, bundle: str) -> dict[str, Any]:
    """An events line about the camera itself.

    Args:
        event_id: UUIDv7.
        state: "lost".
        camera: Its URI.
        reason: What happened, one sentence.
        decided_at: Unix seconds, UTC.
        bundle: Id of the bundle that was inspecting.
    """
    return {
        "kind": "camera",
        "id": event_id,
        "state": state,
        "camera": camera,
        "reason": reason,
        "decided_at": decided_at,
        "bundle": bundle,
    }


def verdict_record(
    inspection: Inspection,
    *,
    camera: str,
    frame: int | None,
    source: str,
    captured_at: float | None,
    decided_at: float,
    bundle: str,
) -> dict[str, Any]:
    """A verdicts line: one frame.

    Args:
        inspection: What was found in it.
        camera: URI of the source.
        frame: Its number; None where there was no frame, because the camera was lost.
        source: Path of the frame where it came from a file, else the camera's URI.
        captured_at: Unix seconds, UTC; None where there was no frame.
        decided_at: Unix seconds, UTC.
        bundle: Id of the bundle.
    """
    return {
        "camera": camera,
        "frame": frame,
        "source": source,
        "captured_at": captured_at,
        "decided_at": decided_at,
        "verdict": inspection.verdict.value,
        "reason": inspection.reason,
        "score": inspection.score,
        "threshold": inspection.threshold,
        "regions": [region_record(region) for region in inspection.regions],
        "frame_ms": round(inspection.frame_ms, 3),
        "bundle": bundle,
    }


def region_record(region: DefectRegion) -> dict[str, Any]:
    """A region: box and area in pixels of the frame, peak in the unit of the score."""
    box = region.box
    return {
        "x": box.x,
        "y": box.y,
        "width": box.width,
        "height": box.height,
        "area_px": region.area_px,
        "peak": region.peak,
    }
