from __future__ import annotations

import contextlib
import http.server
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from services import genicam_server, rtsp_server, switched_on

N_FRAMES = 20


def write_video(path: Path, fourcc: str = "mp4v", n_frames: int = N_FRAMES) -> Path:
    """Frame i has grey level 10 i."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*fourcc), 25, (64, 48))
    for number in range(n_frames):
        writer.write(np.full((48, 64, 3), 10 * number, np.uint8))
    writer.release()
    return path


@pytest.fixture
def video(tmp_path: Path) -> Path:
    return write_video(tmp_path / "line.mp4")


@pytest.fixture
def picture_folder(tmp_path: Path) -> Path:
    """Pictures part1 to part12 of grey level 10 i, and a text file."""
    folder = tmp_path / "parts"
    folder.mkdir()
    for number in range(1, 13):
        cv2.imwrite(str(folder / f"part{number}.png"), np.full((8, 9), 10 * number, np.uint8))
    (folder / "notes.txt").write_text("not a picture")
    return folder


class _StallingCamera(http.server.BaseHTTPRequestHandler):
    """A network camera that sends `n_frames` JPEG pictures and then nothing, with the connection open."""

    n_frames = 60
    release = threading.Event()

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        for number in range(self.n_frames):
            jpeg = cv2.imencode(".jpg", np.full((48, 64, 3), 4 * number, np.uint8))[1].tobytes()
            head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
            self.wfile.write(head.encode() + jpeg + b"\r\n")
        self.wfile.flush()
        self.release.wait(20)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


class _Server(http.server.ThreadingHTTPServer):
    """A camera does not mind that its viewer hangs up; the default prints a traceback."""

    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        pass


@contextlib.contextmanager
def _serving(handler: type[http.server.BaseHTTPRequestHandler]) -> Iterator[str]:
    server = _Server(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/video.mjpg"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def network_camera() -> Iterator[str]:
    _StallingCamera.release.clear()
    with _serving(_StallingCamera) as uri:
        yield uri
        _StallingCamera.release.set()


@pytest.fixture
def served() -> Iterator[Callable[[list[bytes]], str]]:
    """`served(bodies)` is the URI of a network camera that sends these bytes as JPEG pictures, and hangs up."""
    with contextlib.ExitStack() as stack:

        def serve(bodies: list[bytes]) -> str:
            class Camera(_StallingCamera):
                def do_GET(self) -> None:
                    self.send_response(200)
                    self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
                    self.end_headers()
                    for body in bodies:
                        head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(body)}\r\n\r\n"
                        self.wfile.write(head.encode() + body + b"\r\n")

            return stack.enter_context(_serving(Camera))

        yield serve


@pytest.fixture
def streamed() -> Iterator[Callable[[list[bytes], float], str]]:
    """`streamed(pieces, per_second)` is the URI of a stream whose pieces come one after the other at that rate."""
    with contextlib.ExitStack() as stack:

        def stream(pieces: list[bytes], per_second: float) -> str:
            class Camera(_StallingCamera):
                def do_GET(self) -> None:
                    self.send_response(200)
                    self.end_headers()
                    for piece in pieces:
                        self.wfile.write(piece)
                        time.sleep(1 / per_second)

            return stack.enter_context(_serving(Camera))

        yield stream


@pytest.fixture
def rtsp_camera() -> Iterator[str]:
    with switched_on(rtsp_server()) as server:
        yield server.uri


@pytest.fixture
def genicam_camera() -> Iterator[str]:
    with genicam_server() as server, switched_on(server):
        yield server.uri
