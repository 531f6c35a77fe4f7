"""Decode the packets of a video with FFmpeg, and tell whole pictures from damaged ones.

By default a decoder hides what is missing: it keeps the pixels of the picture before, or fills in grey. The missing
half of a part then looks like the part before it. With `err_detect=explode` FFmpeg's decoders report an error instead
(https://ffmpeg.org/ffmpeg-codecs.html, "err_detect").
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any, TypeAlias

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from edgerd.data.containers import container_fault
from edgerd.types import UInt8Array

_STRICT = {"err_detect": "explode"}
_HELD_PICTURES = 64
"""More than any decoder keeps to itself."""


@dataclass(frozen=True)
class Damage:
    """Stands for a picture that arrived damaged.

    Attributes:
        reason: What is wrong with it, for people; no full stop.
    """

    reason: str


Decoded: TypeAlias = av.VideoFrame | Damage


class StrictDecoder:
    """Decodes a stream packet by packet; each picture comes out once, as itself or as `Damage`.

    Most video codecs store what has changed since an earlier picture. After a damaged picture those that build on it
    are wrong too, and the decoder does not know. So everything is `Damage` up to the next key frame, which stands
    alone.

    Args:
        context: Of the stream; not opened yet.
    """

    def __init__(self, context: av.VideoCodecContext) -> None:
        context.options = _STRICT
        # Not several frames at a time: errors would be reported with a later packet, and live frames would be late.
        context.thread_type = "SLICE"
        self._context = context
        self._is_jpeg = context.name == "mjpeg"
        self._all_stand_alone = context.codec.intra_only
        self._follows_damage = False
        self._key_packets: deque[int | None] = deque(maxlen=_HELD_PICTURES)
        self._reported: deque[int] = deque(maxlen=_HELD_PICTURES)

    def decode(self, packet: av.Packet[Any] | None) -> list[Decoded]:
        """The pictures that a packet brings to light, in the order in which they are shown.

        Args:
            packet: Of the stream; None at its end, for the pictures that the decoder still holds.
        """
        fault = self._fault(packet) if packet is not None else ""
        if fault and self._all_stand_alone:
            return [Damage(fault)]
        damaged: list[Decoded] = [self._damaged(fault, packet)] if fault else []
        try:
            frames = self._context.decode(packet)
        except av.FFmpegError as error:
            return damaged or [self._damaged(what_is_wrong(error), packet)]
        if packet is not None and packet.is_keyframe and not fault:
            self._key_packets.append(packet.pts)
        return [*damaged, *(self._checked(frame) for frame in frames if frame.pts not in self._reported)]

    def _fault(self, packet: av.Packet[Any]) -> str:
        """What can be seen of a packet before it is decoded."""
        if packet.is_corrupt:
            return "its data arrived incomplete"
        return container_fault(bytes(packet)) if self._is_jpeg else ""

    def _checked(self, frame: av.VideoFrame) -> Decoded:
        if frame.is_corrupt:
            return self._damaged("parts of it are missing", frame)
        # A key frame may leave the decoder after a later packet was found to be damaged; that one it does not mend.
        if self._follows_damage and frame.key_frame and frame.pts in self._key_packets:
            self._follows_damage = False
        return Damage("it builds on a damaged frame") if self._follows_damage else frame

    def _damaged(self, reason: str, source: av.Packet[Any] | av.VideoFrame | None) -> Damage:
        if not self._all_stand_alone:
            self._follows_damage = True
            self._key_packets.clear()
            # The decoder may still make a picture of it, which must not count twice.
            if source is not None and source.pts is not None:
                self._reported.append(source.pts)
        return Damage(reason)


class JpegDecoder:
    """Decodes JPEG pictures one by one, for cameras that send such."""

    def __init__(self) -> None:
        self._decoder = StrictDecoder(av.CodecContext.create("mjpeg", "r"))

    def decode(self, jpeg: bytes) -> Decoded:
        """The picture, or what is wrong with it."""
        return next(iter(self._decoder.decode(av.Packet(jpeg))), Damage("it holds no picture"))


class BgrConverter:
    """Pictures of FFmpeg as arrays."""

    def __init__(self) -> None:
        self._reformatter = VideoReformatter()

    def convert(self, frame: av.VideoFrame, buffer: UInt8Array | None = None) -> UInt8Array:
        """The picture as it is to be seen: upright, where its file says how it was held.

        Args:
            frame: In any pixel format.
            buffer: Written to and returned if it has the picture's shape.

        Returns:
            uint8 (h, w, 3), BGR.
        """
        bgr = self._reformatter.reformat(frame, format="bgr24")
        plane = bgr.planes[0]
        rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)  # a row may end in padding
        picture = rows[: bgr.height, : 3 * bgr.width].reshape(bgr.height, bgr.width, 3)
        upright = np.rot90(picture, frame.rotation // 90 % 4)
        if buffer is None or buffer.shape != upright.shape:
            return np.array(upright, order="C")
        np.copyto(buffer, upright)
        return buffer


def what_is_wrong(error: av.FFmpegError) -> str:
    """What FFmpeg says, without the address, which its messages repeat; no full stop."""
    return (error.strerror or "unknown error").lower().rstrip(".")
