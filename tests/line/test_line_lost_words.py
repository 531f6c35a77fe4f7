"""Nothing that was to be said is lost: faults at the one moment where it could be."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest
from inspection_parts import DEFECTIVE, GOOD, picture
from line_parts import run_camera

from edgerd.cameras.fake import FakeCamera
from edgerd.errors import CameraError, EdgerdError, InputError, MissingDependencyError, StorageError
from edgerd.inspection.inspector import Inspector
from edgerd.inspection.slots import Slots
from edgerd.line.decision import PartPolicy, StreamPolicy
from edgerd.line.feed import Feed
from edgerd.line.line import Line
from edgerd.line.mailbox import Bell, Mailbox
from edgerd.line.pick import OnTrigger
from edgerd.line.presence import OnMotion
from edgerd.line.products import Products
from edgerd.line.record import Outlets
from edgerd.line.summary import Ended
from edgerd.line.supervised import SupervisedCamera
from edgerd.line.update import Update
from edgerd.sinks.fake import FakePlcLink, FakeSink
from edgerd.triggers import Trigger
from edgerd.types import Frame, PixelFormat, UInt8Array


def test_an_event_that_cannot_be_written_with_the_last_frame_is_an_error(inspector: Inspector) -> None:
    full, verdicts = FakeSink(capacity=0), FakeSink()
    summary = run_camera(
        inspector, FakeCamera([DEFECTIVE] * 2), max_frames=1, event_sinks=[full], verdict_sinks=[verdicts]
    )
    assert summary.ended is Ended.ERROR
    with pytest.raises(StorageError):
        summary.raise_for_error()
    assert [line["frame"] for line in verdicts.events] == [0]


def test_every_alert_is_closed_at_the_end_though_one_cannot_be_written(inspector: Inspector) -> None:
    class Sink(FakeSink):
        def send(self, message) -> None:
            if message.to_json()["state"] == "cleared" and message.camera == "a":
                raise StorageError("No space is left.")
            super().send(message)

    events, verdicts = Sink(), FakeSink()
    feeds = [Feed(inspector.beside(), FakeCamera([DEFECTIVE]), StreamPolicy(), name=name) for name in "ab"]
    first, second = Line(feeds, Outlets([events], [verdicts])).run()
    assert [(event["camera"], event["state"]) for event in events.events] == [
        ("a", "raised"), ("b", "raised"), ("b", "cleared"),
    ]  # fmt: skip
    assert (first.ended, second.ended) == (Ended.ERROR, Ended.END_OF_SOURCE)
    assert len(verdicts.events) == 2


@pytest.mark.parametrize(
    ("error", "exit_code"), [(InputError("No such scheme."), 2), (MissingDependencyError("av is not installed."), 6)]
)
def test_what_the_first_read_of_a_supervised_camera_raises_ends_it_alone_with_its_exit_code(
    inspector: Inspector, error: EdgerdError, exit_code: int
) -> None:
    def open_() -> FakeCamera:
        raise error

    events = FakeSink()
    feeds = [Feed(inspector, SupervisedCamera(open_, "rtsp://a/b")), Feed(inspector.beside(), FakeCamera([GOOD] * 5))]
    broken, whole = Line(feeds, Outlets([events])).run()
    assert (broken.ended, whole.ended, whole.frames) == (Ended.ERROR, Ended.END_OF_SOURCE, 5)
    with pytest.raises(type(error)) as caught:
        broken.raise_for_error()
    assert caught.value.exit_code == exit_code
    assert [(event["kind"], event["state"], event["reason"]) for event in events.events] == [
        ("camera", "error", error.what)
    ]


def test_a_frame_that_replaces_another_is_never_seen_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """While the new frame is copied to a buffer, the line may look: it finds one of the two, and no silent camera."""
    held = Slots([np.zeros(GOOD.shape, np.uint8) for _ in range(2)])  # one for the camera: it has to give it up first
    copying, copy = threading.Event(), np.copyto
    n_copies = []

    def slow_copy(*arrays: UInt8Array) -> None:
        n_copies.append(1)
        if len(n_copies) == 2:
            copying.set()
            time.sleep(0.05)
        copy(*arrays)

    monkeypatch.setattr(np, "copyto", slow_copy)
    with Mailbox(FakeCamera([GOOD, DEFECTIVE], live=True, stall=True), Bell(), buffers=held) as mailbox:
        assert copying.wait(10)
        assert mailbox.waits_since() is not None
        frame = mailbox.take()
        assert frame is not None
        assert frame.number == 1
        assert np.array_equal(frame.data, DEFECTIVE)


@pytest.mark.parametrize("ahead_s", [0.0, 3600.0])
def test_a_camera_whose_clock_is_ahead_has_deadlines_too(inspector: Inspector, ahead_s: float) -> None:
    def frames() -> Iterator[Frame]:
        yield Frame(GOOD, captured_monotonic_s=time.monotonic() + ahead_s)
        yield Frame(GOOD, number=1, captured_monotonic_s=time.monotonic() + ahead_s)

    verdicts = FakeSink()

    def slow(update: Update) -> None:
        time.sleep(0.1)  # the next frame waits meanwhile

    feed = Feed(inspector, FakeCamera(frames(), live=True), frames="every", deadline_ms=50)
    Line([feed], Outlets(verdict_sinks=[verdicts]), on_update=slow).run()
    assert [line["verdict"] for line in verdicts.events] == ["OK", "NO_DECISION"]
    assert verdicts.events[1]["reason"].startswith("deadline missed")


def test_one_wrong_time_of_a_camera_is_not_that_of_all_frames_after_it() -> None:
    now_s = time.monotonic()
    wrong = Frame(GOOD, captured_monotonic_s=now_s + 3600, captured_at=time.time() + 3600)
    camera = SupervisedCamera(lambda: FakeCamera([wrong, GOOD], live=True, stall=True), "rtsp://a/b")
    times_s = [camera.read().captured_monotonic_s for _ in range(2)]
    camera.close()
    assert now_s <= times_s[0] <= times_s[1] <= time.monotonic()


def test_a_change_over_holds_by_the_time_of_capture_in_any_order(inspector: Inspector) -> None:
    """A trigger that is answered without a frame looks at now; a frame from before may still come."""
    products = Products({"nut": inspector, "bolt": inspector}, "nut")
    before_s = time.monotonic()
    products.change_to("bolt")
    after_s = time.monotonic()
    assert products.at(after_s) == "bolt"
    assert products.at(before_s - 1e-6) == "nut"
    for _ in range(2000):
        products.change_to("nut")
    assert products.at(time.monotonic()) == "nut"


def test_a_frame_that_came_for_a_trigger_answers_it_though_the_line_was_busy(inspector: Inspector) -> None:
    link, fired = FakePlcLink(), threading.Event()

    def frames() -> Iterator[UInt8Array]:
        yield DEFECTIVE  # nobody asked for it
        feed.fire(Trigger("a", "t", None, time.monotonic(), time.time()))
        yield GOOD
        fired.set()

    feed = Feed(inspector, FakeCamera(frames(), live=True, stall=True), name="a", picker=OnTrigger(0.02), max_frames=1)
    line = Line([feed], Outlets(links=[link]))

    def be_busy() -> None:
        assert fired.wait(10)
        time.sleep(0.05)  # now the trigger is overdue

    line.post(be_busy)
    line.run()
    ((verdict, trigger),) = link.published
    assert (trigger.id, verdict.inspection.verdict.value) == ("t", "OK")


def test_a_trigger_for_a_camera_that_has_ended_is_answered_or_refused_while_the_others_go_on(
    inspector: Inspector,
) -> None:
    link, refused = FakePlcLink(), []

    def lost() -> Iterator[UInt8Array]:
        yield GOOD
        feed.fire(Trigger("a", "waits", None, time.monotonic(), time.time()))
        raise CameraError("The cable was cut.")

    def on_update(update: Update) -> None:
        if feed.ended is None or update.statistics.frames < 30:
            return
        answered = [trigger.id for _, trigger in link.published if trigger]
        assert answered == ["waits"]  # long before the run ends
        try:
            feed.fire(Trigger("a", "late", None, time.monotonic(), time.time()))
        except CameraError as error:
            refused.append(error.what)

    feed = Feed(inspector, FakeCamera(lost(), live=True), name="a", picker=OnTrigger(60))
    other = Feed(inspector.beside(), FakeCamera([picture(number=n) for n in range(60)]), name="b")
    Line([feed, other], Outlets(links=[link]), on_update=on_update).run()
    assert refused
    assert "The cable was cut" in refused[0]
    with pytest.raises(InputError, match="takes no trigger that comes as a message"):
        other.fire(Trigger("b", "never", None, 0.0, 0.0))


def test_a_frame_that_cannot_even_be_looked_at_is_undecided_and_the_run_goes_on(inspector: Inspector) -> None:
    verdicts = FakeSink()
    odd = Frame(GOOD, PixelFormat.GREY)
    feed = Feed(inspector, FakeCamera([odd, GOOD], fixed_size=False), picker=OnMotion(inspector.spec))
    (summary,) = Line([feed], Outlets(verdict_sinks=[verdicts])).run()
    assert (summary.ended, summary.no_decision, summary.skipped) == (Ended.END_OF_SOURCE, 1, 1)
    assert "grey" in verdicts.events[0]["reason"]


def test_what_a_policy_held_back_stays_counted_when_the_policy_changes(inspector: Inspector) -> None:
    feed = Feed(inspector, FakeCamera([DEFECTIVE] * 4), StreamPolicy(k=9, n=9))

    def on_update(update: Update) -> None:
        if update.statistics.frames == 2:
            line.post(lambda: feed.change_policy(PartPolicy()))

    line = Line([feed], on_update=on_update)
    (summary,) = line.run()
    assert (summary.held_back, summary.alerts) == (2, 2)
