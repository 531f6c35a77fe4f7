"""Who holds which buffer."""

from __future__ import annotations

import numpy as np
import pytest

from edgerd.errors import DeviceError
from edgerd.inspection.slots import Slots


def slots(n: int = 3) -> Slots:
    return Slots([np.zeros((4, 6, 3), np.uint8) for _ in range(n)])


def test_a_camera_gets_its_share_and_no_more() -> None:
    held = slots()
    first, second = held.lend(), held.lend()
    assert first is not None
    assert second is not None
    assert first is not second
    assert held.lend() is None
    held.give_back(second)
    assert held.lend() is second


@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_one_buffer_is_always_left_for_a_frame_from_elsewhere(n: int) -> None:
    held = slots(n)
    while held.lend() is not None:
        pass
    assert held.has_room(np.zeros((4, 6, 3), np.uint8))


def test_a_frame_that_lies_in_a_slot_is_not_copied() -> None:
    held = slots()
    lent = held.lend()
    number, is_there = held.claim(lent)
    assert is_there
    assert held[number] is lent
    assert held.lend() is not None  # what the run has is not the camera's any more
    held.give_back(lent)


def test_a_frame_from_elsewhere_finds_a_slot_while_the_camera_has_its_share() -> None:
    held = slots()
    lent = [held.lend(), held.lend()]
    number, is_there = held.claim(np.zeros((4, 6, 3), np.uint8))
    assert not is_there
    assert all(held[number] is not buffer for buffer in lent)
    assert held.has_room(lent[0])
    assert not held.has_room(np.zeros((4, 6, 3), np.uint8))
    with pytest.raises(DeviceError, match="All 3 slots are in use"):
        held.claim(np.zeros((4, 6, 3), np.uint8))


def test_memory_is_lent_until_all_that_left_is_given_back() -> None:
    held = slots()
    held.claim(np.zeros((4, 6, 3), np.uint8))  # a copy: nobody outside has it
    assert not held.is_lent
    lent = held.lend()
    assert held.is_lent
    held.claim(lent)
    held.give_back(np.zeros(3, np.uint8))  # nobody's
    assert held.is_lent
    held.give_back(lent)
    assert not held.is_lent


def test_slots_that_are_withdrawn_are_lent_no_more() -> None:
    """A camera's thread that comes back late from its driver must not get memory that is being freed."""
    held = slots()
    lent = held.lend()
    assert not held.withdraw()
    assert held.lend() is None
    held.give_back(lent)
    assert held.withdraw()
    assert held.lend() is None
