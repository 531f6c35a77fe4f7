import numpy as np
import pytest
from emulation.driver import ILLEGAL_ADDRESS

from edgerd.cuda.memory import Memory
from edgerd.errors import DeviceError, DeviceLostError

pytestmark = pytest.mark.emulated(once=True)


@pytest.mark.parametrize("integrated", [False, True])
def test_a_frame_reaches_the_device_and_a_result_comes_back(driver, gpu, integrated):
    driver.set_device("GPU", sm=(8, 7), integrated=integrated)
    context = gpu()
    memory, stream = Memory(context), context.stream()
    frame, result = memory.frame(1000), memory.result((10, 25), np.float32)
    frame.host[:] = np.arange(1000) % 251
    frame.upload(stream)
    context.cuda.memcpy_dtod_async(result.address, frame.address, 1000, stream)
    result.download(stream)
    context.synchronise(stream)
    assert np.array_equal(result.host.view(np.uint8).ravel(), frame.host)
    memory.free()


@pytest.mark.parametrize(("integrated", "copies"), [(False, 2), (True, 0)])
def test_mapped_memory_is_not_copied(driver, gpu, integrated, copies):
    driver.set_device("GPU", sm=(8, 7), integrated=integrated)
    context = gpu()
    memory, stream = Memory(context), context.stream()
    frame, result = memory.frame(1000), memory.result((10,), np.float32)
    driver.clear()
    frame.upload(stream)
    result.download(stream)
    context.synchronise(stream)
    assert driver.counts(device=True)["copy"] == copies
    assert driver.counts()["pageable"] == 0
    assert frame.host.ctypes.data % 16 == 0
    assert frame.address % 16 == 0
    memory.free()


def test_after_sealing_nothing_is_allocated(driver, gpu):
    before = driver.used_bytes
    memory = Memory(gpu())
    address = memory.constant(np.arange(6, dtype=np.int32))
    assert driver.holds(address, 24)
    assert memory.constant(np.empty((0, 3), np.int32)) == 0
    memory.seal()
    sealed = driver.used_bytes
    for allocate in (memory.frame, memory.device, lambda n: memory.result((n,), np.uint8)):
        with pytest.raises(DeviceError, match="while the loop runs"):
            allocate(100)
    assert driver.used_bytes == sealed
    memory.free()
    memory.free()
    assert driver.used_bytes == before


def test_a_constant_is_there_for_streams_that_do_not_wait_for_the_default_one(driver, gpu):
    context = gpu()
    memory, stream = Memory(context), context.stream()
    driver.clear()
    address = memory.constant(np.arange(6, dtype=np.int32))
    calls = [call for call in driver.calls() if call.name.startswith(("cuMemcpy", "cuStreamSynchronize"))]
    assert (calls[0].name, calls[-1].name) == ("cuMemcpyHtoDAsync", "cuStreamSynchronize")
    assert calls[0].stream == calls[-1].stream != 0
    result = memory.result((6,), np.int32)
    context.cuda.memcpy_dtoh_async(result.host, address, stream)
    context.synchronise(stream)
    assert result.host.tolist() == list(range(6))
    memory.free()


def test_memory_of_a_lost_gpu_goes_without_complaints(driver, gpu, capfd):
    context = gpu()
    memory = Memory(context)
    memory.frame(100)
    memory.device(100)
    driver.fail("cuMemAlloc", ILLEGAL_ADDRESS, sticks=True)
    with pytest.raises(DeviceLostError):
        memory.device(100)
    memory.free()
    context.close()
    assert "cuMemFree" not in capfd.readouterr().err
