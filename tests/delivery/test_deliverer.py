"""The deliverer: at least once, in order, each sink at its own pace."""

from __future__ import annotations

import shutil
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from outbox_parts import alert, frames_for, opened, wait_until

from edgerd.delivery import Deliverer, Outbox
from edgerd.delivery.deliverer import BackOff
from edgerd.delivery.opening import open_for_reading
from edgerd.errors import DeliveryError, EdgerdError, InputError
from edgerd.sinks.fake import FakeDeliveringSink

FAST = BackOff(first_s=0.001, cap_s=0.005)
AWAY = "It is away."


def away(n_delivered: int = 0, retry_after_s: float | None = None) -> DeliveryError:
    return DeliveryError(AWAY, retryable=True, n_delivered=n_delivered, retry_after_s=retry_after_s)


def no(n_delivered: int = 0) -> DeliveryError:
    return DeliveryError("It says no.", retryable=False, n_delivered=n_delivered)


def frames_of(sink: FakeDeliveringSink) -> list[int]:
    return [event["frame"] for event in sink.events]


def delivering(
    outbox: Outbox, *sinks: FakeDeliveringSink, back_off: BackOff = FAST, warnings: list[str] | None = None
) -> Deliverer:
    def warn(text: str) -> None:
        assert warnings is not None, text
        warnings.append(text)

    return Deliverer(outbox, sinks, on_warning=warn, back_off=back_off)


def test_sinks_come_and_go_while_events_come_and_those_that_stay_notice_nothing(tmp_path: Path) -> None:
    warnings: list[str] = []
    outbox = opened(tmp_path, ["stays", "goes"], warnings=warnings)
    stays, goes, comes = (FakeDeliveringSink(name) for name in ("stays", "goes", "comes"))
    goes.script += [away()] * 1000
    deliverer = delivering(outbox, stays, goes, warnings=warnings)
    outbox.append([alert(0)])
    outbox.flush(10)
    wait_until(lambda: frames_of(stays) == [0])
    outbox.add_sinks(["comes"], 10)
    outbox.append([alert(1)])
    deliverer.change(["goes"], [comes], 0.05)
    outbox.leave_sinks(["goes"])
    outbox.append([alert(2)])
    outbox.flush(10)
    assert deliverer.close(10)
    outbox.close(10)
    assert (frames_of(stays), frames_of(comes)) == ([0, 1, 2], [1, 2])
    assert goes.closed
    assert [status.name for status in deliverer.status] == ["stays", "comes"]
    assert "wait for the sink 'goes' (2)" in warnings[-1]
    outbox = opened(tmp_path, ["goes", "stays", "comes"])
    assert frames_for(outbox, "goes") == [0, 1, 2]
    outbox.close(10)


def test_every_sink_gets_every_event_in_order_and_is_closed(tmp_path: Path) -> None:
    outbox = opened(tmp_path, ["s", "t"])
    sinks = FakeDeliveringSink("s"), FakeDeliveringSink("t")
    outbox.append([alert(0)])
    deliverer = delivering(outbox, *sinks)
    for number in range(1, 200):
        outbox.append([alert(number)])
    outbox.flush(10)
    assert deliverer.close(10)
    outbox.close(10)
    for sink in sinks:
        assert frames_of(sink) == list(range(200))
        assert sink.closed
    assert [status.n_delivered for status in deliverer.status] == [200, 200]


def test_an_event_is_delivered_at_once_without_anybody_asking(tmp_path: Path) -> None:
    outbox, sink = opened(tmp_path), FakeDeliveringSink("s")
    deliverer = delivering(outbox, sink)
    for number in range(3):
        outbox.append([alert(number)])
        wait_until(lambda: len(sink.events) == number + 1)  # noqa: B023  it is used before the next round
    deliverer.close(10)
    outbox.close(10)


def test_a_sink_that_fails_is_tried_again_and_says_so_once(tmp_path: Path) -> None:
    warnings: list[str] = []
    outbox, sink = opened(tmp_path), FakeDeliveringSink("s", script=[away(), away(), away(n_delivered=2), away()])
    outbox.append([alert(number) for number in range(5)])
    outbox.flush(10)
    deliverer = delivering(outbox, sink, warnings=warnings)
    wait_until(lambda: len(sink.events) == 5)
    assert deliverer.close(10)
    assert frames_of(sink) == [0, 1, 2, 3, 4]
    assert deliverer.status[0].is_ok
    assert [AWAY in text for text in warnings] == [True, False, True, False]
    outbox.close(10)


def test_one_that_fails_holds_up_no_other(tmp_path: Path) -> None:
    warnings: list[str] = []
    outbox = opened(tmp_path, ["s", "t"])
    broken, sound = FakeDeliveringSink("s", [away()] * 10_000), FakeDeliveringSink("t")
    deliverer = delivering(outbox, broken, sound, warnings=warnings)
    outbox.append([alert(0)])
    wait_until(lambda: frames_of(sound) == [0])
    wait_until(lambda: not deliverer.status[0].is_ok)
    assert deliverer.status[0].reason == AWAY
    assert deliverer.status[1].is_ok
    assert not deliverer.close(0.05)
    assert broken.closed
    assert frames_for(outbox, "s") == [0]
    outbox.close(10)


def test_a_new_event_does_not_end_a_pause(tmp_path: Path) -> None:
    outbox, sink = opened(tmp_path), FakeDeliveringSink("s", script=[away()] * 100)
    deliverer = delivering(outbox, sink, back_off=BackOff(first_s=300, cap_s=300), warnings=[])
    outbox.append([alert(0)])
    wait_until(lambda: sink.n_calls == 1)
    for number in range(1, 20):
        outbox.append([alert(number)])
        outbox.flush(10)
    time.sleep(0.05)
    assert sink.n_calls == 1
    deliverer.close(0.05)
    assert sink.n_calls == 2, "it is tried once more at the end"
    outbox.close(10)


def test_a_sink_may_ask_for_a_pause(tmp_path: Path) -> None:
    outbox, sink = opened(tmp_path), FakeDeliveringSink("s", script=[away(retry_after_s=300)])
    deliverer = delivering(outbox, sink, warnings=[])
    outbox.append([alert(0)])
    wait_until(lambda: sink.n_calls == 1)
    time.sleep(0.1)
    assert sink.n_calls == 1
    assert deliverer.close(10)
    assert frames_of(sink) == [0]
    outbox.close(10)


def test_a_refused_event_becomes_a_dead_letter_and_holds_up_nothing(tmp_path: Path) -> None:
    warnings: list[str] = []
    outbox, sink = opened(tmp_path), FakeDeliveringSink("s", script=[no(n_delivered=1)])
    events = [alert(number) for number in range(4)]
    outbox.append(events)
    outbox.flush(10)
    deliverer = delivering(outbox, sink, warnings=warnings)
    assert deliverer.close(10)
    outbox.close(10)
    assert frames_of(sink) == [0, 2, 3]
    database = open_for_reading(tmp_path)
    (letter,) = database.dead_letters()
    database.close()
    assert (letter.sink, letter.event, letter.reason) == ("s", events[1].to_json(), "It says no.")
    (warning,) = warnings
    assert events[1].id in warning
    assert "It says no." in warning
    assert (deliverer.status[0].n_delivered, deliverer.status[0].n_refused) == (3, 1)


def test_sinks_and_outbox_go_by_the_same_names(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="Two sinks are called 's'"):
        opened(tmp_path, ["s", "s"])
    outbox = opened(tmp_path, ["s", "t"])
    for names in (["s"], ["s", "t", "u"], ["s", "s", "t"]):
        with pytest.raises(ValueError, match="for an outbox of"):
            delivering(outbox, *map(FakeDeliveringSink, names))
    outbox.close(10)


@pytest.mark.parametrize("fault", [KeyError("score"), EdgerdError("It broke.")])
def test_a_fault_of_a_sink_ends_nothing(tmp_path: Path, fault: Exception) -> None:
    warnings: list[str] = []
    outbox, sink = opened(tmp_path), FakeDeliveringSink("s", script=[fault])
    outbox.append([alert(0)])
    deliverer = delivering(outbox, sink, warnings=warnings)
    wait_until(lambda: frames_of(sink) == [0])
    assert deliverer.close(10)
    assert "score" in warnings[0] or "It broke." in warnings[0]
    outbox.close(10)


def test_the_end_does_not_wait_for_a_sink_that_hangs(tmp_path: Path) -> None:
    may_end, hangs = threading.Event(), threading.Event()

    def hang() -> None:
        hangs.set()
        may_end.wait(30)

    outbox, sink = opened(tmp_path), FakeDeliveringSink("s", script=[hang])
    outbox.append([alert(0)])
    deliverer = delivering(outbox, sink)
    assert hangs.wait(10)
    assert not deliverer.close(0.05)
    outbox.close(10)
    may_end.set()
    wait_until(lambda: sink.closed)
    outbox = opened(tmp_path)
    assert frames_for(outbox) == [0], "it may have it, but that is not on the disk"
    outbox.close(10)


@given(n_failures=st.integers(1, 10_000), first_s=st.floats(0.001, 10), cap_s=st.floats(0.001, 100))
def test_a_pause_grows_to_its_cap_and_is_never_none(n_failures: int, first_s: float, cap_s: float) -> None:
    back_off = BackOff(first_s, cap_s)
    pause_s = back_off.pause_s(n_failures)
    assert min(first_s, cap_s) / 2 <= pause_s <= cap_s
    if first_s * 2.0 ** min(n_failures - 1, 30) >= cap_s:
        assert pause_s >= cap_s / 2


FATES = st.lists(st.one_of(st.none(), st.builds(away, st.integers(0, 60)), st.builds(no, st.integers(0, 60))))


@settings(max_examples=40, deadline=None)
@given(groups=st.lists(st.integers(1, 60), max_size=6), fates=FATES, kill_after=st.integers(0, 5))
def test_whatever_a_sink_does_it_gets_all_that_it_does_not_refuse_in_order(
    tmp_path_factory: pytest.TempPathFactory, groups: list[int], fates: list[DeliveryError | None], kill_after: int
) -> None:
    folder = tmp_path_factory.mktemp("outbox")
    sink = FakeDeliveringSink("s", script=fates)
    outbox = opened(folder)
    deliverer = delivering(outbox, sink, warnings=[])
    for position, n_events in enumerate(groups):
        if position == kill_after:
            outbox, deliverer = _killed_and_restarted(folder, outbox, deliverer, sink)
        outbox.append([alert(number) for number in range(sum(groups[:position]), sum(groups[:position]) + n_events)])
    outbox.flush(30)
    assert deliverer.close(30)
    outbox.close(30)
    last = folder.with_name(f"{folder.name}-copy") if kill_after < len(groups) else folder
    database = open_for_reading(last)
    dead = [letter.event["frame"] for letter in database.dead_letters()]
    database.close()
    seen: dict[int, None] = dict.fromkeys(frames_of(sink))
    assert list(seen) == sorted(seen), "first deliveries out of order"
    assert seen.keys() | set(dead) == set(range(sum(groups)))


def _killed_and_restarted(
    folder: Path, outbox: Outbox, deliverer: Deliverer, sink: FakeDeliveringSink
) -> tuple[Outbox, Deliverer]:
    """What a process finds after another one was killed: the files as they were at some moment."""
    outbox.flush(30)
    copy = folder.with_name(f"{folder.name}-copy")
    copy.mkdir()
    deliverer.close(0)
    for file in folder.glob("outbox.db*"):
        shutil.copy(file, copy)
    outbox.close(30)
    outbox = opened(copy)
    return outbox, delivering(outbox, sink, warnings=[])
