"""How the helper finds an industrial camera, in a network that stands for Aravis's."""

from __future__ import annotations

import socket
import threading
from types import SimpleNamespace
from typing import Any

import pytest

from edgerd.cameras import genicam_helper
from edgerd.cameras.genicam_helper import Finder, _RefusalError, wait_for_answer

NOWHERE = {"address": "", "serial": ""}


class NoAnswerError(Exception):
    message = "timeout"


class Network:
    """What the helper calls of Aravis: cameras with a serial number at an address, and how often they were searched."""

    def __init__(self, cameras: dict[str, str]) -> None:
        self.n_searches = 0
        self.cameras = dict(cameras)
        self.Camera = SimpleNamespace(new=self._opened)

    def update_device_list(self) -> None:
        self.n_searches += 1

    def get_n_devices(self) -> int:
        return len(self.cameras)

    def get_device_id(self, index: int) -> str:
        return f"Maker-{self.get_device_serial_nbr(index)}"

    def get_device_serial_nbr(self, index: int) -> str:
        return list(self.cameras.values())[index]

    def get_device_physical_id(self, index: int) -> str:
        return f"00:00:00:00:00:{index:02}"

    def get_device_address(self, index: int) -> str:
        return list(self.cameras)[index]

    def _opened(self, name: str) -> Any:
        by_id = {f"Maker-{serial}": serial for serial in self.cameras.values()}
        serial = self.cameras.get(name) or by_id.get(name)
        if serial is None:
            raise NoAnswerError
        return SimpleNamespace(serial=serial, get_device_serial_number=lambda: serial)


@pytest.fixture
def network() -> Network:
    return Network({"10.0.0.5": "CAM1", "10.0.0.6": "CAM2"})


@pytest.fixture
def finder(network: Network) -> Finder:
    return Finder(network, NoAnswerError)


def place(address: str, serial: str, *, is_sure: bool = True) -> dict[str, Any]:
    return {"address": address, "serial": serial, "is_sure": is_sure}


@pytest.mark.parametrize("name", ["CAM2", "Maker-CAM2", "00:00:00:00:00:01"])
def test_a_camera_is_searched_for_and_its_place_remembered(network: Network, finder: Finder, name: str) -> None:
    assert finder.camera(name, None).serial == "CAM2"
    assert network.n_searches == 1
    assert finder.found == {"address": "10.0.0.6", "serial": "CAM2"}


def test_a_camera_is_found_at_its_place_without_a_search(network: Network, finder: Finder) -> None:
    assert finder.camera("CAM2", place("10.0.0.6", "CAM2")).serial == "CAM2"
    assert network.n_searches == 0
    assert finder.found == {"address": "10.0.0.6", "serial": "CAM2"}


def test_an_address_is_asked_at_once_and_needs_no_place(network: Network, finder: Finder) -> None:
    assert finder.camera("10.0.0.5", None).serial == "CAM1"
    assert network.n_searches == 0
    assert finder.found == NOWHERE


def test_where_nothing_answers_it_is_refused_or_searched_for(network: Network, finder: Finder) -> None:
    network.cameras = {"10.0.0.77": "CAM2"}
    with pytest.raises(_RefusalError, match="does not answer"):
        finder.camera("CAM2", place("10.0.0.6", "CAM2"))
    assert network.n_searches == 0
    assert finder.camera("CAM2", place("10.0.0.6", "CAM2", is_sure=False)).serial == "CAM2"
    assert finder.found == {"address": "10.0.0.77", "serial": "CAM2"}


def test_one_that_is_waited_for_in_vain_is_not_asked_by_aravis_too_which_takes_it_seconds(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited = []
    monkeypatch.setattr(genicam_helper, "wait_for_answer", lambda *asked: waited.append(asked))
    finder = Finder(network, NoAnswerError, 4.0)
    for name, was in (("10.0.0.6", None), ("CAM2", place("10.0.0.6", "CAM2"))):
        with pytest.raises(_RefusalError, match="does not answer"):
            finder.camera(name, was)
    assert waited == [("10.0.0.6", 4.0)] * 2
    assert finder.camera("CAM2", place("10.0.0.6", "CAM2", is_sure=False)).serial == "CAM2"
    assert network.n_searches == 1


def test_another_camera_that_has_got_the_address_is_not_taken_for_it(network: Network, finder: Finder) -> None:
    network.cameras = {"10.0.0.6": "CAM3", "10.0.0.77": "CAM2"}
    assert finder.camera("CAM2", place("10.0.0.6", "CAM2")).serial == "CAM2"
    assert finder.found == {"address": "10.0.0.77", "serial": "CAM2"}


def test_what_has_no_address_has_no_place(network: Network, finder: Finder) -> None:
    network.cameras = {"USB3": "CAM2"}
    finder.camera("CAM2", None)
    assert finder.found == NOWHERE


@pytest.mark.parametrize(
    ("cameras", "name", "what"),
    [
        ({}, "", "there is no camera"),
        ({}, "CAM1", "there is no camera 'CAM1'"),
        ({"10.0.0.5": "CAM1", "10.0.0.6": "CAM2"}, "", "there are 2 cameras"),
    ],
)
def test_what_is_not_there_or_not_the_only_one_is_refused(
    network: Network, finder: Finder, cameras: dict[str, str], name: str, what: str
) -> None:
    network.cameras = cameras
    with pytest.raises(_RefusalError, match=what):
        finder.camera(name, None)


def test_a_camera_is_waited_for_until_it_answers() -> None:
    """It begins to listen while somebody waits for it, and gets the discovery command of GigE Vision."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as camera:
        camera.bind(("127.0.0.1", 0))
        camera.settimeout(10)
        asked: list[bytes] = []

        def answer() -> None:
            for _ in range(3):  # the first ones come when it is not ready yet
                command, sender = camera.recvfrom(1024)
                asked.append(command)
            camera.sendto(b"here I am", sender)

        answering = threading.Thread(target=answer)
        answering.start()
        assert wait_for_answer("127.0.0.1", 10, camera.getsockname()[1])
        answering.join()
    assert set(asked) == {b"\x42\x01\x00\x02\x00\x00\x00\x01"}


def test_a_camera_that_does_not_answer_is_waited_for_so_long_and_no_longer() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        assert not wait_for_answer("127.0.0.1", 0.2, silent.getsockname()[1])
    assert not wait_for_answer("127.0.0.1", 0.2, 1)
    assert not wait_for_answer("127.0.0.1", 0.0)
