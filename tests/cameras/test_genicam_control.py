"""How the helper finds out that an industrial camera was away, by what it says of the one that controls it."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgerd.cameras.genicam_helper import Control

ANSWER = struct.Struct(">HHHHI")
HAS_READ = 0x0081
CONTROLLED = st.integers(0, 2**32 - 1).filter(lambda privilege: privilege & 0b11)
UNCONTROLLED = st.integers(0, 2**30 - 1).map(lambda privilege: privilege << 2)
HARMLESS = st.one_of(
    st.builds(lambda privilege: lambda number: ANSWER.pack(0, HAS_READ, 4, number, privilege), CONTROLLED),
    st.builds(lambda status: lambda number: ANSWER.pack(status, HAS_READ, 4, number, 0), st.integers(1, 0xFFFF)),
    st.builds(
        lambda command: lambda number: ANSWER.pack(0, command, 4, number, 0),
        st.integers(0, 0xFFFF).filter(lambda command: command != HAS_READ),
    ),
    st.builds(lambda ahead: lambda number: ANSWER.pack(0, HAS_READ, 4, number + ahead, 0), st.integers(1, 1000)),
    st.builds(lambda end: lambda number: ANSWER.pack(0, HAS_READ, 4, number, 0)[:end], st.integers(0, 11)),
    st.builds(lambda bytes_: lambda number: ANSWER.pack(0, HAS_READ, 4, number, 0) + bytes_, st.binary(min_size=1)),
)
"""What says nothing against a camera, from the number of the question: it is controlled, cannot say, or is damaged."""


class Camera:
    """Listens as a camera does, and answers when it is told to."""

    def __init__(self) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.settimeout(5)
        self._helper = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.control = Control(self._helper, self.socket.getsockname())

    def asked(self) -> tuple[bytes, int]:
        """The next question: its bytes before the number and behind it, and the number."""
        question, self.asking = self.socket.recvfrom(1024)
        return question[:6] + question[8:], int.from_bytes(question[6:8], "big")

    def close(self) -> None:
        self.socket.close()
        self._helper.close()


@pytest.fixture
def camera() -> Iterator[Camera]:
    camera = Camera()
    yield camera
    camera.close()


def test_the_register_of_the_control_is_read_and_each_question_has_its_number(camera: Camera) -> None:
    numbers = []
    for _ in range(3):
        assert not camera.control.is_forgotten()
        command, number = camera.asked()
        assert command == b"\x42\x01\x00\x80\x00\x04\x00\x00\x0a\x00"
        numbers.append(number)
    assert len(set(numbers)) == 3
    assert 0 not in numbers


@given(rounds=st.lists(st.lists(HARMLESS, max_size=3), max_size=30), privilege=UNCONTROLLED, late=st.integers(0, 5))
def test_a_camera_is_away_when_it_says_that_nobody_controls_it_and_not_before(rounds, privilege, late) -> None:
    """Whatever else it says, and however long it says nothing; a late answer is one, too."""
    camera = Camera()
    try:
        assert not camera.control.is_forgotten()
        for answers in rounds:
            _, number = camera.asked()
            for answer in answers:
                camera.socket.sendto(answer(number), camera.asking)
            assert not camera.control.is_forgotten()
        _, number = camera.asked()
        for _ in range(late):
            assert not camera.control.is_forgotten()
        camera.socket.sendto(ANSWER.pack(0, HAS_READ, 4, number, privilege), camera.asking)
        assert camera.control.is_forgotten()
        assert not camera.control.is_forgotten()  # it has said so once
    finally:
        camera.close()


def test_numbers_begin_again_behind_the_last_one(camera: Camera) -> None:
    for _ in range(0xFFFF):
        camera.control.is_forgotten()
        _, last = camera.asked()
    camera.control.is_forgotten()
    _, first = camera.asked()
    assert (last, first) == (0xFFFF, 1)
    camera.socket.sendto(ANSWER.pack(0, HAS_READ, 4, last, 0), camera.asking)
    assert camera.control.is_forgotten()


def test_nobody_else_speaks_for_the_camera(camera: Camera) -> None:
    assert not camera.control.is_forgotten()
    _, number = camera.asked()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.sendto(ANSWER.pack(0, HAS_READ, 4, number, 0), camera.asking)
    assert not camera.control.is_forgotten()


def test_a_camera_to_which_there_is_no_way_was_not_away_by_that() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as helper:
        control = Control(helper, ("127.0.0.1", 1))
        assert not any(control.is_forgotten() for _ in range(5))
