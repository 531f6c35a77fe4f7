"""Camera servers that tests start, kill and start again, each a process of its own; benchmarks start the same ones."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import pytest
from damaged import noisy_pictures

from benchmarks.rig import camera_servers
from benchmarks.rig.camera_servers import CameraServer, free_port, missing_for_genicam, missing_for_rtsp

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


@contextlib.contextmanager
def switched_on(server: CameraServer) -> Iterator[CameraServer]:
    server.switch_on()
    try:
        yield server
    finally:
        server.switch_off()


def mjpeg_server(folder: Path) -> CameraServer:
    """Pictures at 25 frames per second, each whole in itself."""
    for number, picture in enumerate(noisy_pictures(5)):
        cv2.imwrite(str(folder / f"{number}.jpg"), picture)
    port = free_port()
    return CameraServer(
        f"http://127.0.0.1:{port}/video.mjpg", [sys.executable, "-c", MJPEG, str(port), str(folder)], port
    )


def rtsp_server(key_frame_interval: int = 25) -> CameraServer:
    """A test pattern in H.264 at 25 frames per second, with a key frame every so many."""
    if missing := missing_for_rtsp():
        pytest.skip(missing)
    pattern = "videotestsrc is-live=true pattern=ball ! video/x-raw,width=160,height=120,framerate=25/1"
    return camera_servers.rtsp_server(pattern, key_frame_interval)


@contextlib.contextmanager
def genicam_server(*options: str) -> Iterator[CameraServer]:
    """A GigE Vision camera of 512x512 pixels at 25 frames per second, switched off at first."""
    if missing := missing_for_genicam():
        pytest.skip(missing)
    with camera_servers.genicam_server(*options) as server:
        yield server
