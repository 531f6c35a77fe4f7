"""The one-slot mailbox: the newest frame, nothing unbounded, and an end that does not hang."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest
from device_parts import FillingCamera
from inspection_parts import DEFECTIVE, GOOD, picture

from edgerd.cameras.fake import FakeCamera
from edgerd.cameras.protocol import UnreadablePictureError
from edgerd.errors import CameraError, PictureError
from edgerd.inspection.slots import Slots
from edgerd.line.mailbox import Mailbox, Sequential
from edgerd.types import Frame, UInt8Array

NEVER = threading.Event()


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


def take_number(mailbox: Mailbox | Sequential) -> int | None:
    frame = mailbox.take(NEVER)
    return frame.number if frame else None


def test_a_slow_taker_gets_the_newest_and_the_rest_is_counted() -> None:
    stepped = SteppedCamera(n_frames=7)
    with Mailbox(FakeCamera(stepped.script(), live=True)) as mailbox:
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
    with Mailbox(FakeCamera(stepped.script(), live=True)) as mailbox:
        stepped.idle.acquire()
        stepped.step(1)
        stepped.may_read.release()
        assert take_number(mailbox) == 0
        with pytest.raises(CameraError, match="unplugged"):
            mailbox.take(NEVER)


def test_a_bug_in_a_camera_reaches_the_taker() -> None:
    with Mailbox(FakeCamera([ZeroDivisionError("bug")], live=True)) as mailbox, pytest.raises(ZeroDivisionError):
        mailbox.take(NEVER)


def test_silence_is_a_lost_camera_even_where_the_driver_blocks() -> None:
    camera = FakeCamera([GOOD], live=True, stall=True)
    with Mailbox(camera, silence_s=0.05) as mailbox:
        assert take_number(mailbox) == 0
        with pytest.raises(CameraError, match=r"fake:// has delivered no frame for 0\.05 s"):
            mailbox.take(NEVER)
    assert camera.closed.is_set()


def test_stop_ends_the_wait() -> None:
    stop = threading.Event()
    with Mailbox(FakeCamera([], live=True, stall=True)) as mailbox:
        timer = threading.Timer(0.05, stop.set)
        timer.start()
        assert mailbox.take(stop) is None
        timer.join()


def test_stop_ends_it_although_a_frame_is_there() -> None:
    """Else a camera that is faster than the engine would never let a run end."""
    stop = threading.Event()
    stepped = SteppedCamera(n_frames=1)
    with Mailbox(FakeCamera(stepped.script(), live=True)) as mailbox:
        stepped.idle.acquire()
        stepped.step(1)
        stop.set()
        assert mailbox.take(stop) is None
        stepped.may_read.release()


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
    with Mailbox(camera, silence_s=0.05) as mailbox, pytest.raises(CameraError):
        mailbox.take(NEVER)
    (thread,) = [thread for thread in threading.enumerate() if thread.name == "capture stuck://"]
    assert thread.daemon
    camera.release.set()
    thread.join()


def test_leaving_ends_the_thread() -> None:
    def endless() -> Iterator[UInt8Array]:
        while True:
            time.sleep(0.001)
            yield GOOD

    with Mailbox(FakeCamera(endless(), live=True, uri="endless://")) as mailbox:
        mailbox.take(NEVER)
    assert "capture endless://" not in [thread.name for thread in threading.enumerate()]


def test_an_unreadable_picture_takes_the_place_of_a_frame() -> None:
    unreadable = UnreadablePictureError(PictureError("part2.png is broken."), Frame(GOOD[:0], number=1))
    stepped = SteppedCamera(n_frames=1)

    def script() -> Iterator[UInt8Array | Exception]:
        yield unreadable
        yield from stepped.script()

    with Mailbox(FakeCamera(script())) as mailbox:
        with pytest.raises(UnreadablePictureError, match=r"part2\.png"):
            mailbox.take(NEVER)
        stepped.may_read.release(2)
        assert mailbox.take(NEVER) is not None
        assert mailbox.take(NEVER) is None


def test_sequential_gives_every_frame_and_closes_the_camera() -> None:
    camera = FakeCamera([GOOD] * 3)
    with Sequential(camera) as source:
        assert [take_number(source) for _ in range(4)] == [0, 1, 2, None]
        assert source.dropped == 0
    assert camera.closed.is_set()


def test_sequential_reads_nothing_after_a_stop() -> None:
    stop = threading.Event()
    stop.set()
    with Sequential(FakeCamera([GOOD])) as source:
        assert source.take(stop) is None


def buffers() -> Slots:
    return Slots([np.zeros(GOOD.shape, np.uint8) for _ in range(3)])


def is_buffered(frame: Frame | None, held: Slots) -> bool:
    return frame is not None and held.holds(frame.data)


@pytest.mark.parametrize("source", [Mailbox, Sequential])
def test_a_camera_that_can_writes_to_a_buffer_and_the_frames_of_others_are_copied_there(source: type) -> None:
    for camera in (FillingCamera([GOOD, DEFECTIVE]), FakeCamera([GOOD, DEFECTIVE])):
        held = buffers()
        with source(camera, buffers=held) as opened:
            frame = opened.take(NEVER)
            assert is_buffered(frame, held)
            assert np.array_equal(frame.data, GOOD if frame.number == 0 else DEFECTIVE)
            held.give_back(frame.data)
        assert not held.is_lent


@pytest.mark.parametrize("source", [Mailbox, Sequential])
def test_a_frame_of_another_shape_stays_where_it_is_and_keeps_no_buffer(source: type) -> None:
    larger = picture(height=96, width=128)
    for camera in (FillingCamera([larger]), FakeCamera([larger])):
        held = buffers()
        with source(camera, buffers=held) as opened:
            frame = opened.take(NEVER)
            assert not is_buffered(frame, held)
            assert frame.data is larger
        assert not held.is_lent


def test_frames_that_nobody_took_give_their_buffers_back() -> None:
    held, stepped = buffers(), SteppedCamera(n_frames=9)
    with Mailbox(FakeCamera(stepped.script(), live=True), buffers=held) as mailbox:
        stepped.idle.acquire()
        stepped.step(1)
        taken = mailbox.take(NEVER)
        stepped.step(8)
        assert is_buffered(mailbox.take(NEVER), held)
        stepped.may_read.release()
        assert mailbox.take(NEVER) is None
        assert mailbox.dropped == 7
    assert is_buffered(taken, held)
    assert np.array_equal(taken.data, GOOD)


def test_a_frame_that_comes_after_all_left_gives_its_buffer_back() -> None:
    """The driver is stuck for longer than anybody waits for it, and then gives the frame after all."""
    held, comes = buffers(), threading.Event()
    camera = FillingCamera([GOOD], before=lambda _: comes.wait(10))
    with Mailbox(camera, silence_s=0.05, buffers=held) as mailbox, pytest.raises(CameraError):
        mailbox.take(NEVER)
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
        held.give_back(source.take(NEVER).data)
        with pytest.raises(CameraError, match="unplugged"):
            source.take(NEVER)
    assert not held.is_lent


def test_who_waits_may_do_something_meanwhile() -> None:
    calls: list[float] = []
    with Mailbox(FakeCamera([], live=True, stall=True), silence_s=0.35) as mailbox, pytest.raises(CameraError):
        mailbox.take(NEVER, idle=lambda: calls.append(time.monotonic()))
    assert len(calls) == 3


def test_a_live_camera_that_is_read_frame_by_frame_is_never_ready() -> None:
    """Its read waits for the camera; a file's does not."""
    assert not Sequential(FakeCamera([GOOD], live=True)).is_ready()
    assert Sequential(FakeCamera([GOOD])).is_ready()


def test_ready_is_whoever_has_a_frame_or_none_any_more() -> None:
    stepped = SteppedCamera(n_frames=1)
    with Mailbox(FakeCamera(stepped.script(), live=True)) as mailbox:
        stepped.idle.acquire()
        assert not mailbox.is_ready()
        stepped.step(1)
        assert mailbox.is_ready()
        mailbox.take(NEVER)
        assert not mailbox.is_ready()
        stepped.may_read.release()
        assert mailbox.take(NEVER) is None
        assert mailbox.is_ready()
