"""Several cameras on one line: each as if it were alone, none held up or ended by another."""

from __future__ import annotations

import itertools
import threading
import time
from collections import Counter
from collections.abc import Iterator

import pytest
from inspection_parts import DEFECTIVE, GOOD, THRESHOLD, make_bundle, picture
from line_parts import run_camera

from edgerd.cameras.fake import FakeCamera
from edgerd.errors import CameraError, DeviceError, InputError
from edgerd.inspection.inspector import Inspector
from edgerd.line.feed import Feed
from edgerd.line.line import Line
from edgerd.line.record import Outlets
from edgerd.line.summary import Ended
from edgerd.line.update import Update
from edgerd.runtimes.fake import FakeEngine
from edgerd.sinks.fake import FakeSink
from edgerd.types import UInt8Array


def small(n: int = 12) -> FakeCamera:
    return FakeCamera([picture(0.1 * (number % 6), number=number) for number in range(n)], uri="small://")


def large(n: int = 8) -> FakeCamera:
    return FakeCamera([picture(0.15 * (number % 4), height=96, width=128) for number in range(n)], uri="large://")


def told(lines: list, camera: str) -> list[tuple]:
    keys = ("verdict", "reason", "score", "frame", "source", "regions")
    return [tuple(line[key] for key in keys) for line in lines if line["camera"] == camera]


def test_verdicts_and_alerts_are_those_of_two_runs_of_one_camera_each(inspector: Inspector) -> None:
    verdicts, events = FakeSink(), FakeSink()
    feeds = [Feed(inspector, small()), Feed(inspector.beside(), large())]
    summaries = Line(feeds, Outlets([events], [verdicts])).run()
    for camera, summary in zip((small(), large()), summaries, strict=True):
        lines, alerts = FakeSink(), FakeSink()
        alone = run_camera(inspector, camera, verdict_sinks=[lines], event_sinks=[alerts])
        assert told(verdicts.events, camera.uri) == told(lines.events, camera.uri)
        assert [event["frame"] for event in events.events if event["camera"] == camera.uri] == [
            event["frame"] for event in alerts.events
        ]
        assert (summary.camera, summary.frames, summary.ok, summary.ng) == (
            camera.uri, alone.frames, alone.ok, alone.ng,
        )  # fmt: skip
        assert summary.ended is Ended.END_OF_SOURCE


def test_files_take_turns_and_each_keeps_its_end(inspector: Inspector) -> None:
    order: list[str] = []
    feeds = [Feed(inspector, small(6)), Feed(inspector.beside(), large(6), max_frames=3)]
    summaries = Line(feeds, on_update=lambda update: order.append(update.camera)).run()
    assert [summary.ended for summary in summaries] == [Ended.END_OF_SOURCE, Ended.MAX_FRAMES]
    assert order == ["small://", "large://"] * 3 + ["small://"] * 3


def test_no_camera_starves_however_fast_the_others_are(inspector: Inspector) -> None:
    def endless() -> Iterator[UInt8Array]:
        for number in itertools.count():
            yield picture(0.1, number=number)

    seen: Counter[str] = Counter()
    stop = threading.Event()

    def count(update: Update) -> None:
        seen[update.camera] += 1
        if seen.total() >= 300:
            stop.set()
        while any(feed.waits_since() is None for feed in feeds):  # a frame of each waits: the line has to choose
            time.sleep(0.0002)

    feeds = [Feed(inspector.beside(), FakeCamera(endless(), live=True, uri=f"{name}://")) for name in "abc"]
    summaries = Line(feeds, on_update=count, stop=stop).run()
    assert min(seen.values()) >= 98
    assert all(summary.ended is Ended.STOPPED for summary in summaries)


@pytest.mark.parametrize("live", [False, True])
def test_a_lost_camera_ends_alone_and_its_events_say_which(inspector: Inspector, live: bool) -> None:
    verdicts, events = FakeSink(), FakeSink()
    broken = FakeCamera([GOOD, CameraError("It was unplugged.")], live=live, uri="broken://")
    feeds = [Feed(inspector, broken, frames="every"), Feed(inspector.beside(), small())]
    lost, whole = Line(feeds, Outlets([events], [verdicts])).run()
    assert (lost.ended, lost.frames) == (Ended.ERROR, 1)
    with pytest.raises(CameraError, match="unplugged"):
        lost.raise_for_error()
    assert (whole.ended, whole.frames, whole.error) == (Ended.END_OF_SOURCE, 12, None)
    (event,) = [event for event in events.events if event["kind"] == "camera"]
    assert (event["camera"], event["state"]) == ("broken://", "lost")
    assert [line["verdict"] for line in verdicts.events if line["camera"] == "broken://"] == ["OK", "NO_DECISION"]


class _Breaking(FakeEngine):
    def __init__(self, after: int) -> None:
        super().__init__()
        self._left = after

    def infer(self, tiles):
        self._left -= 1
        if self._left < 0:
            raise DeviceError("The device is gone.")
        return super().infer(tiles)


def test_a_device_that_fails_ends_all_and_says_so_for_each(inspector: Inspector) -> None:
    verdicts, events = FakeSink(), FakeSink()
    first = Inspector(make_bundle(), _Breaking(4), THRESHOLD)
    feeds = [Feed(first, small()), Feed(first.beside(), large())]
    summaries = Line(feeds, Outlets([events], [verdicts])).run()
    assert [summary.ended for summary in summaries] == [Ended.ERROR] * 2
    devices = [event for event in events.events if event["kind"] == "device"]
    assert [(event["camera"], event["frame"]) for event in devices] == [("small://", 2), ("large://", None)]
    assert [line["verdict"] == "NO_DECISION" for line in verdicts.events] == [False] * 4 + [True]


def test_alerts_of_cameras_are_their_own(inspector: Inspector) -> None:
    """An incident before one camera neither hides nor clears one before the other."""
    events = FakeSink()
    feeds = [
        Feed(inspector.beside(), FakeCamera(script, live=True, uri=uri), frames="every")
        for uri, script in (("a://", [DEFECTIVE, DEFECTIVE, GOOD]), ("b://", [GOOD, DEFECTIVE, DEFECTIVE]))
    ]
    Line(feeds, Outlets([events])).run()
    by_camera = {uri: [e for e in events.events if e["camera"] == uri] for uri in ("a://", "b://")}
    assert [event["state"] for event in by_camera["a://"]] == ["raised", "cleared"]
    assert [event["state"] for event in by_camera["b://"]] == ["raised", "cleared"]
    assert [event["reason"] for event in events.events if event["reason"]] == ["the run has ended: end of source"]
    assert len({event["id"] for event in events.events}) == 2


def test_cameras_are_told_apart_by_their_names(inspector: Inspector) -> None:
    with pytest.raises(InputError, match="2 cameras are called small://"):
        Line([Feed(inspector, small()), Feed(inspector.beside(), small())])
    verdicts = FakeSink()
    feeds = [Feed(inspector.beside(), small(1), name=name) for name in ("left", "right")]
    summaries = Line(feeds, Outlets(verdict_sinks=[verdicts])).run()
    assert [summary.camera for summary in summaries] == ["left", "right"]
    assert {(line["camera"], line["source"]) for line in verdicts.events} == {
        ("left", "small://"),
        ("right", "small://"),
    }
    with pytest.raises(InputError, match="without cameras"):
        Line([])


@pytest.mark.emulated(once=True)
@pytest.mark.parametrize("mode", ["latency", "throughput"])
def test_cameras_of_two_sizes_on_a_gpu_capture_nothing_again(emulation, on_gpu, mode: str) -> None:
    verdicts = FakeSink()
    inspector = on_gpu(mode=mode)
    other = inspector.beside()
    inspector.inspect(picture())
    other.inspect(picture(height=96, width=128))
    emulation.driver.clear()
    summaries = Line([Feed(inspector, small()), Feed(other, large())], Outlets(verdict_sinks=[verdicts])).run()
    assert [summary.frames for summary in summaries] == [12, 8]
    assert emulation.driver.counts() == {"cuGraphLaunch": 20, "cuStreamSynchronize": 20}
    for camera in (small(), large()):
        lines = FakeSink()
        run_camera(Inspector(make_bundle(), FakeEngine(), THRESHOLD), camera, verdict_sinks=[lines])
        here, there = told(verdicts.events, camera.uri), told(lines.events, camera.uri)
        assert [line[:2] + line[3:] for line in here] == [line[:2] + line[3:] for line in there]
        assert [line[2] for line in here] == pytest.approx([line[2] for line in there], abs=0.01)
    other.close()


@pytest.mark.emulated(once=True)
@pytest.mark.parametrize("mode", ["latency", "throughput"])
def test_a_camera_whose_frames_do_not_fit_ends_alone_on_a_gpu(emulation, on_gpu, mode: str) -> None:
    from edgerd.bundle.manifest import PreprocessSpec, RegionSpec

    spec = PreprocessSpec(height=32, width=32, region=RegionSpec(x=0, y=0, width=64, height=48))
    inspector = on_gpu(spec, mode=mode)
    feeds = [
        Feed(inspector, FakeCamera([picture(height=20, width=20)] * 3, uri="tiny://")),
        Feed(inspector.beside(), small()),
    ]
    tiny, whole = Line(feeds).run()
    assert (tiny.ended, tiny.frames, tiny.no_decision) == (Ended.ERROR, 1, 1)
    assert (whole.ended, whole.frames) == (Ended.END_OF_SOURCE, 12)
