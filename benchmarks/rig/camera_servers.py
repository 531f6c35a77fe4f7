"""Programs that stand for network cameras: each serves one on loopback and can be killed, stopped and started again.

The tests of the cameras start the same ones, so nothing else of the rig is imported here.
"""

from __future__ import annotations

import contextlib
import fcntl
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

SYSTEM_PYTHON = "/usr/bin/python3"
FAKE_GENICAM = "arv-fake-gv-camera-0.8"
GENICAM_ADDRESS = "127.0.0.1"
GENICAM_SERIAL = "CAM1"
_RTSP_PROGRAM = Path(__file__).with_name("rtsp_server.py")
_START_S = 20.0


class CameraServer:
    """A program that serves a camera at `uri`, and can be switched off and on.

    Args:
        uri: What it serves.
        command: What to run.
        port: TCP port that it listens on; None where there is nothing to wait for.

    Attributes:
        uri: As given.
        port: As given.
    """

    def __init__(self, uri: str, command: Sequence[str], port: int | None) -> None:
        self.uri = uri
        self._command = list(command)
        self.port = port
        self._process: subprocess.Popen[bytes] | None = None

    def switch_on(self) -> None:
        """Start it, and wait until it listens.

        Raises:
            RuntimeError: It has ended, or does not listen in time.
        """
        process = self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + _START_S
        while self.port is not None and not is_listened_at(self.port):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{' '.join(self._command)} does not listen; exit code {process.poll()}")
            time.sleep(0.01)

    def switch_off(self) -> None:
        """Kill it, as a cable does that is pulled."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def hang(self) -> None:
        """Stop it where it is, with its connections open, as a camera does whose program hangs."""
        if self._process is not None:
            self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Let one that hangs go on as if nothing had been."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)


def rtsp_server(source: str, key_frame_interval: int = 25, encoder: str = "") -> CameraServer:
    """A server of H.264 over RTSP; `missing_for_rtsp` says whether it can run here.

    Args:
        source: The beginning of a GStreamer pipeline, which gives raw video at a steady pace.
        key_frame_interval: Frames from one key frame to the next.
        encoder: More options of x264enc.
    """
    port = free_port()
    pipeline = (
        f"( {source} ! x264enc tune=zerolatency key-int-max={key_frame_interval} {encoder}"
        " ! rtph264pay name=pay0 pt=96 )"
    )
    return CameraServer(f"rtsp://127.0.0.1:{port}/live", [SYSTEM_PYTHON, str(_RTSP_PROGRAM), str(port), pipeline], port)


@contextlib.contextmanager
def genicam_server(*options: str) -> Iterator[CameraServer]:
    """A GigE Vision camera of 512x512 pixels at 25 frames per second, switched off at first.

    Its address and port are always the same, so whoever wants one waits here until nobody else has one. Whether it can
    run here is what `missing_for_genicam` says.

    Args:
        options: More options of the program.
    """
    command = [FAKE_GENICAM, "-i", GENICAM_ADDRESS, "-s", GENICAM_SERIAL, *options]
    with (Path(tempfile.gettempdir()) / "edgerd-genicam.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        server = CameraServer(f"genicam://{GENICAM_ADDRESS}", command, None)
        try:
            yield server
        finally:
            server.switch_off()


def missing_for_rtsp() -> str:
    """What is not installed here for `rtsp_server`, a sentence; empty where all is."""
    return _missing_introspection("GstRtspServer", "gir1.2-gst-rtsp-server-1.0")


def missing_for_genicam() -> str:
    """What is not installed here for `genicam_server` and for reading it, a sentence; empty where all is."""
    if shutil.which(FAKE_GENICAM) is None:
        return f"{FAKE_GENICAM} is not installed (aravis-tools)"
    return _missing_introspection("Aravis", "gir1.2-aravis-0.8")


def is_listened_at(port: int) -> bool:
    """Whether somebody takes connections at a TCP port of this machine."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def free_port() -> int:
    """A TCP port on loopback that nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _missing_introspection(library: str, package: str) -> str:
    program = f"import gi; from gi.repository import {library}"
    if (
        not Path(SYSTEM_PYTHON).exists()
        or subprocess.run([SYSTEM_PYTHON, "-W", "ignore", "-c", program], check=False, capture_output=True).returncode
    ):
        return f"{SYSTEM_PYTHON} has no {library} (python3-gi, {package})"
    return ""
