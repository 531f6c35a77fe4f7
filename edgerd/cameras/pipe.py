"""A video that comes through a named pipe or standard input."""

from __future__ import annotations

import errno
import os
import select
import stat
import threading

from edgerd.cameras.protocol import LIVE_TIMEOUT_S
from edgerd.errors import CameraError
from edgerd.redaction import without_secrets

_POLL_S = 0.1


class Pipe:
    """A pipe, in the form of a file that PyAV reads and cannot seek in.

    FFmpeg's own read of a pipe does not return before something comes, not even on Ctrl-C.

    Args:
        path: Where the pipe is.

    Raises:
        OSError: The pipe may not be read.
    """

    def __init__(self, path: str) -> None:
        # Without waiting for the other end, which may never be opened.
        self._file = open(path, "rb", buffering=0, opener=_open_at_once)  # noqa: SIM115 -- `close` closes it
        self._ended = threading.Event()

    def has_begun(self, timeout_s: float) -> bool:
        """Wait for the first bytes, or an end without any."""
        return bool(select.select([self._file], [], [], timeout_s)[0])

    def read(self, n: int) -> bytes:
        """At most `n` bytes, as soon as there are some; none at the end."""
        while not self._ended.is_set():
            if select.select([self._file], [], [], _POLL_S)[0]:
                content = self._file.read(n)
                if content is not None:
                    return content
        return b""

    def end(self) -> None:
        """Let a read that waits in another thread come to its end."""
        self._ended.set()

    def close(self) -> None:
        """Let go of the pipe; not while it is read."""
        self._file.close()


def opened_pipe(uri: str, path: str) -> Pipe | None:
    """The pipe that a path leads to; None where it leads to a file.

    Args:
        uri: What was typed, for the error.
        path: The path in the URI.

    Raises:
        CameraError: There is nothing, it may not be read, it is a folder, or nothing comes through the pipe
            for `LIVE_TIMEOUT_S`.
    """
    pipe = _pipe_at(uri, path)
    if pipe is not None and not pipe.has_begun(LIVE_TIMEOUT_S):
        pipe.close()
        raise CameraError(
            f"Nothing has come through the pipe {uri} for {LIVE_TIMEOUT_S:g} s.",
            expected="a video",
            hint="Start the program that writes to it first.",
        )
    return pipe


def _pipe_at(uri: str, path: str) -> Pipe | None:
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116 -- nothing here may be a Path: the text may be anything
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        return Pipe(path) if stat.S_ISFIFO(mode) else None
    except PermissionError as error:
        raise CameraError(
            f"{without_secrets(uri)} may not be read: {error.strerror}.",
            expected="a video file that this user may read",
            hint="Check its permissions, and those of the folders above it.",
        ) from error
    except (OSError, ValueError) as error:
        raise CameraError(
            f"There is no camera or file {without_secrets(uri)}.",
            expected="0, /dev/video0, csi://0, genicam://SERIAL, rtsp://..., http://..., gst://..., a video file, "
            "a folder or glob of pictures, or sample://",
            hint="A pipeline begins with gst://" if " ! " in uri else "Check the spelling and the working directory.",
        ) from error


def _open_at_once(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)
