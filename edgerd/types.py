"""The values that travel through edgerd: a frame goes in, an inspection comes out.

All are frozen. Arrays are not copied: the data of a `Frame` must not be written to before the frame is judged.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

BoolArray: TypeAlias = npt.NDArray[np.bool_]
UInt8Array: TypeAlias = npt.NDArray[np.uint8]
Float32Array: TypeAlias = npt.NDArray[np.float32]
Float64Array: TypeAlias = npt.NDArray[np.float64]

GOOD: Final = "good"
"""The kind of a part without a defect, beside the names of kinds of defect."""


class StrEnum(str, Enum):
    """An enumeration of strings whose members print as their values: `f"{Verdict.OK}"` is "OK".

    `enum.StrEnum` does the same, but Python 3.10 has none; and `(str, Enum)` alone prints "OK" in an f-string of Python
    3.11 and "Verdict.OK" in one of 3.12.
    """

    def __str__(self) -> str:
        return str(self.value)

    def __format__(self, format_spec: str) -> str:
        return format(self.value, format_spec)


class PixelFormat(StrEnum):
    """How the bytes of a frame are laid out; preprocessing makes BGR of it first."""

    BGR = "bgr"
    """uint8 (h, w, 3)."""
    GREY = "grey"
    """uint8 (h, w)."""
    NV12 = "nv12"
    """uint8 (h * 3 / 2, w): a Y plane, then interleaved U and V at half resolution; h and w even."""
    YUYV = "yuyv"
    """uint8 (h, w, 2): Y0 U Y1 V for every two pixels; w even."""

    def shape(self, height: int, width: int) -> tuple[int, ...]:
        """The shape of the data of a picture of this height and width."""
        rows = height * 3 // 2 if self is PixelFormat.NV12 else height
        return (rows, width, *{PixelFormat.BGR: (3,), PixelFormat.YUYV: (2,)}.get(self, ()))

    def size(self, shape: tuple[int, ...]) -> tuple[int, int]:
        """Height and width of the picture whose data has this shape."""
        return shape[0] * 2 // 3 if self is PixelFormat.NV12 else shape[0], shape[1]


class Verdict(StrEnum):
    """The judgement of a part. NO_DECISION is neither good nor bad: nothing could be judged."""

    OK = "OK"
    NG = "NG"
    NO_DECISION = "NO_DECISION"


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle in pixels: left edge x, top edge y, width and height."""

    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One picture from a camera or a file.

    Attributes:
        data: uint8, laid out as `pixel_format` says.
        pixel_format: Layout of `data`.
        number: Counts the frames of one source from 0; a gap means frames that were dropped.
        captured_at: Unix time in seconds, UTC.
        captured_monotonic_s: The same moment on `time.monotonic()`'s clock, for durations.
        source: The file's path, or the camera's URI.
    """

    data: UInt8Array
    pixel_format: PixelFormat = PixelFormat.BGR
    number: int = 0
    captured_at: float = 0.0
    captured_monotonic_s: float = 0.0
    source: str = ""

    def __repr__(self) -> str:
        """Format, shape and origin in one line, without the pixels."""
        origin = f", {self.source!r}" if self.source else ""
        return f"<Frame {self.number}: {self.pixel_format} {self.data.dtype} {self.data.shape}{origin}>"


@dataclass(frozen=True, slots=True)
class DefectRegion:
    """A connected area of the anomaly map above the threshold.

    Attributes:
        box: The smallest box around the area, in pixels of the frame as the camera delivered it.
        area_px: Area in the same pixels.
        peak: The largest value of the anomaly map inside.
    """

    box: Box
    area_px: int
    peak: float

    def to_dict(self) -> dict[str, Any]:
        """The region in JSON types: `x`, `y`, `width`, `height`, `area_px` and `peak`."""
        box = self.box
        return {
            "x": box.x,
            "y": box.y,
            "width": box.width,
            "height": box.height,
            "area_px": self.area_px,
            "peak": self.peak,
        }


@dataclass(frozen=True, slots=True, eq=False)
class Inspection:
    """What was found in one frame.

    Attributes:
        verdict: NG where `score` > `threshold`, strictly; NO_DECISION where nothing could be judged.
        score: The highest score of the frame's tiles, 0 or more: for method `rd4ad` the maximum of the anomaly map, for
            the others the mean of its highest values. None without a decision.
        threshold: The threshold that `score` was compared with.
        regions: Areas above the threshold, highest peak first; empty unless NG.
        anomaly_map: float32 (tiles, H, W) at graph size, or None without a decision. With aspect `letterbox` it is the
            part of it that shows the picture: each tile's map covers the tile and nothing else.
        reason: Why there is no decision ("black frame", "frozen", ...); empty otherwise.
        frame_ms: Frame in memory to verdict, milliseconds.
        engine_ms: Of that the engine, milliseconds; None where it was not asked, and on a GPU where it is not measured
            (`DeviceOptions.profile`).
        usual_score: What nine of ten good parts do not exceed; None where the bundle does not know.
    """

    verdict: Verdict
    score: float | None
    threshold: float
    regions: tuple[DefectRegion, ...] = ()
    anomaly_map: Float32Array | None = None
    reason: str = ""
    frame_ms: float = 0.0
    engine_ms: float | None = None
    usual_score: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """What was found in JSON types, under the keys that a line of `run --verdicts` has for it; without the map."""
        return {
            "verdict": self.verdict.value,
            "reason": self.reason,
            "score": self.score,
            "threshold": self.threshold,
            "regions": [region.to_dict() for region in self.regions],
            "frame_ms": round(self.frame_ms, 3),
        }

    def __repr__(self) -> str:
        """Verdict, score and number of regions in one line, without the map."""
        if self.score is None:
            return f"<Inspection {self.verdict}: {self.reason}>"
        noun = "region" if len(self.regions) == 1 else "regions"
        return (
            f"<Inspection {self.verdict}: score {self.score:.4g}, threshold {self.threshold:.4g}, "
            f"{len(self.regions)} {noun}>"
        )
