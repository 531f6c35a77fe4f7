"""A camera that is lost, hangs or does not open, and comes back: what its reader is told, and when."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from supervised_parts import LOST, URI, Shop, fake, picture, read_in_a_thread, supervise

from edgerd.cameras.fake import FakeCamera
from edgerd.cameras.protocol import (
    Camera,
    ReturningCamera,
    TriggeredCamera,
    UnreadablePictureError,
    damaged_frame,
)
from edgerd.errors import CameraError, InputError, MissingDependencyError
from edgerd.line import supervised
from edgerd.line.supervised import SupervisedCamera, open_supervised
from edgerd.types import Frame, UInt8Array


@pytest.fixture(scope="module", autouse=True)
def hasty() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(supervised, "FIRST_PAUSE_S", 0.001)
        patch.setattr(supervised, "MAX_PAUSE_S", 0.001)
        yield


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


def test_a_camera_that_can_be_found_faster_again_is_asked_itself_until_it_is_back() -> None:
    class Remembered(FakeCamera):
        reopened = 0

        def reopen(self) -> Camera:
            self.reopened += 1
            if self.reopened < 3:
                raise CameraError("It does not answer.")
            return fake(picture(7), stall=True)

    first = Remembered((picture(), LOST), live=True)
    shop = Shop(first)
    camera = SupervisedCamera(shop, URI)
    assert camera.read().number == 0
    with pytest.raises(CameraError, match="cable"):
        camera.read()
    assert camera.read().data.max() == 7
    assert (shop.n_opened, first.reopened) == (1, 3)
    camera.close()


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
