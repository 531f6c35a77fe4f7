"""Cameras that FFmpeg reads, through PyAV: network streams and video files.

docs/decisions/pyav.md says why not through OpenCV, which reads them too.
"""

from __future__ import annotations

import math
import shlex
import sys
import time
from collections import deque
from typing import Any

import av
import numpy as np

from edgerd.cameras.closing import Handle
from edgerd.cameras.ffmpeg_decoder import BgrConverter, Damage, Decoded, StrictDecoder, what_is_wrong
from edgerd.cameras.pipe import opened_pipe
from edgerd.cameras.protocol import LIVE_TIMEOUT_S, damaged_frame, lost_camera, silent_camera
from edgerd.cameras.times import CaptureClock, Moment
from edgerd.errors import CameraError
from edgerd.redaction import without_secrets
from edgerd.types import Frame, UInt8Array

_NO_PIXELS = np.empty((0, 0, 3), np.uint8)
_MAX_ERRORS = 50
"""After an error the demuxer looks for the next whole packet; after so many in a row the source is lost."""
_MAX_KEY_FRAME_INTERVAL_S = 15.0
"""A stream that is joined between two key frames gives no frame before the next; so long it is waited for."""


class _FFmpegCamera:
    """Reads the packets of a stream or file and decodes them: what network cameras and video files have in common."""

    live: bool
    fixed_size = True
    n_frames: int | None = None

    def __init__(self, uri: str, container: av.container.InputContainer, timeout_s: float = math.inf) -> None:
        self.uri = without_secrets(uri)
        self._timeout_s = timeout_s
        self._container = container
        self._packets = container.demux(video=0)
        self._decoder = StrictDecoder(container.streams.video[0].codec_context)
        self._converter = BgrConverter()
        self._decoded: deque[Decoded] = deque()
        self._number = 0
        self._n_errors = 0
        self._handle = Handle(self._release)
        self._clock = CaptureClock()
        self._arrived = Moment.now()

    def read(self) -> Frame | None:
        """The next frame; None once closed, and at the end of a file.

        Raises:
            CameraError: The source was lost; the error says how many frames came before. A live source is also lost
                when it ends or falls silent, and a file when not one of its frames is whole.
            UnreadablePictureError: This frame arrived damaged; the next call goes on with the one after it.
        """
        return self._read(None)

    def read_into(self, buffer: UInt8Array) -> Frame | None:
        """Read the next frame into memory that fits it, as `FillingCamera.read_into` describes."""
        return self._read(buffer)

    def close(self) -> None:
        """Let go: now, or where another thread is reading, as soon as its read returns."""
        self._handle.close()

    def _read(self, buffer: UInt8Array | None) -> Frame | None:
        with self._handle.reading():
            try:
                decoded = self._next()
            except CameraError:
                if not self._handle.closed.is_set():  # else nobody waits for a frame any more
                    raise
                decoded = None
            return None if decoded is None else self._frame(decoded, buffer)

    def _next(self) -> Decoded | None:
        began_s = time.monotonic()
        while not self._handle.closed.is_set():
            if self._decoded:
                return self._decoded.popleft()
            if not self._decode_next():
                self._at_end()
                break
            patience_s = self._patience_s
            if not self._decoded and time.monotonic() - began_s > patience_s:
                raise silent_camera(self.uri, patience_s)
        return None

    def _frame(self, decoded: Decoded, buffer: UInt8Array | None) -> Frame:
        captured = self._clock.captured(self._arrived, self._age_s(decoded))
        frame = Frame(
            data=_NO_PIXELS if isinstance(decoded, Damage) else self._converter.convert(decoded, buffer),
            number=self._number,
            captured_at=captured.at,
            captured_monotonic_s=captured.monotonic_s,
            source=self.uri,
        )
        self._number += 1
        if isinstance(decoded, Damage):
            raise damaged_frame(frame, decoded.reason)
        return frame

    @property
    def _patience_s(self) -> float:
        """How long packets may come that bring no frame to light."""
        return self._timeout_s

    def _age_s(self, decoded: Decoded) -> float | None:  # noqa: ARG002 -- of a stream more is known
        """How old a frame was when it arrived; None where nothing says so."""
        return None

    def _decode_next(self) -> bool:
        """Read and decode a packet; False where there is none any more."""
        try:
            packet = next(self._packets)
        except StopIteration:
            return False
        # From None: PyAV's errors repeat the address, secrets included, and `--debug` would show them.
        except av.error.ExitError:  # the time is over
            raise silent_camera(self.uri, self._timeout_s) from None
        except av.error.InvalidDataError as error:
            self._count_error(error)
        except av.FFmpegError as error:
            raise lost_camera(self.uri, what_is_wrong(error), self._number) from None
        else:
            self._n_errors = 0
            self._arrived = Moment.now()
            self._take(packet)
        return True

    def _count_error(self, error: av.error.InvalidDataError) -> None:
        self._n_errors += 1
        if self._n_errors == 1:
            self._decoded.append(Damage("what came is no packet of the stream"))
        elif self._n_errors > _MAX_ERRORS:
            raise lost_camera(self.uri, what_is_wrong(error), self._number) from None
        self._packets = self._container.demux(video=0)  # an iterator that raised has ended

    def _take(self, packet: av.Packet[Any]) -> None:
        if packet.size:
            self._decoded.extend(self._decoder.decode(packet))
        elif packet.dts is None:  # what PyAV puts at the end, for the pictures that the decoder still holds
            self._decoded.extend(self._decoder.decode(None))
        else:
            self._decoded.append(Damage("the file holds nothing in its place"))

    def _at_end(self) -> None:
        """Raise CameraError where the source should not end, or not like this."""
        raise NotImplementedError

    def _release(self) -> None:
        self._container.close()


class StreamCamera(_FFmpegCamera):
    """A network camera.

    Args:
        uri: `rtsp://...` or `http://...`.
        timeout_s: How long it may take to connect, and stay silent.

    Raises:
        CameraError: It does not open.
    """

    live = True

    def __init__(self, uri: str, timeout_s: float = LIVE_TIMEOUT_S) -> None:
        self._has_begun = False
        self._began_at: float | None = None
        options = {
            "rtsp_transport": "tcp",  # over UDP parts of frames get lost
            # What FFmpeg may look at to learn about the stream; by default as long as may pass before it gives up.
            "analyzeduration": f"{round(timeout_s * 0.5e6)}",
            "fpsprobesize": "0",  # else it collects a second of frames to guess how many there are in one
        }
        try:
            container = av.open(uri, "r", options=options, timeout=(timeout_s, timeout_s))
        except av.FFmpegError as error:
            raise _does_not_open(uri, _why(error), timeout_s) from None  # its text holds the address, with secrets
        if not container.streams.video:
            container.close()
            raise _does_not_open(uri, "it has no video", timeout_s)
        super().__init__(uri, container, timeout_s)

    def _take(self, packet: av.Packet[Any]) -> None:
        # One that is joined between two key frames begins with the next of them; before it nothing can be decoded.
        self._has_begun = self._has_begun or packet.is_keyframe
        self._note_time(packet)
        if self._has_begun:
            super()._take(packet)

    def _note_time(self, packet: av.Packet[Any]) -> None:
        """Note when the stream began, where a packet says so.

        An RTSP server tells every few seconds what its own clock shows. FFmpeg makes a time of each packet from that
        ("producer reference time": an int64, Unix time in microseconds, begins the structure), and so it does not drift
        away over months. The clocks of many cameras are wrong: `CaptureClock` believes none that says the impossible.
        """
        if packet.pts is not None and packet.has_sidedata("prft"):
            stated_us = int.from_bytes(bytes(packet.get_sidedata("prft"))[:8], sys.byteorder, signed=True)
            self._began_at = stated_us / 1e6 - float(packet.pts * packet.time_base)

    @property
    def _patience_s(self) -> float:
        return self._timeout_s if self._has_begun else max(self._timeout_s, _MAX_KEY_FRAME_INTERVAL_S)

    def _age_s(self, decoded: Decoded) -> float | None:
        if self._began_at is None or isinstance(decoded, Damage) or decoded.time is None:
            return None
        return self._arrived.at - (self._began_at + decoded.time)

    def _at_end(self) -> None:
        raise lost_camera(self.uri, "the other side ended the stream", self._number)


class VideoFile(_FFmpegCamera):
    """A video file, every frame of it; or a pipe through which one comes.

    Args:
        uri: Path, or `video://PATH`.

    Raises:
        CameraError: There is no such file, or it is not a video.
    """

    live = False

    def __init__(self, uri: str) -> None:
        path = uri.removeprefix("video://")
        self._n_whole = 0
        self._pipe = opened_pipe(uri, path)
        try:
            # With the protocol's name, because FFmpeg takes what stands before a colon in a file's name for one.
            container = av.open(self._pipe or f"file:{path}", "r")
        except av.FFmpegError as error:
            if self._pipe:
                self._pipe.close()
            raise _broken_video(uri, what_is_wrong(error)) from error
        if not container.streams.video:
            container.close()
            raise _broken_video(uri, "it holds no video")
        super().__init__(uri, container)
        self.n_frames = _announced_frames(container)

    def close(self) -> None:
        """Let go: now, or where another thread is reading, as soon as its read returns."""
        super().close()
        if self._pipe:
            self._pipe.end()

    def _frame(self, decoded: Decoded, buffer: UInt8Array | None) -> Frame:
        self._n_whole += not isinstance(decoded, Damage)
        return super()._frame(decoded, buffer)

    def _at_end(self) -> None:
        if self._n_whole == 0:
            raise _broken_video(self.uri, "not one of its frames is whole")

    def _release(self) -> None:
        super()._release()
        if self._pipe:
            self._pipe.close()


def _announced_frames(container: av.container.InputContainer) -> int | None:
    """What the file says of its length; None where it does not."""
    stream = container.streams.video[0]
    if stream.frames:
        return stream.frames
    if container.duration is None or stream.average_rate is None:
        return None
    return round(container.duration / av.time_base * stream.average_rate) or None


def _does_not_open(uri: str, reason: str, timeout_s: float) -> CameraError:
    return CameraError(
        f"{without_secrets(uri)} does not open: {reason}.",
        expected=f"a video stream that answers within {timeout_s:g} s",
        hint="Check address, port, path, user and password with another player, such as ffplay.",
    )


def _broken_video(uri: str, reason: str) -> CameraError:
    return CameraError(
        f"{uri} cannot be decoded as a video: {reason}.",
        expected="a video file with at least one whole frame",
        hint=f"ffprobe {shlex.quote(uri)}   says what is in it; copy or record it again.",
    )


def _why(error: av.FFmpegError) -> str:
    return "it does not answer" if isinstance(error, av.error.ExitError) else what_is_wrong(error)
