"""What leaves a line: events about alerts, the camera, the device and the disk, and a line per frame.

Each is a frozen value with one JSON form, `to_json`, whose keys are a contract. Sinks take these values and nothing
else. Times are Unix seconds, UTC.
"""

from __future__ import annotations

import secrets
import threading
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

from edgerd.types import Box, DefectRegion, Inspection

_BOX = ("x", "y", "width", "height")
SourceState = Literal["lost", "back", "error"]
"""What happened to a camera or a device: it is gone, it is there again, or it refuses what is asked of it."""


@dataclass(frozen=True, slots=True)
class Alert:
    """A defect alert, raised or cleared.

    Attributes:
        id: UUIDv7; the same for the raise and the clear of one alert, and for every delivery of it.
        state: "raised" or "cleared".
        camera: Name of the camera.
        frame: Number of the frame that decided.
        source: Path of that frame where it came from a file, else the camera's URI.
        captured_at: Unix seconds, UTC: when that frame was captured.
        decided_at: Unix seconds, UTC: when the verdict was reached.
        score: Score of that frame.
        threshold: Threshold it was compared with.
        regions: Where, highest peak first.
        bundle: Id of the bundle that judged.
        trigger: Id of the trigger that asked for the frame; None where nothing did.
        product: Name of the product that the part was taken for; None where the camera has one only.
        recipe: SHA-256 of the recipe that the line had; None where it had none.
        reason: Why the alert was cleared, where no frame cleared it; empty otherwise.
    """

    id: str
    state: str
    camera: str
    frame: int
    source: str
    captured_at: float
    decided_at: float
    score: float
    threshold: float
    regions: tuple[DefectRegion, ...] = ()
    bundle: str = ""
    trigger: str | None = None
    product: str | None = None
    recipe: str | None = None
    reason: str = ""

    def to_json(self) -> dict[str, Any]:
        """An events line: `kind` "alert" and the attributes, regions as `DefectRegion.to_dict` gives them."""
        return {
            "kind": "alert",
            "id": self.id,
            "state": self.state,
            "camera": self.camera,
            "frame": self.frame,
            "source": self.source,
            "captured_at": self.captured_at,
            "decided_at": self.decided_at,
            "score": self.score,
            "threshold": self.threshold,
            "regions": [region.to_dict() for region in self.regions],
            "bundle": self.bundle,
            "trigger": self.trigger,
            "product": self.product,
            "recipe": self.recipe,
            "reason": self.reason,
        }

    def closed(self, reason: str) -> Alert:
        """The end of this alert, which no frame brought about.

        Args:
            reason: Why it ends.
        """
        return replace(self, state="cleared", decided_at=time.time(), reason=reason)

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Alert:
        """The alert of which `to_json` made this record."""
        regions = tuple(
            DefectRegion(Box(*(region[key] for key in _BOX)), region["area_px"], region["peak"])
            for region in record["regions"]
        )
        values = {key: value for key, value in record.items() if key not in ("kind", "regions")}
        return cls(regions=regions, **values)


@dataclass(frozen=True, slots=True)
class CameraEvent:
    """Something happened to the camera itself: neither a defect nor a good part.

    Attributes:
        id: UUIDv7.
        state: "lost": it gave frames and does so no more. "error": it could not be opened. "back": it gives frames
            again.
        camera: Its name.
        reason: What happened, one sentence.
        decided_at: Unix seconds, UTC: when that was noticed.
        bundle: Id of the bundle that was inspecting.
        captured_at: Unix seconds, UTC: when its last frame was captured; None where there was none.
    """

    id: str
    state: SourceState
    camera: str
    reason: str
    decided_at: float
    bundle: str
    captured_at: float | None = None

    def to_json(self) -> dict[str, Any]:
        """An events line: `kind` "camera" and the attributes."""
        return {
            "kind": "camera",
            "id": self.id,
            "state": self.state,
            "camera": self.camera,
            "reason": self.reason,
            "captured_at": self.captured_at,
            "decided_at": self.decided_at,
            "bundle": self.bundle,
        }


@dataclass(frozen=True, slots=True)
class DeviceEvent:
    """The device that judges, a GPU or a CPU, failed: nothing is inspected until somebody acts.

    Attributes:
        id: UUIDv7.
        state: "lost": it no longer answers. "error": it refused what was asked of it. "back": it works again.
        camera: Name of the camera whose frames were being judged.
        device: Name of the device; empty where it could not even be opened.
        reason: What happened, one sentence.
        decided_at: Unix seconds, UTC: when that was noticed.
        bundle: Id of the bundle that was inspecting.
        frame: Number of the first frame that got no decision because of it; None where there was none.
        captured_at: Unix seconds, UTC: when that frame was captured; None likewise.
    """

    id: str
    state: SourceState
    camera: str
    device: str
    reason: str
    decided_at: float
    bundle: str
    frame: int | None = None
    captured_at: float | None = None

    def to_json(self) -> dict[str, Any]:
        """An events line: `kind` "device" and the attributes."""
        return {
            "kind": "device",
            "id": self.id,
            "state": self.state,
            "camera": self.camera,
            "device": self.device,
            "reason": self.reason,
            "frame": self.frame,
            "captured_at": self.captured_at,
            "decided_at": self.decided_at,
            "bundle": self.bundle,
        }


@dataclass(frozen=True, slots=True)
class DiskEvent:
    """An observer of the run (verdict log, video) could not be written, or can be again; inspection goes on.

    Attributes:
        id: UUIDv7.
        state: "error" when writing began to fail, "back" when it succeeded again.
        camera: Name of the camera whose frames are being judged.
        reason: What happened, one sentence; for "back" how much was dropped meanwhile.
        decided_at: Unix seconds, UTC: when that was noticed.
        bundle: Id of the bundle that is inspecting.
    """

    id: str
    state: Literal["error", "back"]
    camera: str
    reason: str
    decided_at: float
    bundle: str

    def to_json(self) -> dict[str, Any]:
        """An events line: `kind` "disk" and the attributes."""
        return {
            "kind": "disk",
            "id": self.id,
            "state": self.state,
            "camera": self.camera,
            "reason": self.reason,
            "decided_at": self.decided_at,
            "bundle": self.bundle,
        }


@dataclass(frozen=True, slots=True, eq=False)
class FrameVerdict:
    """What was found in one frame: a line of the verdict log, not an event.

    Attributes:
        inspection: What was found.
        camera: Name of the camera.
        frame: Number of the frame; None where there was none: the camera was lost, or a trigger got no frame.
        source: Path of the frame where it came from a file, else the camera's URI.
        captured_at: Unix seconds, UTC; None where there was no frame.
        decided_at: Unix seconds, UTC.
        bundle: Id of the bundle.
        trigger: Id of the trigger that asked for the frame; None where nothing did.
        product: Name of the product that the part was taken for; None where the camera has one only.
    """

    inspection: Inspection
    camera: str
    frame: int | None
    source: str
    captured_at: float | None
    decided_at: float
    bundle: str
    trigger: str | None = None
    product: str | None = None

    def to_json(self) -> dict[str, Any]:
        """A verdicts line."""
        return {
            "camera": self.camera,
            "frame": self.frame,
            "source": self.source,
            "captured_at": self.captured_at,
            "decided_at": self.decided_at,
            **self.inspection.to_dict(),
            "bundle": self.bundle,
            "trigger": self.trigger,
            "product": self.product,
        }


Event: TypeAlias = Alert | CameraEvent | DeviceEvent | DiskEvent
"""What an events file holds: somebody is to be told."""
Message: TypeAlias = Event | FrameVerdict
"""What a sink takes."""


_RANDOM_BITS = 74
_MAX_STEP = 1 << 32


class _Uuid7:
    """RFC 9562, section 5.7, made monotonic by method 2 of section 6.2: within a millisecond the random part grows."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._unix_ms = 0
        self._random = 0

    def __call__(self) -> str:
        """A new UUIDv7 as text, larger than every one before it in this process, even if the clock is set back."""
        with self._lock:
            now_ms = time.time_ns() // 1_000_000
            self._random += 1 + secrets.randbelow(_MAX_STEP)
            if now_ms > self._unix_ms or self._random >> _RANDOM_BITS:
                self._unix_ms = max(now_ms, self._unix_ms + 1)
                self._random = secrets.randbits(_RANDOM_BITS)
            return str(_layout(self._unix_ms, self._random))


def _layout(unix_ms: int, random: int) -> uuid.UUID:
    """48 bits of milliseconds, version 7, 12 random bits, variant 2, 62 random bits."""
    high, low = random >> 62, random & ((1 << 62) - 1)
    return uuid.UUID(int=unix_ms << 80 | 0x7 << 76 | high << 64 | 0b10 << 62 | low)


uuid7 = _Uuid7()
"""One per process, so that the order holds across all its cameras; `uuid.uuid7` of Python 3.14 does the same."""
