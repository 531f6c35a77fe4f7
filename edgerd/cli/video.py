"""Writing a video: H.264 in MP4, which browsers and phones play, or Motion JPEG in AVI."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Final, Literal

import av
import cv2
import numpy as np

from edgerd.cameras import camera_kind
from edgerd.paths import is_file
from edgerd.types import UInt8Array

SUFFIXES: Final = (".mp4", ".avi")
"""Suffixes of the files that can be written, in lower case."""

_USUAL_RATE = Fraction(25)
_TICKS_PER_S = {".mp4": Fraction(1000), ".avi": Fraction(50)}
"""How exactly a frame's own time is kept. An AVI has an entry for each tick, also for those without a frame."""
_KEY_FRAME_INTERVAL = 50
_H264 = {
    # The processor is for the inspection: half the time per frame of "veryfast", for files that are a third larger.
    "preset": "ultrafast",
    "crf": "23",
    # The encoder keeps no frames back: those of a 4K camera would fill half a gigabyte, and be lost with the process.
    "tune": "zerolatency",
}
_CONTAINER = {
    # Each frame goes to the file at once: in a buffer it would count as written when the disk has long been full.
    "flush_packets": "1",
}
_MP4 = {
    **_CONTAINER,
    # Each frame can be played once it is in the file, also where the process is killed or the power fails; `close`
    # makes an ordinary MP4 of it. With the usual `faststart` nothing could be played before that, and everything would
    # have to be written twice.
    "movflags": "hybrid_fragmented+frag_every_frame",
}
_BT709 = 1
_LIMITED_RANGE = 1


class VideoWriter:
    """A video that is being written. Without `close` it has no index, and players find their way in it slowly.

    Args:
        file: Where; it is replaced. Its suffix is one of `SUFFIXES`.
        height: Height of the pictures; those of other sizes are resized.
        width: Their width. Where one of the two is odd, the last row or column is doubled: H.264 needs even ones.
        rate: Frames per second, where they are constant; None where each frame has its own time.

    Attributes:
        n_waiting: How many of the frames that were appended are not in the file yet: an MP4 gets a frame once the next
            one is there, which says how long it lasts.

    Raises:
        av.FFmpegError: The file cannot be written. The methods raise it as well.
    """

    def __init__(self, file: Path, height: int, width: int, rate: Fraction | None) -> None:
        suffix = file.suffix.lower()
        self.n_waiting = 1 if suffix == ".mp4" else 0
        self._size = width, height
        self._tick_s = 1 / (rate or _TICKS_PER_S[suffix])
        self._latest = -1
        self._container = av.open(str(file), "w", options=dict(_MP4 if suffix == ".mp4" else _CONTAINER))
        encoder = _encoder(suffix)
        self._stream = stream = self._container.add_stream(encoder, rate=rate or _USUAL_RATE)
        stream.width, stream.height = width + width % 2, height + height % 2
        stream.pix_fmt = "yuvj420p" if encoder == "mjpeg" else "yuv420p"
        if encoder == "libx264":
            stream.options = dict(_H264)
            stream.gop_size = _KEY_FRAME_INTERVAL
            stream.color_range = _LIMITED_RANGE
            stream.colorspace = stream.color_primaries = stream.color_trc = _BT709
        else:
            stream.bit_rate = round(stream.width * stream.height * (rate or _USUAL_RATE))
        stream.codec_context.time_base = self._tick_s
        stream.codec_context.thread_count = 1  # the other cores are for the inspection

    def append(self, picture: UInt8Array, time_s: Fraction | float) -> None:
        """Write a picture.

        Args:
            picture: uint8 (h, w, 3), BGR.
            time_s: When it is shown, in seconds from the first one. It comes after the one before it in any case.
        """
        width, height = self._size
        if picture.shape[:2] != (height, width):
            picture = np.asarray(cv2.resize(picture, self._size, interpolation=cv2.INTER_AREA), np.uint8)
        if height % 2 or width % 2:
            even = cv2.copyMakeBorder(picture, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
            picture = np.asarray(even, np.uint8)
        frame = av.VideoFrame.from_ndarray(picture, format="bgr24")
        if self._stream.colorspace == _BT709:
            frame = frame.reformat(format="yuv420p", dst_colorspace="itu709")
        self._latest = max(self._latest + 1, round(time_s / self._tick_s))
        frame.pts, frame.time_base, frame.duration = self._latest, self._tick_s, 1
        self._container.mux(self._stream.encode(frame))

    def finish(self) -> None:
        """Write what the encoder holds back."""
        self._container.mux(self._stream.encode())

    def close(self) -> None:
        """Write the index, and close the file."""
        self._container.close()


def constant_rate(source: str) -> Fraction | None:
    """Frames per second of a video file; None for everything else, and where the file does not say it.

    Args:
        source: A frame's `source`: a path, or the URI of a camera.
    """
    path = Path(source.removeprefix("video://"))
    if camera_kind(source) != "video" or not is_file(path):  # a pipe is no file: opened twice, it would lose frames
        return None
    try:
        with av.open(f"file:{path}") as container:
            rate: Fraction | None = container.streams.video[0].average_rate
    except (av.FFmpegError, IndexError):
        return None
    if not rate or not 1 <= rate <= 1000:
        return None
    return rate.limit_denominator(1001 if rate < 60 else 1)  # MPEG-4 has 16 bits for the numerator


def _encoder(suffix: str) -> Literal["mjpeg", "libx264", "mpeg4"]:
    """The name of FFmpeg's encoder: builds of FFmpeg without GPL code have no H.264."""
    if suffix == ".avi":
        return "mjpeg"
    return "libx264" if "libx264" in av.codecs_available else "mpeg4"
