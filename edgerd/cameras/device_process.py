"""A camera of this machine in a process of its own, for a driver that hangs: `/dev/video0?process=1`.

A thread that hangs in a driver keeps the device taken, so that it cannot be opened again. A process is killed, and the
kernel takes the device back. It costs a copy of each frame, and half a second more whenever the camera is opened.

The two sides talk in lines: `read` asks for a frame, and a line of JSON tells what came of it. The frame itself lies in
memory that both share.
"""

from __future__ import annotations

import contextlib
import json
import mmap
import os
import select
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from edgerd import errors
from edgerd.cameras.closing import Handle
from edgerd.cameras.opencv import DeviceCamera, device_options
from edgerd.cameras.protocol import (
    LIVE_TIMEOUT_S,
    UnreadablePictureError,
    damaged_frame,
    lost_camera,
    silent_camera,
)
from edgerd.errors import EdgerdError, InputError
from edgerd.types import Frame, PixelFormat, UInt8Array

_OPEN_TIMEOUT_S = 15.0
_POLL_S = 0.1
_NO_PIXELS = np.empty((0, 0, 3), np.uint8)


def device_camera(uri: str) -> DeviceCamera | DeviceProcessCamera:
    """The camera of a URI, in a process of its own where the URI asks for one.

    Args:
        uri: `0`, `/dev/video0` or `device://0`, with options or without; see `DeviceOptions`.

    Raises:
        InputError: There is no such option, or it cannot have this value.
        CameraError: It does not open, or does not take an option.
    """
    if not device_options(uri).process:
        return DeviceCamera(uri)
    if not hasattr(os, "memfd_create"):
        raise InputError(f"{uri} cannot be used: process=1 needs Linux.", hint="Leave process=1 out.")
    return DeviceProcessCamera(uri)


class DeviceProcessCamera:
    """A `DeviceCamera` that is read in a process of its own; `close` kills it.

    Args:
        uri: `0`, `/dev/video0` or `device://0`, with options or without; see `DeviceOptions`.
        timeout_s: How long it may stay silent.

    Raises:
        InputError: There is no such option, or it cannot have this value.
        CameraError: It does not open, or does not take an option.
    """

    live = True
    fixed_size = True
    n_frames: int | None = None

    def __init__(self, uri: str, timeout_s: float = LIVE_TIMEOUT_S) -> None:
        self.uri = uri
        self._timeout_s = timeout_s
        self._n_frames = 0
        self._line = bytearray()
        self._fd = os.memfd_create("edgerd-camera")
        self._memory: mmap.mmap | None = None
        self._process = subprocess.Popen(  # noqa: S603
            _command(uri, self._fd),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            pass_fds=(self._fd,),
            start_new_session=True,  # Ctrl-C is for us, who end it
        )
        assert self._process.stdin is not None and self._process.stdout is not None  # noqa: S101, PT018 -- asked for
        self._commands, self._answers = self._process.stdin, self._process.stdout
        self._handle = Handle(self._release)
        try:
            self._answer(_OPEN_TIMEOUT_S)
        except BaseException:
            self.close()
            raise

    def read(self) -> Frame | None:
        """The next frame; None once closed.

        Raises:
            CameraError: Nothing came in time, or the process has ended.
            UnreadablePictureError: This frame arrived damaged.
        """
        return self._read(None)

    def read_into(self, buffer: UInt8Array) -> Frame | None:
        """Read the next frame into memory that fits it, as `FillingCamera.read_into` describes."""
        return self._read(buffer)

    def close(self) -> None:
        """Kill the process, without waiting for its end; a read in another thread returns None."""
        self._handle.closed.set()
        self._process.kill()
        self._handle.close()
        threading.Thread(target=self._process.wait, name=f"camera {self._process.pid}", daemon=True).start()

    def _read(self, buffer: UInt8Array | None) -> Frame | None:
        with self._handle.reading():
            try:
                if self._handle.closed.is_set():
                    return None
                with contextlib.suppress(BrokenPipeError):  # of a process that has ended, which its answer says
                    self._commands.write(b"read\n")
                answer = self._answer(self._timeout_s)
            except EdgerdError:
                self._process.kill()  # so that no late answer is taken for that of another read
                if self._handle.closed.is_set():  # nobody waits for a frame any more
                    return None
                raise
            return None if answer is None else self._frame(answer, buffer)

    def _answer(self, timeout_s: float) -> dict[str, Any] | None:
        """What the process says next; None once closed.

        Raises:
            EdgerdError: What it says is that error; or it has ended, or says nothing.
        """
        deadline_s = time.monotonic() + timeout_s
        while b"\n" not in self._line:
            if select.select([self._answers], [], [], _POLL_S)[0]:
                received = os.read(self._answers.fileno(), 4096)
                if not received:
                    raise lost_camera(self.uri, "the process that reads it has ended", self._n_frames)
                self._line += received
            elif self._handle.closed.is_set():
                return None
            elif time.monotonic() > deadline_s:
                raise silent_camera(self.uri, timeout_s)
        line, _, self._line = self._line.partition(b"\n")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise getattr(errors, answer["error"])(answer["what"], expected=answer["expected"], hint=answer["hint"])
        return answer

    def _frame(self, answer: dict[str, Any], buffer: UInt8Array | None) -> Frame:
        self._n_frames += 1
        is_damaged = bool(answer["damage"])
        frame = Frame(
            data=_NO_PIXELS if is_damaged else self._copied(tuple(answer["shape"]), buffer),
            pixel_format=PixelFormat(answer["pixel_format"]),
            number=answer["number"],
            captured_at=answer["captured_at"],
            captured_monotonic_s=answer["captured_monotonic_s"],
            source=self.uri,
        )
        if is_damaged:
            raise damaged_frame(frame, answer["damage"])
        return frame

    def _copied(self, shape: tuple[int, ...], buffer: UInt8Array | None) -> UInt8Array:
        """The frame that lies in the shared memory, in the buffer where it fits."""
        size = os.fstat(self._fd).st_size
        if self._memory is None or len(self._memory) != size:
            self._memory = mmap.mmap(self._fd, size, prot=mmap.PROT_READ)
        shared: UInt8Array = np.ndarray(shape, np.uint8, self._memory)
        if buffer is None or buffer.shape != shape:
            return np.array(shared)
        np.copyto(buffer, shared)
        return buffer

    def _release(self) -> None:
        self._commands.close()
        self._answers.close()
        os.close(self._fd)
        self._memory = None


def _command(uri: str, fd: int) -> Sequence[str]:
    # With this process's own search path: by default it would begin with the folder that the user is in.
    program = f"import sys; sys.path = {sys.path!r}; from {__name__} import main; main()"
    return [sys.executable, "-c", program, uri, str(fd)]


def main() -> None:
    """The process: open the camera, say so, and answer each `read`."""
    uri, fd = sys.argv[1], int(sys.argv[2])
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    try:
        camera = DeviceCamera(uri)
        _say({"opened": True})
        memory = _SharedMemory(fd)
        for _ in sys.stdin:
            _say(_answer_of(camera, memory))
    except EdgerdError as error:
        told = {"what": error.what, "expected": error.expected, "hint": error.hint}
        _say({"error": type(error).__name__, **told})


class _SharedMemory:
    """Memory in which one frame lies at a time; it is as large as the largest of them."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self.array: UInt8Array = np.empty(0, np.uint8)

    def holds(self, data: UInt8Array) -> bool:
        """Whether a frame was read to where it is to lie."""
        return bool(np.may_share_memory(data, self.array))

    def put(self, data: UInt8Array) -> None:
        """Copy a frame to it; the next of its shape can be read into `array`."""
        if self.array.shape != data.shape:
            os.ftruncate(self._fd, max(data.nbytes, os.fstat(self._fd).st_size))
            self.array = np.ndarray(data.shape, np.uint8, mmap.mmap(self._fd, 0))
        np.copyto(self.array, data)


def _answer_of(camera: DeviceCamera, memory: _SharedMemory) -> dict[str, Any]:
    damage = ""
    try:
        frame = camera.read_into(memory.array)
    except UnreadablePictureError as damaged:
        frame, damage = damaged.frame, damaged.damage
    assert frame is not None  # noqa: S101 -- nobody has closed it
    if not damage and not memory.holds(frame.data):
        memory.put(frame.data)
    return {
        "damage": damage,
        "shape": frame.data.shape,
        "pixel_format": frame.pixel_format.value,
        "number": frame.number,
        "captured_at": frame.captured_at,
        "captured_monotonic_s": frame.captured_monotonic_s,
    }


def _say(answer: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


def _end_with(parent: int) -> None:
    """End this process when its parent has: a driver that hangs would keep it, and the device, for ever."""
    while os.getppid() == parent:
        time.sleep(1.0)
    os._exit(1)
