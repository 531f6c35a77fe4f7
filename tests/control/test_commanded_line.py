"""A real line, over a fake engine, that is triggered and changed over by HTTP requests."""

from __future__ import annotations

import itertools
import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

from inspection_parts import GOOD, picture

from edgerd.cameras.fake import FakeCamera
from edgerd.control import Commands, open_control
from edgerd.control.server import ControlServer
from edgerd.inspection.inspector import Inspector
from edgerd.line.feed import Feed
from edgerd.line.line import Line
from edgerd.line.pick import OnTrigger
from edgerd.line.products import Products
from edgerd.line.record import Outlets
from edgerd.sinks.fake import FakeSink
from edgerd.triggers import Trigger
from edgerd.types import UInt8Array

NUMBERS = {"nut": 1, "bolt": 2}
THRESHOLDS = {"nut": 0.25, "bolt": 0.6}


class TriggeredCamera:
    """As whoever owns a line shows a camera to the control."""

    triggered_by = "http"
    products: Mapping[str, int | None] = NUMBERS

    def __init__(self, picker: OnTrigger, products: Products) -> None:
        self._picker, self._products = picker, products
        self.current_product = products.current

    def fire(self, trigger: Trigger) -> None:
        self._picker.fire(trigger)

    def change_product(self, name: str) -> None:
        self._products.change_to(name)
        self.current_product = name


class CommandedLine:
    def __init__(self, camera: TriggeredCamera) -> None:
        self.cameras = {"left": camera}
        self.audited: list[tuple[str, str]] = []

    def on_command(self, who: str, what: str) -> None:
        self.audited.append((who, what))


def endless() -> Iterator[UInt8Array]:
    for number in itertools.count():
        time.sleep(0.002)
        yield picture(0.5, number=number)


@contextmanager
def running(
    inspector: Inspector, camera: FakeCamera, timeout_s: float = 20.0
) -> Iterator[tuple[ControlServer, FakeSink]]:
    """A line that turns in a thread, and its verdict log."""
    products = Products({"nut": inspector, "bolt": inspector.beside(threshold=0.6)}, "nut", {1: "nut", 2: "bolt"})
    picker, stop, verdicts = OnTrigger(timeout_s), threading.Event(), FakeSink()
    commands = Commands(CommandedLine(TriggeredCamera(picker, products)))
    feed = Feed(products, camera, name="left", picker=picker)
    line = Line([feed], Outlets(verdict_sinks=[verdicts], links=[commands]), stop=stop)
    thread = threading.Thread(target=line.run)
    thread.start()
    with open_control(commands, port=0) as control:
        try:
            yield control, verdicts
        finally:
            stop.set()
            thread.join()


def post(control: ControlServer, path: str, **keys: object) -> Any:
    address = urlsplit(control.url)
    assert address.hostname
    with closing(HTTPConnection(address.hostname, address.port, timeout=30)) as connection:
        connection.request("POST", path, json.dumps(keys))
        return json.loads(connection.getresponse().read())


def test_each_part_has_one_verdict_as_what_the_camera_was_changed_over_to(inspector: Inspector) -> None:
    with running(inspector, FakeCamera(endless(), live=True)) as (control, verdicts):
        for number in range(40):
            name = ("nut", "bolt")[number % 2]
            assert post(control, "/cameras/left/product", product=name)["product"] == name
            answer = post(control, "/cameras/left/trigger?wait_ms=20000", id=f"part {number}")
            assert (answer["product"], answer["threshold"]) == (name, THRESHOLDS[name])
            assert answer["verdict"] == {"nut": "NG", "bolt": "OK"}[name]
    assert len(verdicts.events) == 40
    assert len({line["trigger"] for line in verdicts.events}) == 40


def test_a_trigger_names_the_product_of_its_part_alone(inspector: Inspector) -> None:
    with running(inspector, FakeCamera(endless(), live=True)) as (control, _):
        for product, name in ((2, "bolt"), (None, "nut"), ("bolt", "bolt"), ("nut", "nut")):
            assert post(control, "/cameras/left/trigger?wait_ms=20000", product=product)["product"] == name


def test_a_part_without_a_frame_is_no_decision(inspector: Inspector) -> None:
    with running(inspector, FakeCamera([GOOD], live=True, stall=True), timeout_s=0.1) as (control, _):
        answer = post(control, "/cameras/left/trigger?wait_ms=20000", id="1")
        assert (answer["verdict"], answer["reason"]) == ("NO_DECISION", "no frame within 100 ms of the trigger")
        assert post(control, "/cameras/left/trigger", id="1") == answer
