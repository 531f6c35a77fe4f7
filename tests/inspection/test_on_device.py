"""Frames under way on the emulated GPU: whose results are whose, whatever is submitted, fails or is left."""

from __future__ import annotations

import gc

import numpy as np
import pytest
from emulation.driver import OUT_OF_MEMORY

from edgerd.errors import DeviceError
from edgerd.types import Frame, PixelFormat

pytestmark = pytest.mark.emulated(once=True)

REFUSED = 1
"""CUDA_ERROR_INVALID_VALUE: one call fails, the GPU goes on."""


def level(grey, height=64, width=96):
    """A picture that scores |grey - 128| / 128."""
    return np.full((height, width, 3), grey, np.uint8)


def score_of(grey):
    return pytest.approx(abs(grey - 128) / 128)


@pytest.mark.parametrize("mode", ["latency", "throughput"])
@pytest.mark.parametrize("slots", [1, 2, 3])
def test_whoever_submits_ahead_gets_each_frames_own_result(on_gpu, mode, slots):
    inspector = on_gpu(mode=mode, slots=slots)
    greys = range(100, 110)
    under_way = [inspector.submit(level(grey)) for grey in greys]
    assert [pending.result().score for pending in under_way] == [score_of(grey) for grey in greys]


def test_a_frame_that_failed_says_so_again_and_takes_nothing_from_those_behind_it(emulation, on_gpu):
    inspector = on_gpu(mode="throughput", slots=2)
    inspector.inspect(level(100))
    failed = inspector.submit(level(101))
    emulation.driver.fail("cuStreamSynchronize", REFUSED)
    with pytest.raises(DeviceError, match="cuStreamSynchronize"):
        failed.result()
    under_way = [inspector.submit(level(grey)) for grey in (102, 103)]
    with pytest.raises(DeviceError, match="cuStreamSynchronize"):
        failed.result()
    under_way.append(inspector.submit(level(104)))
    assert [pending.result().score for pending in under_way] == [score_of(grey) for grey in (102, 103, 104)]


@pytest.mark.parametrize("mode", ["latency", "throughput"])
def test_a_frame_of_another_size_does_not_fail_for_the_one_before_it(emulation, on_gpu, mode):
    inspector = on_gpu(mode=mode)
    inspector.inspect(level(100))
    failed = inspector.submit(level(101))
    emulation.driver.fail("cuStreamSynchronize", REFUSED)
    assert inspector.submit(level(102, height=96)).result().score == score_of(102)
    with pytest.raises(DeviceError):
        failed.result()


def test_frames_that_were_refused_keep_no_slot(emulation, on_gpu):
    inspector = on_gpu(slots=2)
    inspector.inspect(level(100))
    for _ in range(4):
        emulation.driver.fail("cuGraphLaunch", REFUSED)
        with pytest.raises(DeviceError, match="cuGraphLaunch"):
            inspector.inspect(level(101))
    assert inspector.inspect(level(102)).score == score_of(102)


@pytest.mark.parametrize("mode", ["latency", "throughput"])
def test_slots_of_another_size_need_no_memory_beside_the_old_ones(emulation, on_gpu, mode):
    inspector = on_gpu(mode=mode)
    inspector.inspect(level(100, 1000, 1000))
    emulation.driver.set_memory(emulation.driver.used_bytes + 2_000_000)  # enough for none of the slots
    assert inspector.inspect(level(101, 1000, 996)).score == score_of(101)
    emulation.driver.fail("cuMemAlloc", OUT_OF_MEMORY, times=2)
    with pytest.raises(DeviceError, match="not have enough memory"):
        inspector.inspect(level(102, 1000, 992))
    assert inspector.inspect(level(103, 1000, 1000)).score == score_of(103)


def test_slots_that_cannot_be_made_leave_no_graph(emulation, on_gpu):
    inspector = on_gpu(profile=True)
    gc.collect()  # what earlier tests left
    before = emulation.driver.live("graph exec")
    for n_waits in range(6):  # the upload is a graph when that for the engine fails, and so on
        emulation.driver.fail("cuStreamSynchronize", REFUSED, after=n_waits)
        with pytest.raises(DeviceError):
            inspector.inspect(level(100))
        assert emulation.driver.live("graph exec") == before
    assert inspector.inspect(level(101)).score == score_of(101)


def test_a_frame_that_does_not_fit_leaves_the_slots_as_they_are(emulation, on_gpu):
    inspector = on_gpu()
    inspector.inspect(level(100))
    emulation.driver.clear()
    with pytest.raises(Exception, match="grey frame"):
        inspector.inspect(Frame(level(101), PixelFormat.GREY))
    inspector.inspect(level(102))
    assert emulation.driver.counts() == {"cuGraphLaunch": 1, "cuStreamSynchronize": 1}
