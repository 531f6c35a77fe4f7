"""Camera servers that tests start, kill and start again, each a process of its own."""

from __future__ import annotations

import contextlib
import fcntl
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import pytest
from damaged import noisy_pictures

SYSTEM_PYTHON = "/usr/bin/python3"
FAKE_GENICAM = "arv-fake-gv-camera-0.8"

RTSP = """
import sys, gi
gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer
Gst.init(None)
port, key_frame_interval = sys.argv[1:]
factory = GstRtspServer.RTSPMediaFactory()
factory.set_launch(
    "( videotestsrc is-live=true pattern=ball ! video/x-raw,width=160,height=120,framerate=25/1"
    f" ! x264enc tune=zerolatency key-int-max={key_frame_interval} ! rtph264pay name=pay0 pt=96 )"
)
factory.set_shared(True)
server = GstRtspServer.RTSPServer()
server.set_address("127.0.0.1")
server.set_service(port)
server.get_mount_points().add_factory("/live", factory)
server.attach(None)
GLib.MainLoop().run()
"""

MJPEG = """
import http.server, itertools, pathlib, sys, time
pictures = [file.read_bytes() for file in sorted(pathlib.Path(sys.argv[2]).glob("*.jpg"))]
class Camera(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        for jpeg in itertools.cycle(pictures):
            self.wfile.write(b"--frame\\r\\nContent-Type: image/jpeg\\r\\nContent-Length: %d\\r\\n\\r\\n" % len(jpeg))
            self.wfile.write(jpeg + b"\\r\\n")
            time.sleep(1 / 25)
    def log_message(self, *_):
        pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Camera).serve_forever()
"""


class CameraServer:
    """A program that serves a camera at `uri`, and can be switched off and on.

    Args:
        uri: What it serves.
        command: What to run.
        port: TCP port that it listens on; None where there is nothing to wait for.
    """

    def __init__(self, uri: str, command: Sequence[str], port: int | None) -> None:
        self.uri = uri
        self._command = list(command)
        self._port = port
        self._process: subprocess.Popen[bytes] | None = None

    def switch_on(self) -> None:
        """Start it, and wait until it listens."""
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 20
        while self._port is not None and not self._listens():
            assert self._process.poll() is None, f"{self._command[0]} has ended"
            assert time.monotonic() < deadline, f"{self._command[0]} does not listen"
            time.sleep(0.01)

    def switch_off(self) -> None:
        """Kill it, as a cable does that is pulled."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def _listens(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self._port or 0), 1):
            return True
        return False


@contextlib.contextmanager
def switched_on(server: CameraServer) -> Iterator[CameraServer]:
    server.switch_on()
    try:
        yield server
    finally:
        server.switch_off()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def mjpeg_server(folder: Path) -> CameraServer:
    """Pictures at 25 frames per second, each whole in itself."""
    for number, picture in enumerate(noisy_pictures(5)):
        cv2.imwrite(str(folder / f"{number}.jpg"), picture)
    port = free_port()
    return CameraServer(
        f"http://127.0.0.1:{port}/video.mjpg", [sys.executable, "-c", MJPEG, str(port), str(folder)], port
    )


def rtsp_server(key_frame_interval: int = 25) -> CameraServer:
    """H.264 at 25 frames per second, with a key frame every so many."""
    needs_introspection("GstRtspServer", "gir1.2-gst-rtsp-server-1.0")
    port = free_port()
    return CameraServer(
        f"rtsp://127.0.0.1:{port}/live", [SYSTEM_PYTHON, "-c", RTSP, str(port), str(key_frame_interval)], port
    )


@contextlib.contextmanager
def genicam_server(*options: str) -> Iterator[CameraServer]:
    """A GigE Vision camera of 512x512 pixels at 25 frames per second, switched off at first.

    It has one address and port, so that tests take turns.
    """
    program = shutil.which(FAKE_GENICAM)
    if program is None:
        pytest.skip(f"{FAKE_GENICAM} is not installed (aravis-tools)")
    needs_introspection("Aravis", "gir1.2-aravis-0.8")
    with (Path(tempfile.gettempdir()) / "edgerd-genicam.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        server = CameraServer("genicam://127.0.0.1", [program, "-i", "127.0.0.1", "-s", "CAM1", *options], None)
        try:
            yield server
        finally:
            server.switch_off()


def needs_introspection(library: str, package: str) -> None:
    program = f"import gi; from gi.repository import {library}"
    if (
        not Path(SYSTEM_PYTHON).exists()
        or subprocess.run([SYSTEM_PYTHON, "-W", "ignore", "-c", program], check=False, capture_output=True).returncode
    ):
        pytest.skip(f"{SYSTEM_PYTHON} has no {library} (python3-gi, {package})")
