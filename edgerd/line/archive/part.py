"""A part that is to be kept, and the files that are made of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from edgerd.bundle.manifest import PreprocessSpec
from edgerd.data.layouts import ARCHIVE_FILE
from edgerd.data.pictures import encode_png
from edgerd.data.preprocess import bgr_from_frame, check_layout, tile_boxes
from edgerd.errors import EdgerdError, StorageError
from edgerd.evaluation.caption import captioned
from edgerd.events import FrameVerdict
from edgerd.line.archive.names import HEATMAPS, NO_DECISION, PICTURES, RECORDS, product_folder
from edgerd.types import Box, DefectRegion, Frame, Inspection, PixelFormat, UInt8Array

_HEATMAP_PX = 1024
"""The longer side of a heatmap at most: it is looked at, and drawing it must not take the time of the line."""
_JPEG = [cv2.IMWRITE_JPEG_QUALITY, 90]
_MARK = json.dumps({"about": "Pictures in this folder are no data to train on or to evaluate with."}).encode()


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """A part that is to be kept.

    Attributes:
        frame: The frame as the camera delivered it, in memory that nobody writes to any more.
        verdict: What was found in it.
        spec: The preprocessing of the inspector that judged it: how YUV frames become BGR, and where the tiles lie.
    """

    frame: Frame
    verdict: FrameVerdict
    spec: PreprocessSpec

    @classmethod
    def copied(cls, frame: Frame, verdict: FrameVerdict, spec: PreprocessSpec) -> Part:
        """A part of a frame in memory that the camera writes to again."""
        return cls(replace(frame, data=frame.data.copy()), verdict, spec)

    def files(self, stem: str) -> dict[Path, bytes]:
        """The files to keep, in the order in which they are to be written: the picture is the last.

        Args:
            stem: Their name without suffix.

        Returns:
            Path below the archive's folder -> content.

        Raises:
            StorageError: The frame is not laid out as its pixel format says, so that it is no picture.
        """
        try:
            picture, shown = self._pictures()
        except EdgerdError as error:
            raise StorageError(
                f"Frame {self.frame.number} of {self.verdict.camera} cannot be kept as a picture: {error.what}",
                expected=error.expected,
                hint=error.hint,
            ) from error
        inspection, folder = self.verdict.inspection, product_folder(self.verdict)
        files = {}
        if inspection.anomaly_map is not None:
            tiles = tile_boxes(shown.shape[0], shown.shape[1], self.spec)
            heatmap = _heatmap(shown, inspection, tiles)
            files[folder / HEATMAPS / f"{stem}.jpg"] = cv2.imencode(".jpg", heatmap, _JPEG)[1].tobytes()
        files[folder / RECORDS / f"{stem}.json"] = json.dumps(self.verdict.to_json(), indent=1).encode()
        files[folder / PICTURES[inspection.verdict] / f"{stem}.png"] = encode_png(picture)
        return files

    def _pictures(self) -> tuple[UInt8Array, UInt8Array]:
        """The picture to keep, grey where the frame is, and the same in BGR."""
        check_layout(self.frame)
        bgr = bgr_from_frame(self.frame, self.spec)
        return (self.frame.data if self.frame.pixel_format is PixelFormat.GREY else bgr), bgr


def marks(folder: Path) -> dict[Path, bytes]:
    """The files that keep the data layer out of folders with pictures that are no data.

    Args:
        folder: A product's, as `product_folder` gives it.
    """
    return {folder / name / ARCHIVE_FILE: _MARK for name in (HEATMAPS, NO_DECISION)}


def _heatmap(bgr: UInt8Array, inspection: Inspection, tiles: Sequence[Box]) -> UInt8Array:
    """The picture with what was found in it and how it was judged, made smaller where it is large."""
    height, width = bgr.shape[:2]
    factor = min(1.0, _HEATMAP_PX / max(height, width))
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    small = np.asarray(cv2.resize(bgr, size, interpolation=cv2.INTER_AREA), np.uint8) if factor < 1 else bgr
    scale = size[0] / width, size[1] / height
    regions = [DefectRegion(_scaled(one.box, scale), one.area_px, one.peak) for one in inspection.regions]
    boxes = [_scaled(box, scale) for box in tiles]
    return captioned(small, replace(inspection, regions=tuple(regions)), tiles=boxes)


def _scaled(box: Box, scale: tuple[float, float]) -> Box:
    """A box in the smaller picture, at least a pixel wide and high, and inside it as it was inside the larger one."""
    left, top = int(box.x * scale[0]), int(box.y * scale[1])
    right, bottom = round((box.x + box.width) * scale[0]), round((box.y + box.height) * scale[1])
    return Box(left, top, max(1, right - left), max(1, bottom - top))
