"""Runs in which frames, losses, triggers, change-overs and ends come in any order, and what holds for all of them."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from hypothesis import strategies as st
from inspection_parts import DEFECTIVE, GOOD, picture

from edgerd.cameras.protocol import damaged_frame
from edgerd.errors import CameraError, DeviceError, EdgerdError
from edgerd.inspection.inspector import Inspector
from edgerd.line.feed import Feed
from edgerd.line.line import Line
from edgerd.line.pick import EveryFrame, EveryNth, OnTrigger, Picker
from edgerd.line.presence import OnMotion
from edgerd.line.products import Products
from edgerd.line.record import Outlets
from edgerd.line.summary import RunSummary
from edgerd.line.update import Update
from edgerd.sinks.fake import FakePlcLink, FakeSink
from edgerd.triggers import Trigger
from edgerd.types import Frame, UInt8Array

FRAMES = ("frame", "frame", "frame", "larger", "damaged")
OTHERS = ("lost", "trigger", "trigger for bolt", "trigger for nothing", "nut", "bolt", "pause")
ENDS = ("end", "lost", "bug", "stop", "interrupt", "bug in on_update", "disk full", "max frames")
PICKERS: Mapping[str, Callable[[Inspector], Picker]] = {
    "every": lambda _: EveryFrame(),
    "nth": lambda _: EveryNth(2),
    "motion": lambda inspector: OnMotion(inspector.spec),
    "trigger": lambda _: OnTrigger(0.02),
}


@dataclass(frozen=True)
class Scenario:
    """What happens in a run of one camera.

    Attributes:
        steps: What the camera does, one after the other, in the thread that reads it.
        end: How the run ends.
        after: With how many verdicts, where the end is none of the camera's.
        picker: An entry of `PICKERS`.
        frames: As for `Feed`.
        returns: Whether the camera comes back after a loss.
    """

    steps: Sequence[str]
    end: str
    after: int
    picker: str
    frames: str
    returns: bool


SCENARIOS = st.builds(
    Scenario,
    steps=st.lists(st.sampled_from([*FRAMES, *OTHERS]), max_size=25),
    end=st.sampled_from(ENDS),
    after=st.integers(1, 6),
    picker=st.sampled_from(sorted(PICKERS)),
    frames=st.sampled_from(["newest", "every"]),
    returns=st.booleans(),
)


@dataclass
class Seen:
    """What came of a scenario."""

    n_given: int = 0
    taken: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    changes: list[tuple[float, float, str]] = field(default_factory=list)
    captured_s: dict[int, float] = field(default_factory=dict)
    link: FakePlcLink = field(default_factory=FakePlcLink)
    events: FakeSink = field(default_factory=FakeSink)
    summary: RunSummary | None = None


class _Camera:
    """Does the steps of a scenario."""

    uri, live, fixed_size, n_frames = "scenario://", True, False, None

    def __init__(self, scenario: Scenario, seen: Seen) -> None:
        self.last_error = None
        if scenario.returns:
            self.comes_back = True
        self.feed: Feed
        self._scenario = scenario
        self._seen = seen
        self._steps = iter(scenario.steps)
        self._n_triggers = 0
        self._closed = threading.Event()

    def read(self) -> Frame | None:
        for step in self._steps:
            if self._closed.is_set():
                return None
            frame = self._do(step)
            if frame is not None:
                return frame
        if self._scenario.end == "lost" and not self._scenario.returns:
            raise CameraError("The cable was cut.")
        if self._scenario.end == "bug":
            raise ZeroDivisionError
        return None

    def close(self) -> None:
        self._closed.set()

    def fire(self, product: int | None) -> None:
        name = f"{threading.get_ident()}-{self._n_triggers}"
        self._n_triggers += 1
        try:
            self.feed.fire(Trigger("camera", name, product, time.monotonic(), time.time()))
        except EdgerdError:
            self._seen.refused.append(name)
        else:
            self._seen.taken.append(name)

    def _do(self, step: str) -> Frame | None:
        seen = self._seen
        if step in ("nut", "bolt"):
            before_s = time.monotonic()
            self.feed.products.change_to(step)
            seen.changes.append((before_s, time.monotonic(), step))
        elif step.startswith("trigger"):
            self.fire({"trigger": None, "trigger for bolt": 2, "trigger for nothing": 7}[step])
        elif step == "pause":
            time.sleep(0.003)
        elif step == "lost":
            if self._scenario.returns:
                self.last_error = CameraError("It was unplugged.")
                raise self.last_error
        else:
            number, seen.n_given = seen.n_given, seen.n_given + 1
            seen.captured_s[number] = time.monotonic()
            data: UInt8Array = {"larger": picture(0.1, height=96, width=128)}.get(step, [GOOD, DEFECTIVE][number % 2])
            frame = Frame(data, number=number, captured_monotonic_s=seen.captured_s[number], source=self.uri)
            if step == "damaged":
                raise damaged_frame(Frame(data[:0], number=number, captured_monotonic_s=time.monotonic()), "cut off")
            return frame
        return None


def run(scenario: Scenario, nut: Inspector, bolt: Inspector) -> Seen:
    """Run a scenario over two products."""
    seen, stop = Seen(), threading.Event()
    if scenario.end == "disk full":
        seen.events.capacity = scenario.after - 1
    camera = _Camera(scenario, seen)
    feed = camera.feed = Feed(
        Products({"nut": nut, "bolt": bolt}, "nut", {1: "nut", 2: "bolt"}),
        camera,
        name="camera",
        picker=PICKERS[scenario.picker](nut),
        frames=scenario.frames,  # type: ignore[arg-type]
        max_frames=scenario.after if scenario.end == "max frames" else None,
    )

    def on_update(update: Update) -> None:
        if update.statistics.frames != scenario.after:
            return
        if scenario.end == "stop":
            stop.set()
        elif scenario.end == "interrupt":
            raise KeyboardInterrupt
        elif scenario.end == "bug in on_update":
            raise ZeroDivisionError

    outlets = Outlets([seen.events], links=[seen.link])
    try:
        (seen.summary,) = Line([feed], outlets, on_update=on_update, stop=stop).run()
    except (ZeroDivisionError, DeviceError):
        assert scenario.end.startswith("bug")
    if scenario.picker == "trigger":
        n_refused = len(seen.refused)
        camera.fire(None)
        assert len(seen.refused) == n_refused + 1
    check(scenario, seen, feed)
    return seen


def check(scenario: Scenario, seen: Seen, feed: Feed) -> None:
    """What must hold however a run went."""
    statistics = feed.statistics
    answered = Counter(trigger.id for _, trigger in seen.link.published if trigger is not None)
    taken = seen.taken if scenario.picker == "trigger" else []
    assert answered == Counter(taken)
    assert not answered.keys() & set(seen.refused)

    lines = [verdict for verdict, _ in seen.link.published if not verdict.inspection.reason.startswith("camera lost")]
    numbers = [line.frame for line in lines if line.frame is not None]
    assert len(numbers) == len(set(numbers))
    assert len(lines) == statistics.frames
    assert len(numbers) == statistics.frames - statistics.without_frame
    assert len(numbers) + statistics.dropped + statistics.skipped == seen.n_given
    assert statistics.ok + statistics.ng + statistics.no_decision == statistics.frames

    for verdict, trigger in seen.link.published:
        if verdict.frame is not None and (trigger is None or trigger.product in (None, 7)):
            assert verdict.product in possible_products(seen, verdict.frame)
        if trigger is not None and trigger.product == 2:
            assert verdict.product == "bolt"

    raised = {event["id"] for event in seen.events.events if event.get("state") == "raised"}
    cleared = {event["id"] for event in seen.events.events if event.get("state") == "cleared"}
    assert cleared <= raised
    if scenario.end != "disk full":
        assert cleared == raised  # the stream policy, and a run that nobody continues


def possible_products(seen: Seen, number: int) -> set[str]:
    """What a frame may show: two where it was captured during the change-over."""
    captured_s = seen.captured_s[number]
    product, possible = "nut", set()
    for before_s, after_s, name in seen.changes:
        if captured_s < before_s:
            break
        if captured_s <= after_s:
            possible.add(product)
        product = name
    return possible | {product}
