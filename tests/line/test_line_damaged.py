"""A run whose source has damaged frames, or is lost."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator

import cv2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from inspection_parts import DEFECTIVE, GOOD
from line_parts import run_camera

from edgerd.cameras import open_camera
from edgerd.cameras.fake import FakeCamera
from edgerd.cameras.protocol import damaged_frame, lost_camera
from edgerd.errors import CameraError
from edgerd.inspection.inspector import Inspector
from edgerd.line.summary import Ended
from edgerd.sinks.fake import FakeSink
from edgerd.types import Frame

N_PAIRS = 5
VERDICTS = {"good": "OK", "defective": "NG", "damaged": "NO_DECISION"}


def frame(kind: str, number: int) -> Frame | Exception:
    data = {"good": GOOD, "defective": DEFECTIVE, "damaged": GOOD[:0, :0]}[kind]
    whole = Frame(data, number=number, captured_monotonic_s=number / 10, source="camera")
    return damaged_frame(whole, "the JPEG has no end marker") if kind == "damaged" else whole


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40)
@given(st.lists(st.sampled_from(list(VERDICTS)), max_size=9), st.booleans(), st.booleans())
def test_each_damaged_frame_is_no_decision_and_no_other_frame_is(
    inspector: Inspector, kinds: list[str], live: bool, is_lost: bool
) -> None:
    verdicts = FakeSink()
    script = [frame(kind, number) for number, kind in enumerate(kinds)]
    end = [lost_camera("camera", "the other side ended the stream", len(kinds))] if is_lost else []
    summary = run_camera(inspector, FakeCamera([*script, *end], live=live), verdict_sinks=[verdicts], frames="every")
    lines = verdicts.events[: len(kinds)]
    assert [line["verdict"] for line in lines] == [VERDICTS[kind] for kind in kinds]
    assert [line["frame"] for line in lines] == list(range(len(kinds)))
    assert (summary.frames, summary.no_decision) == (len(kinds), kinds.count("damaged"))
    assert summary.ended is (Ended.ERROR if is_lost else Ended.END_OF_SOURCE)
    if is_lost:
        with pytest.raises(CameraError, match=f"was lost after {len(kinds)} frames"):
            summary.raise_for_error()


def test_the_reason_is_in_the_verdict_line(inspector: Inspector) -> None:
    verdicts = FakeSink()
    run_camera(inspector, FakeCamera([frame("damaged", 0)], live=True), verdict_sinks=[verdicts])
    assert verdicts.events[0]["reason"] == "Frame 0 of camera is damaged: the JPEG has no end marker."


def test_a_secret_is_in_no_line_and_no_summary(inspector: Inspector, served_pairs: str) -> None:
    verdicts, events = FakeSink(), FakeSink()
    camera = open_camera(served_pairs)
    summary = run_camera(inspector, camera, verdict_sinks=[verdicts], event_sinks=[events], frames="every")
    assert summary.frames == 2 * N_PAIRS
    assert "lost" in [event["state"] for event in events.events]
    assert "Sekret1" not in f"{verdicts.events}{events.events}{summary.to_json()}"
    assert "password=***" in summary.camera


@pytest.fixture
def served_pairs() -> Iterator[str]:
    """The URI, with a password, of a network camera that sends some pictures and hangs up."""

    class Camera(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
            self.end_headers()
            for picture in (GOOD, DEFECTIVE) * N_PAIRS:
                body = cv2.imencode(".jpg", picture)[1].tobytes()
                head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(body)}\r\n\r\n"
                self.wfile.write(head.encode() + body + b"\r\n")

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Camera)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/ok?user=admin&password=Sekret1"
    server.shutdown()
    server.server_close()
    thread.join()
