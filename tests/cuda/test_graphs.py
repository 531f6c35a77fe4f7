import ctypes
import threading

import numpy as np
import pytest
from emulation.driver import CAPTURE_UNSUPPORTED, ILLEGAL_ADDRESS, OUT_OF_MEMORY

from edgerd.cuda.graphs import Step
from edgerd.cuda.memory import Memory
from edgerd.errors import DeviceError, DeviceLostError

pytestmark = pytest.mark.emulated(once=True)


@pytest.fixture
def loop(gpu):
    """A context, a stream, and work on it: a frame is copied to the device and back."""
    context = gpu()
    memory, stream = Memory(context), context.stream()
    frame, result = memory.frame(64), memory.result((64,), np.uint8)

    def enqueue():
        frame.upload(stream)
        context.cuda.memcpy_dtod_async(result.address, frame.address, 64, stream)
        result.download(stream)

    yield context, stream, enqueue, frame, result
    memory.free()


@pytest.mark.parametrize("capture", [True, False])
def test_each_launch_takes_what_is_in_the_buffer_then(loop, capture):
    context, stream, enqueue, frame, result = loop
    step = Step(context, stream, enqueue, capture=capture)
    assert step.is_graph is capture
    for value in (3, 7):
        frame.host[:] = value
        step.launch()
        context.synchronise(stream)
        assert (result.host == value).all()
    step.close()


def test_a_launch_of_a_graph_is_one_call(driver, loop):
    context, stream, enqueue, _, _ = loop
    step = Step(context, stream, enqueue)
    assert step.reason == ""
    driver.clear()
    step.launch()
    context.synchronise(stream)
    assert driver.counts() == {"cuGraphLaunch": 1, "cuStreamSynchronize": 1}
    step.close()
    step.close()
    assert driver.live("graph") == driver.live("graph exec") == 0


def test_work_is_run_once_and_waited_for_before_it_is_captured(driver, loop):
    context, stream, enqueue, _, _ = loop
    driver.clear()
    step = Step(context, stream, enqueue)
    names = [call.name for call in driver.calls() if not call.name.startswith("run:")]
    assert names.index("cuStreamSynchronize") < names.index("cuStreamBeginCapture")
    assert driver.counts(device=True)["copy"] == 3
    step.close()


def allocating(context, enqueue):
    """Work that a capture does not allow: it allocates memory, as a library may."""

    def work():
        enqueue()
        context.cuda.mem_alloc(64).free()

    return work


def test_what_cannot_be_captured_is_enqueued_each_time(driver, loop):
    context, stream, enqueue, frame, result = loop
    step = Step(context, stream, allocating(context, enqueue))
    assert not step.is_graph
    assert "operation not permitted when stream is capturing" in step.reason
    frame.host[:] = 9
    step.launch()
    context.synchronise(stream)
    assert (result.host == 9).all()
    assert driver.live("graph") == 0


def test_the_capture_is_ended_whatever_breaks_it(loop):
    context, stream, enqueue, _, _ = loop
    calls = []

    def interrupted():
        enqueue()
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Step(context, stream, interrupted)
    context.synchronise(stream)  # refused on a stream that is still captured


def test_others_may_use_the_default_stream_during_a_capture(loop):
    context, stream, enqueue, frame, _ = loop
    library, results = context.driver.library, []

    def copy_on_the_default_stream():
        primary, values = ctypes.c_void_p(), (ctypes.c_ubyte * 64)()
        library.cuDevicePrimaryCtxRetain(ctypes.byref(primary), 0)
        library.cuCtxSetCurrent(primary)
        results.append(library.cuMemcpyHtoD_v2(ctypes.c_uint64(frame.address), values, ctypes.c_size_t(64)))
        library.cuDevicePrimaryCtxRelease_v2(0)

    def work():
        enqueue()
        other = threading.Thread(target=copy_on_the_default_stream)
        other.start()
        other.join()

    step = Step(context, stream, work)
    assert (step.is_graph, results) == (True, [0, 0])
    step.close()


@pytest.mark.parametrize("call", ["cuStreamBeginCapture", "cuGraphInstantiateWithFlags"])
def test_a_driver_that_refuses_a_graph_gets_eager_work(driver, loop, call):
    context, stream, enqueue, frame, result = loop
    driver.fail(call, CAPTURE_UNSUPPORTED)
    step = Step(context, stream, enqueue)
    assert not step.is_graph
    assert call in step.reason
    assert driver.live("graph exec") == 0
    frame.host[:] = 5
    step.launch()
    context.synchronise(stream)
    assert (result.host == 5).all()


def test_work_that_fails_without_a_capture_is_an_error(driver, loop):
    context, stream, enqueue, _, _ = loop
    driver.fail("cuMemcpyHtoDAsync", OUT_OF_MEMORY)
    with pytest.raises(DeviceError, match="not have enough memory"):
        Step(context, stream, enqueue)


def test_a_gpu_that_is_lost_on_the_way_is_no_reason_to_go_on(driver, loop):
    context, stream, enqueue, _, _ = loop
    step = Step(context, stream, enqueue)
    driver.fail("run:copy", ILLEGAL_ADDRESS)
    step.launch()
    with pytest.raises(DeviceLostError, match="illegal memory access"):
        context.synchronise(stream)
    with pytest.raises(DeviceLostError):
        step.launch()
    step.close()
