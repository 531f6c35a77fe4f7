"""Decode the packets of a video with FFmpeg, and tell whole pictures from damaged ones.

By default a decoder hides what is missing: it keeps the pixels of the picture before, or fills in grey. The missing
half of a part then looks like the part before it. With `err_detect=explode` FFmpeg's decoders report an error instead
(https://ffmpeg.org/ffmpeg-codecs.html, "err_detect").
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, TypeAlias

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from edgerd.data.containers import container_fault
from edgerd.types import UInt8Array

_STRICT = {"err_detect": "explode"}
_HELD_PICTURES = 32
"""More than any decoder keeps to itself."""
_BUILDS_ON_DAMAGE = "it builds on a damaged frame"


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
        context: The decoder of the stream, not opened yet.
    """

    def __init__(self, context: av.VideoCodecContext) -> None:
        context.options = _STRICT
        # Not several frames at a time: errors would be reported with a later packet, and live frames would be late.
        context.thread_type = "SLICE"
        self._context = context
        self._is_jpeg = context.name == "mjpeg"
        self._all_stand_alone = context.codec.intra_only
        self._follows_damage = False
        self._key_packets: set[int | None] = set()
        # Time stamp of each packet whose picture has not come out yet, and what is known to be wrong with it.
        self._expected: dict[int, str] = {}

    def decode(self, packet: av.Packet[Any] | None) -> list[Decoded]:
        """The pictures that a packet brings to light, in the order in which they are shown.

        Args:
            packet: The next one of the stream; None at its end, for the pictures that the decoder still holds.
        """
        fault = self._fault(packet) if packet is not None else ""
        if fault and self._all_stand_alone:
            return [Damage(fault)]
        frames = []
        try:
            frames = self._context.decode(packet)
        except av.FFmpegError as error:
            fault = fault or what_is_wrong(error)
        if self._all_stand_alone:
            return [Damage(fault)] if fault else [self._checked(frame) for frame in frames]
        decoded: list[Decoded] = self._expect(packet, fault) if packet is not None else []
        for frame in frames:
            if frame.pts is not None:
                decoded += self._missing_before(frame.pts)
            decoded.append(self._checked(frame))
        return decoded if packet is not None else decoded + self._missing_before(math.inf)

    def _fault(self, packet: av.Packet[Any]) -> str:
        """What can be seen of a packet before it is decoded."""
        if packet.is_corrupt:
            return "its data arrived incomplete"
        return container_fault(bytes(packet)) if self._is_jpeg else ""

    def _expect(self, packet: av.Packet[Any], fault: str) -> list[Decoded]:
        """Note that the picture of a packet is to come, and whether it is damaged; what has to be given up by now."""
        if fault:
            self._follows_damage = True
            self._key_packets.clear()
        elif packet.is_keyframe:
            self._key_packets.add(packet.pts)
        if packet.pts is None:
            return [Damage(fault)] if fault else []
        self._expected[packet.pts] = fault
        return self._missing_before(min(self._expected) + 1) if len(self._expected) > _HELD_PICTURES else []

    def _missing_before(self, pts: float) -> list[Decoded]:
        """Pictures that should have come out before this time, in order: an error takes others along.

        Without an error before, there is nothing to miss: some codecs have packets that show no picture.
        """
        missing = sorted(one for one in self._expected if one < pts)
        faults = [self._expected.pop(one) for one in missing]
        return [Damage(fault or _BUILDS_ON_DAMAGE) for fault in faults] if self._follows_damage else []

    def _checked(self, frame: av.VideoFrame) -> Decoded:
        fault = self._expected.pop(frame.pts, "") if frame.pts is not None else ""
        if frame.is_corrupt and not fault:
            fault = "parts of it are missing"
            self._follows_damage = not self._all_stand_alone
        elif self._follows_damage and frame.key_frame and frame.pts in self._key_packets:
            # Only of a packet that came after the damage: a key frame may leave the decoder later than it entered.
            self._follows_damage = False
            self._key_packets.clear()
        if self._follows_damage:
            fault = fault or _BUILDS_ON_DAMAGE
        return Damage(fault) if fault else frame


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
