"""The one-slot mailbox: the newest frame, nothing unbounded, and an end that does not hang."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from types import SimpleNamespace

import numpy as np
import pytest
from device_parts import FillingCamera
from inspection_parts import DEFECTIVE, GOOD, picture

from edgerd.cameras.fake import FakeCamera
from edgerd.cameras.protocol import Camera, UnreadablePictureError
from edgerd.errors import CameraError, PictureError
from edgerd.inspection.slots import Slots
from edgerd.line import mailbox as mailbox_module
from edgerd.line.mailbox import Bell, Mailbox
from edgerd.line.source import Sequential, Source
from edgerd.types import Frame, UInt8Array


class SteppedCamera:
    """Gives a frame each time `step` allows it, so that a test decides how far the capture thread gets."""

    def __init__(self, n_frames: int, error: Exception | None = None) -> None:
        self.delivered = 0
        self.may_read = threading.Semaphore(0)
        self.idle = threading.Semaphore(0)
        self._n_frames = n_frames
        self._error = error

    def script(self) -> Iterator[UInt8Array | Exception]:
        for _ in range(self._n_frames):
            self.idle.release()
            self.may_read.acquire()
            self.delivered += 1
            yield GOOD
        self.idle.release()
        self.may_read.acquire()
        if self._error:
            yield self._error

    def step(self, n_frames: int) -> None:
        """Let so many frames through, and wait until the thread asks for the next."""
        for _ in range(n_frames):
            self.may_read.release()
            self.idle.acquire()


def mailbox_of(camera: Camera, bell: Bell | None = None, **options) -> Mailbox:
    return Mailbox(camera, bell or Bell(), **options)


def take(source: Source) -> Frame | None:
    """What comes next, as a line takes it."""
    deadline_s = time.monotonic() + 10
    while source.waits_since() is None:
        assert time.monotonic() < deadline_s
        time.sleep(0.001)
    return source.take()


def take_number(source: Source) -> int | None:
    frame = take(source)
    return frame.number if frame else None


def test_a_slow_taker_gets_the_newest_and_the_rest_is_counted() -> None:
    stepped = SteppedCamera(n_frames=7)
    with mailbox_of(FakeCamera(stepped.script(), live=True)) as mailbox:
        stepped.idle.acquire()
        stepped.step(1)
        assert take_number(mailbox) == 0
        stepped.step(5)
        assert take_number(mailbox) == 5
        assert mailbox.dropped == 4
        stepped.step(1)
        assert take_number(mailbox) == 6
        stepped.may_read.release()
        assert take_number(mailbox) is None
        assert take_number(mailbox) is None
        assert mailbox.dropped == 4


def test_the_last_frame_comes_before_the_error_that_followed_it() -> None:
    stepped = SteppedCamera(n_frames=1, error=CameraError("The camera was unplugged."))
    with mailbox_of(FakeCamera(stepped.script(), live=True)) as mailbox:
        stepped.idle.acquire()
        stepped.step(1)
        stepped.may_read.release()
        assert take_number(mailbox) == 0
        with pytest.raises(CameraError, match="unplugged"):
            take(mailbox)


def test_a_bug_in_a_camera_reaches_the_taker() -> None:
    with mailbox_of(FakeCamera([ZeroDivisionError("bug")], live=True)) as mailbox, pytest.raises(ZeroDivisionError):
        take(mailbox)


def test_silence_is_a_lost_camera_even_where_the_driver_blocks() -> None:
    camera = FakeCamera([GOOD], live=True, stall=True)
    with mailbox_of(camera, silence_s=0.05) as mailbox:
        assert take_number(mailbox) == 0
        with pytest.raises(CameraError, match=r"fake:// has delivered no frame for 0\.05 s"):
            take(mailbox)
    assert camera.closed.is_set()


def test_a_process_that_stood_still_gives_the_camera_time_for_its_next_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    """A virtual machine that was paused: the clock has run on, and no thread had its turn meanwhile."""
    now_s = 100.0
    monkeypatch.setattr(mailbox_module, "time", SimpleNamespace(monotonic=lambda: now_s))
    stepped = SteppedCamera(n_frames=2)
    with mailbox_of(FakeCamera(stepped.script(), live=True), silence_s=5) as mailbox:
        stepped.idle.acquire()
        now_s += 60
        assert mailbox.waits_since() is None
        stepped.step(1)
        now_s += 60
        frame = mailbox.take()
        assert frame is not None
        assert mailbox.waits_since() is None
        now_s += 60
        assert mailbox.waits_since() is None
        now_s += 0.5
        assert mailbox.waits_since() is not None
        with pytest.raises(CameraError, match="no frame for 5 s"):
            mailbox.take()
        stepped.may_read.release(2)


class _StuckCamera:
    """Its read does not return, whatever `close` does: a driver in an uninterruptible wait."""

    uri, live, fixed_size, n_frames = "stuck://", True, True, None

    def __init__(self) -> None:
        self.release = threading.Event()

    def read(self) -> Frame | None:
        self.release.wait()
        return None

    def close(self) -> None:
        pass


def test_leaving_does_not_wait_for_a_driver_that_never_returns() -> None:
    camera = _StuckCamera()
    with mailbox_of(camera, silence_s=0.05) as mailbox, pytest.raises(CameraError):
        take(mailbox)
    (thread,) = [thread for thread in threading.enumerate() if thread.name == "capture stuck://"]
    assert thread.daemon
    camera.release.set()
    thread.join()


def test_leaving_ends_the_thread() -> None:
    def endless() -> Iterator[UInt8Array]:
        while True:
            time.sleep(0.001)
            yield GOOD

    with mailbox_of(FakeCamera(endless(), live=True, uri="endless://")) as mailbox:
        take(mailbox)
    assert "capture endless://" not in [thread.name for thread in threading.enumerate()]


def test_an_unreadable_picture_takes_the_place_of_a_frame() -> None:
    unreadable = UnreadablePictureError(PictureError("part2.png is broken."), Frame(GOOD[:0], number=1))
    stepped = SteppedCamera(n_frames=1)

    def script() -> Iterator[UInt8Array | Exception]:
        yield unreadable
        yield from stepped.script()

    with mailbox_of(FakeCamera(script())) as mailbox:
        with pytest.raises(UnreadablePictureError, match=r"part2\.png"):
            take(mailbox)
        stepped.may_read.release(2)
        assert take(mailbox) is not None
        assert take(mailbox) is None


def test_sequential_gives_every_frame_and_closes_the_camera() -> None:
    camera = FakeCamera([GOOD] * 3)
    with Sequential(camera) as source:
        assert [take_number(source) for _ in range(4)] == [0, 1, 2, None]
        assert source.dropped == 0
    assert camera.closed.is_set()


def buffers() -> Slots:
    return Slots([np.zeros(GOOD.shape, np.uint8) for _ in range(3)])


def is_buffered(frame: Frame | None, held: Slots) -> bool:
    return frame is not None and held.holds(frame.data)


@pytest.mark.parametrize("source", [mailbox_of, Sequential])
def test_a_camera_that_can_writes_to_a_buffer_and_the_frames_of_others_are_copied_there(source: type) -> None:
    for camera in (FillingCamera([GOOD, DEFECTIVE]), FakeCamera([GOOD, DEFECTIVE])):
        held = buffers()
        with source(camera, buffers=held) as opened:
            frame = take(opened)
            assert is_buffered(frame, held)
            assert np.array_equal(frame.data, GOOD if frame.number == 0 else DEFECTIVE)
            held.give_back(frame.data)
        assert not held.is_lent


@pytest.mark.parametrize("source", [mailbox_of, Sequential])
def test_a_frame_of_another_shape_stays_where_it_is_and_keeps_no_buffer(source: type) -> None:
    larger = picture(height=96, width=128)
    for camera in (FillingCamera([larger]), FakeCamera([larger])):
        held = buffers()
        with source(camera, buffers=held) as opened:
            frame = take(opened)
            assert not is_buffered(frame, held)
            assert frame.data is larger
        assert not held.is_lent


def test_frames_that_nobody_took_give_their_buffers_back() -> None:
    held, stepped = buffers(), SteppedCamera(n_frames=9)
    with mailbox_of(FakeCamera(stepped.script(), live=True), buffers=held) as mailbox:
        stepped.idle.acquire()
        stepped.step(1)
        taken = take(mailbox)
        stepped.step(8)
        assert is_buffered(take(mailbox), held)
        stepped.may_read.release()
        assert take(mailbox) is None
        assert mailbox.dropped == 7
    assert is_buffered(taken, held)
    assert np.array_equal(taken.data, GOOD)


def test_a_frame_that_comes_after_all_left_gives_its_buffer_back() -> None:
    """The driver is stuck for longer than anybody waits for it, and then gives the frame after all."""
    held, comes = buffers(), threading.Event()
    camera = FillingCamera([GOOD], before=lambda _: comes.wait(10))
    with mailbox_of(camera, silence_s=0.05, buffers=held) as mailbox, pytest.raises(CameraError):
        take(mailbox)
    assert held.is_lent
    (thread,) = [thread for thread in threading.enumerate() if thread.name == "capture filling://"]
    comes.set()
    thread.join()
    assert not held.is_lent


def test_a_camera_that_fails_gives_its_buffer_back() -> None:
    def unplugged(number: int) -> None:
        if number == 1:
            raise CameraError("The camera was unplugged.")

    held = buffers()
    with Sequential(FillingCamera([GOOD] * 2, before=unplugged), buffers=held) as source:
        held.give_back(take(source).data)
        with pytest.raises(CameraError, match="unplugged"):
            take(source)
    assert not held.is_lent


def test_the_bell_rings_for_a_frame_and_for_the_end() -> None:
    bell, stepped = Bell(), SteppedCamera(n_frames=1)
    with mailbox_of(FakeCamera(stepped.script(), live=True), bell) as mailbox:
        stepped.idle.acquire()
        assert mailbox.waits_since() is None
        for number in (0, None):
            before_s = time.monotonic()
            stepped.may_read.release()
            bell.wait(10)
            since_s = mailbox.waits_since()
            assert since_s is not None
            assert before_s <= since_s <= time.monotonic()
            assert take_number(mailbox) == number


def test_a_frame_that_replaced_another_has_waited_as_long() -> None:
    """Else the camera that is always newest would always come last."""
    stepped = SteppedCamera(n_frames=9)
    with mailbox_of(FakeCamera(stepped.script(), live=True)) as mailbox:
        stepped.idle.acquire()
        stepped.step(1)
        since_s = mailbox.waits_since()
        stepped.step(3)
        assert mailbox.waits_since() == since_s
        assert take_number(mailbox) == 3
        assert mailbox.waits_since() is None
        stepped.may_read.release()


def test_where_every_frame_counts_the_camera_waits_for_the_taker() -> None:
    given_: list[int] = []

    def script() -> Iterator[UInt8Array]:
        for number in range(5):
            given_.append(number)
            yield GOOD

    with mailbox_of(FakeCamera(script(), live=True), keep="every") as mailbox:
        for number in range(5):
            assert take_number(mailbox) == number
            assert len(given_) <= number + 2  # the one that waits now, and none ahead of it
        assert take_number(mailbox) is None
        assert mailbox.dropped == 0


def test_a_camera_that_waits_for_the_taker_is_not_silent_and_lets_it_leave() -> None:
    with mailbox_of(FakeCamera([GOOD] * 3, live=True), keep="every", silence_s=0.05) as mailbox:
        while mailbox.waits_since() is None:
            time.sleep(0.001)
        time.sleep(0.1)
        assert take_number(mailbox) == 0
    assert mailbox.dropped <= 1
