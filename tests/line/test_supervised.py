"""A camera that is lost, hangs or does not open, and comes back: what its reader is told, and when."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgerd.cameras.fake import FakeCamera
from edgerd.cameras.protocol import (
    Camera,
    FillingCamera,
    ReturningCamera,
    TriggeredCamera,
    UnreadablePictureError,
    damaged_frame,
)
from edgerd.errors import CameraError, InputError, MissingDependencyError
from edgerd.line import supervised
from edgerd.line.supervised import MAX_ABANDONED, SupervisedCamera, open_supervised
from edgerd.types import Frame, UInt8Array

URI = "rtsp://admin:secret@10.0.0.3/live"
LOST = CameraError("The cable was pulled.")


@pytest.fixture(scope="module", autouse=True)
def hasty() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(supervised, "FIRST_PAUSE_S", 0.001)
        patch.setattr(supervised, "MAX_PAUSE_S", 0.001)
        yield


def picture(value: int = 0) -> UInt8Array:
    return np.full((4, 6, 3), value, np.uint8)


class Shop:
    """Opens one camera after the other: each entry is a camera, or an error in its place; then cameras that block."""

    def __init__(self, *cameras: Camera | Exception) -> None:
        self.n_opened = 0
        self._cameras = iter(cameras)

    def __call__(self) -> Camera:
        self.n_opened += 1
        camera = next(self._cameras, None) or FakeCamera([], live=True, stall=True)
        if isinstance(camera, Exception):
            raise camera
        return camera


def fake(*script: UInt8Array | Frame | Exception, stall: bool = False) -> FakeCamera:
    return FakeCamera(script, live=True, stall=stall)


def supervise(*cameras: Camera | Exception, silence_s: float = 5.0) -> SupervisedCamera:
    return SupervisedCamera(Shop(*cameras), URI, silence_s=silence_s)


def test_it_is_a_camera_that_comes_back_and_takes_triggers_and_hides_its_password() -> None:
    camera = supervise()
    assert isinstance(camera, ReturningCamera)
    assert isinstance(camera, TriggeredCamera)
    assert (camera.live, camera.comes_back, camera.triggered) == (True, True, False)
    assert "secret" not in camera.uri


def test_a_loss_is_told_once_and_the_next_read_waits_until_there_is_a_frame() -> None:
    refused = CameraError("Connection refused.")
    camera = supervise(fake(picture(1), LOST), refused, refused, refused, fake(picture(2)))
    assert camera.read().data.max() == 1
    with pytest.raises(CameraError, match="cable"):
        camera.read()
    assert camera.last_error is LOST
    frame = camera.read()
    assert (frame.data.max(), frame.number) == (2, 1)
    assert camera.last_error is None


def test_reopening_that_fails_for_another_reason_is_told_and_each_reason_once() -> None:
    refused, unknown = CameraError("Connection refused."), CameraError("No such host.")
    camera = supervise(fake(picture(), LOST), refused, unknown, refused, unknown, fake(picture(), LOST))
    camera.read()
    with pytest.raises(CameraError, match="cable"):
        camera.read()
    with pytest.raises(CameraError, match="No such host"):
        camera.read()
    assert camera.read() is not None
    with pytest.raises(CameraError, match="cable"):
        camera.read()


def test_a_camera_that_does_not_open_at_first_is_told_once_and_read_when_it_does() -> None:
    refused = CameraError("Connection refused.")
    camera = supervise(refused, refused, refused, fake(picture()))
    with pytest.raises(CameraError, match="refused"):
        camera.read()
    assert camera.read().number == 0


def test_a_live_camera_that_ends_is_lost() -> None:
    camera = supervise(fake(picture()), fake(picture()))
    camera.read()
    with pytest.raises(CameraError, match="lost after 1 frames: its source has ended"):
        camera.read()
    assert camera.read().number == 1


@pytest.mark.parametrize(
    "error", [InputError("No such option."), MissingDependencyError("No such program."), OSError()]
)
def test_what_is_no_loss_of_a_camera_is_raised_as_it_is(error: Exception) -> None:
    with pytest.raises(type(error)):
        supervise(error).read()


def test_a_silent_camera_is_left_closed_and_opened_again() -> None:
    silent = fake(picture(1), stall=True)
    camera = supervise(silent, fake(picture(2)), silence_s=0.1)
    camera.read()
    with pytest.raises(CameraError, match=r"no frame for 0.1 s"):
        camera.read()
    assert silent.closed.wait(5)
    assert camera.read().data.max() == 2


class StuckCamera(FakeCamera):
    """Its driver does not return from a read, not even when closed; in the end it writes to the memory it was given."""

    def __init__(self) -> None:
        super().__init__([], live=True)
        self.come_to = threading.Event()
        self.has_written = threading.Event()

    def read(self) -> Frame | None:
        return self.read_into(picture())

    def read_into(self, buffer: UInt8Array) -> Frame | None:
        self.come_to.wait(20)
        buffer[...] = 99
        self.has_written.set()
        return Frame(data=buffer)


def test_a_driver_that_hangs_is_lent_no_memory_of_its_reader_and_its_late_frame_is_thrown_away() -> None:
    stuck = StuckCamera()
    assert isinstance(stuck, FillingCamera)
    camera = SupervisedCamera(Shop(stuck, fake(picture(2))), URI, open_timeout_s=0.1)
    assert not isinstance(camera, FillingCamera)
    with pytest.raises(CameraError, match="no frame"):
        camera.read()
    stuck.come_to.set()
    assert stuck.has_written.wait(5)
    assert camera.read().data.max() == 2
    assert stuck.closed.wait(5)


def test_a_driver_that_hangs_while_it_opens_is_left_and_its_camera_closed_when_it_comes() -> None:
    come_to = threading.Event()
    late = fake(picture(1))
    cameras = iter([late, fake(picture(2))])

    def open_camera() -> Camera:
        camera = next(cameras)
        if camera is late:
            come_to.wait(20)
        return camera

    camera = SupervisedCamera(open_camera, URI, open_timeout_s=0.1)
    with pytest.raises(CameraError, match=r"not opened within 0.1 s"):
        camera.read()
    assert camera.read().data.max() == 2
    come_to.set()
    assert late.closed.wait(5)


def test_a_driver_that_hangs_every_time_gets_no_more_threads_than_the_limit_until_they_return() -> None:
    come_to = threading.Event()
    n_opened = 0

    def open_camera() -> Camera:
        nonlocal n_opened
        n_opened += 1
        come_to.wait(20)
        return fake(picture())

    camera = SupervisedCamera(open_camera, URI, open_timeout_s=0.01)
    with pytest.raises(CameraError, match="not opened within"):
        camera.read()
    with pytest.raises(CameraError, match=f"hangs: {MAX_ABANDONED} threads") as caught:
        camera.read()
    assert "restart edgerd" in str(caught.value)
    assert n_opened == MAX_ABANDONED
    come_to.set()
    assert camera.read() is not None


def read_in_a_thread(camera: Camera) -> tuple[threading.Thread, list[Frame | None]]:
    outcome: list[Frame | None] = []
    thread = threading.Thread(target=lambda: outcome.append(camera.read()))
    thread.start()
    return thread, outcome


@pytest.mark.parametrize("hangs_in", ["open", "read", "pause"])
def test_close_wakes_a_read_that_waits_and_does_not_wait_itself(hangs_in: str, monkeypatch: pytest.MonkeyPatch) -> None:
    reached, never = threading.Event(), threading.Event()

    class Camera(FakeCamera):
        def read(self) -> Frame | None:
            reached.set()
            never.wait(20)
            return None

        def close(self) -> None:
            never.wait(20)

    def open_camera() -> Camera:
        if hangs_in == "open":
            reached.set()
            never.wait(20)
        if hangs_in == "pause":
            reached.set()
            raise LOST
        return Camera([])

    camera = SupervisedCamera(open_camera, URI, silence_s=20)
    if hangs_in == "pause":
        monkeypatch.setattr(supervised.random, "uniform", lambda *_: 20_000.0)
        with pytest.raises(CameraError):
            camera.read()
    thread, outcome = read_in_a_thread(camera)
    assert reached.wait(5)
    camera.close()
    camera.close()
    thread.join(5)
    never.set()
    assert outcome == [None]
    assert camera.read() is None


def read_and_close_at_line(n: int) -> bool:
    """Read a camera that is lost once, and close it when the reader comes to the n-th line; whether it came so far."""
    cameras = [fake(picture(), LOST), fake(picture(), LOST), fake(picture(), picture())]
    shop = Shop(*cameras)
    camera = SupervisedCamera(shop, URI)
    n_lines = 0

    def on_line(frame: FrameType, event: str, _: object):
        nonlocal n_lines
        if not frame.f_code.co_filename.endswith(("edgerd/line/supervised.py", "edgerd/line/connection.py")):
            return None
        n_lines += event == "line"
        if event == "line" and n_lines == n:
            camera.close()
        return on_line

    before = sys.gettrace()
    sys.settrace(on_line)
    try:
        for _ in range(5):
            with contextlib.suppress(CameraError):
                camera.read()
    finally:
        sys.settrace(before)
    came_so_far = n_lines >= n
    if came_so_far:
        assert camera.read() is None, f"closed at line {n}"
    camera.close()
    for opened in cameras[: shop.n_opened]:
        assert opened.closed.wait(5), f"closed at line {n}, and a device is left open"
    return came_so_far


def test_whenever_it_is_closed_no_read_hangs_and_no_device_is_left_open() -> None:
    n = 1
    while read_and_close_at_line(n):
        n += 1
    assert n > 50


class Photographer(FakeCamera):
    """Takes a picture when it is told to."""

    triggered = True

    def __init__(self) -> None:
        super().__init__([], live=True)
        self.told = threading.Semaphore(0)

    def trigger(self) -> None:
        self.told.release()

    def read(self) -> Frame | None:
        self.told.acquire(timeout=20)
        return None if self.closed.is_set() else Frame(data=picture(5))


def test_a_camera_that_waits_for_its_trigger_is_not_lost_by_its_silence() -> None:
    camera = SupervisedCamera(Photographer, URI, silence_s=0.05, open_timeout_s=0.1)
    with pytest.raises(CameraError, match="takes no software trigger"):
        camera.trigger()
    thread, outcome = read_in_a_thread(camera)
    time.sleep(0.3)
    assert camera.triggered
    assert thread.is_alive()
    camera.trigger()
    thread.join(5)
    assert outcome[0].data.max() == 5


def test_a_camera_without_triggers_or_that_is_lost_says_why_it_takes_none() -> None:
    camera = supervise(fake(picture(), LOST))
    camera.read()
    with pytest.raises(CameraError, match="takes no software trigger"):
        camera.trigger()
    with pytest.raises(CameraError, match="cable"):
        camera.read()
    with pytest.raises(CameraError, match="cable"):
        camera.trigger()


def test_times_never_go_back_when_a_camera_comes_back_with_another_clock() -> None:
    early = Frame(data=picture(), captured_at=90.0, captured_monotonic_s=9.0)
    late = Frame(data=picture(), captured_at=100.0, captured_monotonic_s=10.0)
    camera = supervise(fake(late, LOST), fake(early))
    first = camera.read()
    with pytest.raises(CameraError):
        camera.read()
    second = camera.read()
    assert second.captured_at >= first.captured_at
    assert second.captured_monotonic_s >= first.captured_monotonic_s


def test_files_are_opened_as_they_are(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not isinstance(open_supervised("sample://?n=1"), SupervisedCamera)
    monkeypatch.setattr(supervised, "open_camera", lambda uri: fake(picture()))
    camera = open_supervised(URI)
    assert isinstance(camera, SupervisedCamera)
    assert camera.read() is not None


# What one connection does: it does not open, or gives whole and damaged frames ("f", "d") and then is lost or ends.
CONNECTION = st.one_of(
    st.sampled_from(["refused", "unreachable"]),
    st.tuples(st.text("fd", max_size=4), st.sampled_from(["lost", "ends"])),
)


def connection(plan: str | tuple[str, str], new_picture: Callable[[], UInt8Array]) -> Camera | Exception:
    if isinstance(plan, str):
        return CameraError(plan)
    script: list[UInt8Array | Exception] = []
    for number, kind in enumerate(plan[0]):
        data = new_picture()
        script.append(data if kind == "f" else damaged_frame(Frame(data=data[:0], number=number), f"is {data.max()}"))
    if plan[1] == "lost":
        script.append(CameraError("lost"))
    return fake(*script)


@settings(deadline=None)  # it starts threads, and waits for them
@given(st.lists(CONNECTION, max_size=6))
def test_every_frame_comes_once_in_order_with_a_number_of_its_own_and_every_outage_is_told(plans) -> None:
    values = iter(range(1, 200))
    cameras = [connection(plan, lambda: picture(next(values))) for plan in plans]
    camera = supervise(*cameras, fake(picture(255)))
    kinds, seen, numbers, sentences = "", [], [], []
    while 255 not in seen:
        try:
            frame = camera.read()
        except UnreadablePictureError as damaged:
            sentences.append((damaged.frame.number, damaged.what))
            seen.append(int(damaged.damage.removeprefix("is ")))
            numbers.append(damaged.frame.number)
            kinds += "d"
        except CameraError:
            kinds += "!"
        else:
            seen.append(int(frame.data.max()))
            numbers.append(frame.number)
            kinds += "f"
    assert seen == [*range(1, len(seen)), 255]
    assert numbers == list(range(len(numbers)))
    assert all(f"Frame {number} " in sentence for number, sentence in sentences)
    frames = [plan[0] if isinstance(plan, tuple) else "" for plan in plans]
    # An outage lies where one connection's frames end and those of the next that has some begin, and at the beginning
    # where the first has none.
    outages = [group for group in kinds.replace("d", "f").split("f") if group]
    expected = [part for part in frames if part]
    starts_badly = bool(plans) and not frames[0]
    assert len(outages) == len(expected) + starts_badly
    assert all(len(outage) <= 4 for outage in outages)  # as many reasons as there are
