"""The emulated GPU fails: no capture, memory, compiler or GPU any more; what is said, and what is left behind."""

from __future__ import annotations

import pytest
from device_calls import EAGER, live, noise
from emulation.driver import CAPTURE_UNSUPPORTED, ILLEGAL_ADDRESS, OUT_OF_MEMORY

from edgerd.errors import DeviceError, DeviceLostError, MissingDependencyError

pytestmark = pytest.mark.emulated


@pytest.mark.parametrize("mode", ["latency", "throughput"])
def test_where_a_capture_fails_the_numbers_are_the_same_and_it_is_said_once(emulation, on_gpu, mode):
    frames = [noise(seed=seed, height=height) for seed in range(3) for height in (64, 96)]
    expected = [on_gpu().inspect(frame).score for frame in frames]
    emulation.driver.fail("cuStreamBeginCapture", CAPTURE_UNSUPPORTED, times=1000)
    inspector = on_gpu(mode=mode)
    assert [inspector.inspect(frame).score for frame in frames] == expected
    (note,) = inspector.notes
    assert "not as one graph" in note
    assert "cuStreamBeginCapture" in note
    emulation.driver.clear()
    inspector.inspect(frames[-1])
    assert emulation.driver.counts() == EAGER


def test_closing_frees_everything_and_is_safe_twice(emulation, on_gpu):
    before = live(emulation), emulation.driver.used_bytes
    inspector = on_gpu(mode="throughput")
    inspector.inspect(noise())
    inspector.submit(noise(seed=1))  # never waited for
    inspector.close()
    inspector.close()
    assert (live(emulation), emulation.driver.used_bytes) == before


def test_a_gpu_that_is_lost_is_an_error_and_closing_goes_on(emulation, on_gpu):
    inspector = on_gpu()
    inspector.inspect(noise())
    emulation.driver.fail("run:engine", ILLEGAL_ADDRESS)
    with pytest.raises(DeviceLostError, match="illegal memory access"):
        inspector.inspect(noise())
    with pytest.raises(DeviceLostError):
        inspector.inspect(noise())
    inspector.close()


@pytest.mark.parametrize("after", [0, 2])
def test_too_little_memory_is_said_and_leaves_nothing(emulation, on_gpu, after):
    inspector = on_gpu()
    before = live(emulation)
    emulation.driver.fail("cuMemAlloc", OUT_OF_MEMORY, after=after, times=2)
    with pytest.raises(DeviceError, match="not have enough memory"):
        inspector.inspect(noise())
    assert live(emulation) == before
    assert inspector.inspect(noise()).score is not None


def test_where_there_is_no_compiler_it_is_said_before_the_first_frame(emulation, on_gpu):
    emulation.driver.set_device("Of tomorrow", sm=(30, 0))
    inspector = on_gpu()
    with pytest.raises(MissingDependencyError, match="do not compile for sm_300"):
        inspector.warm_up()
