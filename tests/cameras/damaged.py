"""Pictures and videos for the tests of cameras, whole ones and damaged ones, and what reads of them give."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from edgerd.cameras.protocol import Camera, UnreadablePictureError
from edgerd.errors import CameraError
from edgerd.types import UInt8Array


def noisy_pictures(n: int, height: int = 48, width: int = 64) -> list[UInt8Array]:
    """Grey with noise, so that no two are alike, the i-th about 10 i bright."""
    noise = np.random.default_rng(0)
    return [np.clip(10 * i + noise.normal(0, 12, (height, width, 3)), 0, 255).astype(np.uint8) for i in range(1, n + 1)]


def jpeg(picture: UInt8Array) -> bytes:
    return cv2.imencode(".jpg", picture)[1].tobytes()


def write_mjpeg_avi(path: Path, n_frames: int) -> list[slice]:
    """Write a video of JPEG pictures; where in the file each of them is."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 25, (64, 48))
    for picture in noisy_pictures(n_frames):
        writer.write(picture)
    writer.release()
    content, places, position = path.read_bytes(), [], 0
    while (position := content.find(b"00dc", position)) >= 0:
        start, n_bytes = position + 8, int.from_bytes(content[position + 4 : position + 8], "little")
        if content[start : start + 2] == b"\xff\xd8":
            places.append(slice(start, start + n_bytes))
        position += 4
    return places


def overwrite(path: Path, place: slice) -> None:
    """What a bad block of a disk leaves of these bytes."""
    content = bytearray(path.read_bytes())
    content[place] = bytes(place.stop - place.start)
    path.write_bytes(content)


def outcomes(camera: Camera) -> list[str]:
    """What each read gives to the end: "frame", "damaged", and "lost" in place of an end; numbered without a gap."""
    found: list[str] = []
    while True:
        try:
            frame, outcome = camera.read(), "frame"
        except UnreadablePictureError as error:
            frame, outcome = error.frame, "damaged"
        except CameraError:
            return [*found, "lost"]
        if frame is None:
            return found
        assert frame.number == len(found)
        found.append(outcome)
