"""Triggers, products and deadlines, as a line follows them."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator

import pytest
from inspection_parts import DEFECTIVE, GOOD, picture

from edgerd.cameras.fake import FakeCamera
from edgerd.errors import InputError
from edgerd.events import FrameVerdict
from edgerd.inspection.inspector import Inspector
from edgerd.line.feed import Feed
from edgerd.line.line import Line
from edgerd.line.pick import EveryNth, OnTrigger
from edgerd.line.products import Products
from edgerd.line.record import Outlets
from edgerd.line.summary import Ended
from edgerd.line.update import Update
from edgerd.sinks.fake import FakeSink
from edgerd.triggers import Trigger
from edgerd.types import Frame, UInt8Array


def trigger(name: str, product: int | None = None) -> Trigger:
    return Trigger("fake://", name, product, time.monotonic(), time.time())


class Plc:
    """Sends a trigger, waits for its verdict, sends the next."""

    def __init__(self, picker: OnTrigger, n: int, stop: threading.Event, products: tuple[int | None, ...] = (None,)):
        self.verdicts: list[tuple[FrameVerdict, Trigger | None]] = []
        self._picker, self._n, self._stop, self._products = picker, n, stop, products
        self._send()

    def publish(self, verdict: FrameVerdict, trigger: Trigger | None) -> None:
        self.verdicts.append((verdict, trigger))
        if len(self.verdicts) == self._n:
            self._stop.set()
        else:
            threading.Timer(0.004, self._send).start()  # the part moves on; frames come meanwhile

    def _send(self) -> None:
        number = len(self.verdicts)
        self._picker.fire(trigger(f"t{number}", self._products[number % len(self._products)]))


def endless() -> Iterator[UInt8Array]:
    for number in itertools.count():
        time.sleep(0.001)
        yield picture(0.5 * (number % 2), number=number)


def test_a_trigger_has_one_verdict_with_its_id_from_a_frame_that_came_after_it(inspector: Inspector) -> None:
    stop, picker = threading.Event(), OnTrigger(timeout_s=5)
    plc, verdicts, events = Plc(picker, 40, stop), FakeSink(), FakeSink()
    feed = Feed(inspector, FakeCamera(endless(), live=True), picker=picker)
    (summary,) = Line([feed], Outlets([events], [verdicts], links=[plc]), stop=stop).run()
    assert [line["trigger"] for line in verdicts.events] == [f"t{number}" for number in range(40)]
    assert all(verdict.captured_at >= asked.received_at - 1e-3 for verdict, asked in plc.verdicts)
    assert [verdict.trigger for verdict, _ in plc.verdicts] == [asked.id for _, asked in plc.verdicts]
    assert summary.frames == 40
    assert summary.skipped > 0
    raised = [event for event in events.events if event["state"] == "raised"]
    assert all(event["trigger"].startswith("t") for event in raised)


def test_a_trigger_that_gets_no_frame_is_a_verdict_without_a_decision(inspector: Inspector) -> None:
    stop, picker = threading.Event(), OnTrigger(timeout_s=0.05)
    plc, verdicts = Plc(picker, 2, stop), FakeSink()
    camera = FakeCamera([GOOD], live=True, stall=True)
    Line([Feed(inspector, camera, picker=picker)], Outlets(verdict_sinks=[verdicts], links=[plc]), stop=stop).run()
    silent = verdicts.events[-1]
    assert (silent["verdict"], silent["frame"], silent["reason"]) == (
        "NO_DECISION", None, "no frame within 50 ms of the trigger",
    )  # fmt: skip
    assert plc.verdicts[-1][0].inspection.score is None


def test_every_nth_frame(inspector: Inspector) -> None:
    verdicts = FakeSink()
    feed = Feed(inspector, FakeCamera([picture(number=number) for number in range(10)]), picker=EveryNth(3))
    (summary,) = Line([feed], Outlets(verdict_sinks=[verdicts])).run()
    assert [line["frame"] for line in verdicts.events] == [0, 3, 6, 9]
    assert (summary.frames, summary.skipped, summary.ended) == (4, 6, Ended.END_OF_SOURCE)


def test_a_change_over_holds_for_frames_captured_after_it_and_for_no_other(inspector: Inspector) -> None:
    strict = inspector.beside(threshold=0.6)
    products = Products({"nut": inspector, "bolt": strict}, "nut")
    verdicts = FakeSink()
    changed_at: list[float] = []

    def change(update: Update) -> None:
        if update.statistics.frames == 20:
            products.change_to("bolt")
            changed_at.append(time.time())

    feed = Feed(products, FakeCamera(endless(), live=True), max_frames=60)
    Line([feed], Outlets(verdict_sinks=[verdicts]), on_update=change).run()
    names = [line["product"] for line in verdicts.events]
    assert names == sorted(names, reverse=True)  # nuts, then bolts
    assert 20 <= names.count("nut") <= 22
    for line in verdicts.events:
        assert line["threshold"] == (0.25 if line["product"] == "nut" else 0.6)
        if line["product"] == "bolt":
            assert line["captured_at"] >= changed_at[0] - 0.01
    with pytest.raises(InputError, match="no product 'blot'"):
        products.change_to("blot")


def test_a_trigger_may_name_the_product_and_one_that_is_not_there_is_no_decision(inspector: Inspector) -> None:
    products = Products({"nut": inspector, "bolt": inspector.beside(threshold=0.6)}, "nut", {1: "nut", 2: "bolt"})
    stop, picker = threading.Event(), OnTrigger(timeout_s=5)
    plc, verdicts = Plc(picker, 6, stop, products=(2, 1, 7)), FakeSink()
    feed = Feed(products, FakeCamera(endless(), live=True), picker=picker)
    Line([feed], Outlets(verdict_sinks=[verdicts], links=[plc]), stop=stop).run()
    assert [line["product"] for line in verdicts.events] == ["bolt", "nut", "nut"] * 2
    assert [line["threshold"] for line in verdicts.events] == [0.6, 0.25, 0.25] * 2
    unknown = verdicts.events[2]
    assert (unknown["verdict"], unknown["reason"]) == ("NO_DECISION", "no product has the number 7")


def test_a_verdict_that_comes_too_late_is_none(inspector: Inspector) -> None:
    now_s = time.monotonic()
    script = [Frame(DEFECTIVE, number=0, captured_monotonic_s=now_s - 5), Frame(GOOD, captured_monotonic_s=now_s + 60)]
    verdicts, events = FakeSink(), FakeSink()
    feed = Feed(inspector, FakeCamera(script), deadline_ms=1000)
    Line([feed], Outlets([events], [verdicts])).run()
    late, in_time = verdicts.events
    assert late["verdict"] == "NO_DECISION"
    assert late["reason"].startswith("deadline missed: ")
    assert late["reason"].endswith(" ms after the capture, allowed are 1000")
    assert (in_time["verdict"], events.events) == ("OK", [])


def test_what_is_posted_is_done_between_two_frames_by_the_thread_that_judges(inspector: Inspector) -> None:
    done: list[tuple[str, int]] = []

    def on_update(update: Update) -> None:
        if update.statistics.frames == 3:
            line.post(lambda: done.append((threading.current_thread().name, feed.statistics.frames)))

    feed = Feed(inspector, FakeCamera([GOOD] * 6))
    line = Line([feed], on_update=on_update)
    line.run()
    assert done == [(threading.current_thread().name, 3)]
