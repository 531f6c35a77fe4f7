"""The emulated driver behaves as CUDA's documentation says, where edgerd depends on it."""

import ctypes

import numpy as np
import pytest

from emulation.driver import CAPTURE_INVALIDATED, CAPTURE_UNSUPPORTED, ILLEGAL_ADDRESS, NO_DEVICE, OUT_OF_MEMORY

pytestmark = pytest.mark.emulated(once=True)

KERNEL = """
extern "C" __global__ void scale(const float* in, float* out, float factor, int count) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < count) out[i] = in[i] * factor;
}
"""


@pytest.fixture
def buffers(cuda):
    host = cuda.pagelocked_empty(64, np.float32)
    host[:] = np.arange(64)
    device = cuda.mem_alloc(host.nbytes)
    return host, device


def capture(driver, stream, enqueue, mode=1):
    """Results of begin, end and instantiate, and the graph."""
    handle, graph, executable = ctypes.c_void_p(stream.handle), ctypes.c_void_p(), ctypes.c_void_p()
    begun = driver.library.cuStreamBeginCapture_v2(handle, mode)
    enqueue()
    ended = driver.library.cuStreamEndCapture(handle, ctypes.byref(graph))
    made = (
        driver.library.cuGraphInstantiateWithFlags(ctypes.byref(executable), graph, ctypes.c_ulonglong(0))
        if graph
        else -1
    )
    return begun, ended, made, executable


def test_work_is_done_when_it_is_waited_for_and_not_before(cuda, buffers):
    host, device = buffers
    stream, result = cuda.Stream(), cuda.pagelocked_zeros(64, np.float32)
    cuda.memcpy_htod_async(device, host, stream)
    host[0] = 99  # too early: the copy has not been made
    cuda.memcpy_dtoh_async(result, device, stream)
    assert not result.any()
    stream.synchronize()
    assert result[0] == 99
    np.testing.assert_array_equal(result, host)


def test_streams_are_independent_but_for_events(cuda, buffers):
    host, device = buffers
    first, second, event = cuda.Stream(), cuda.Stream(), cuda.Event()
    result = cuda.pagelocked_zeros(64, np.float32)
    cuda.memset_d32_async(device, 0, 64, first)
    first.synchronize()
    cuda.memcpy_htod_async(device, host, first)
    cuda.memcpy_dtoh_async(result, device, second)
    second.synchronize()
    assert not result.any()  # nothing made it wait for the copy
    event.record(first)
    second.wait_for_event(event)
    cuda.memcpy_dtoh_async(result, device, second)
    second.synchronize()
    np.testing.assert_array_equal(result, host)


def test_pageable_memory_waits_and_is_reported(cuda, buffers, emulation):
    _, device = buffers
    cuda.memcpy_htod_async(device, np.ones(64, np.float32), cuda.Stream())
    assert emulation.driver.counts()["pageable"] == 1


def test_a_copy_past_the_end_is_refused(cuda, buffers):
    host, device = buffers
    with pytest.raises(cuda.LogicError, match="invalid argument"):
        cuda.memcpy_htod(int(device) + 4, host)


def test_the_log_names_calls_streams_and_sizes(cuda, buffers, emulation):
    host, device = buffers
    stream = cuda.Stream()
    emulation.driver.clear()
    cuda.memcpy_htod_async(device, host, stream)
    stream.synchronize()
    first, second, third = emulation.driver.calls()
    assert (first.name, first.stream, first.bytes) == ("cuMemcpyHtoDAsync", stream.handle, 256)
    assert (second.name, third.name, third.bytes) == ("cuStreamSynchronize", "run:copy", 256)


def test_device_memory_ends(cuda, emulation):
    size = emulation.driver.used_bytes + (1 << 20)  # whatever earlier tests left
    emulation.driver.set_memory(size)
    held = cuda.mem_alloc(1 << 19)
    with pytest.raises(cuda.MemoryError):
        cuda.mem_alloc(1 << 20)
    free, total = cuda.mem_get_info()
    assert (total, free) == (size, size - emulation.driver.used_bytes)
    held.free()


def test_a_call_without_a_context_is_refused(emulation):
    import pycuda.driver as cuda

    cuda.init()
    with pytest.raises(cuda.LogicError, match="context"):
        cuda.mem_alloc(16)


# capture and graphs


def test_a_captured_graph_replays_with_new_contents(cuda, buffers, emulation):
    host, device = buffers
    stream, result = cuda.Stream(), cuda.pagelocked_zeros(64, np.float32)

    def enqueue():
        cuda.memcpy_htod_async(device, host, stream)
        cuda.memcpy_dtoh_async(result, device, stream)

    begun, ended, made, graph = capture(emulation.driver, stream, enqueue)
    assert (begun, ended, made) == (0, 0, 0)
    stream.synchronize()
    assert not result.any()  # captured, not run
    host[:] = 7
    emulation.driver.clear()
    emulation.driver.library.cuGraphLaunch(graph, ctypes.c_void_p(stream.handle))
    stream.synchronize()
    assert (result == 7).all()
    assert emulation.driver.counts() == {"cuGraphLaunch": 1, "cuStreamSynchronize": 1}
    assert emulation.driver.counts(device=True) == {"graph": 1, "copy": 2}


@pytest.mark.parametrize("offence", ["allocate", "synchronise"])
def test_what_a_capture_forbids_ends_it(cuda, emulation, offence):
    stream = cuda.Stream()

    def enqueue():
        with pytest.raises(cuda.Error, match="capturing"):
            cuda.mem_alloc(16) if offence == "allocate" else stream.synchronize()

    assert capture(emulation.driver, stream, enqueue)[1] == CAPTURE_INVALIDATED


def test_another_thread_may_allocate_during_a_thread_local_capture(cuda, emulation):
    import threading

    address, results = ctypes.c_uint64(), []
    library = emulation.driver.library

    def other():
        context = ctypes.c_void_p()
        library.cuDevicePrimaryCtxRetain(ctypes.byref(context), 0)
        library.cuCtxPushCurrent_v2(context)
        results.append(library.cuMemAlloc_v2(ctypes.byref(address), ctypes.c_size_t(16)))

    def enqueue():
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()

    local, everywhere = 1, 0
    assert capture(emulation.driver, cuda.Stream(), enqueue, mode=local)[1] == 0
    assert capture(emulation.driver, cuda.Stream(), enqueue, mode=everywhere)[1] == CAPTURE_INVALIDATED
    assert results == [0, CAPTURE_UNSUPPORTED]


# faults


def test_an_illegal_access_comes_up_at_the_synchronise_and_sticks(cuda, buffers, emulation):
    host, device = buffers
    stream = cuda.Stream()
    emulation.driver.fail("run:copy", ILLEGAL_ADDRESS)
    cuda.memcpy_htod_async(device, host, stream)
    for _ in range(2):
        with pytest.raises(cuda.LogicError, match="illegal memory access"):
            stream.synchronize()


def test_a_fault_hits_the_call_it_names(cuda, emulation):
    emulation.driver.fail("cuMemAlloc", OUT_OF_MEMORY, after=1, times=2)  # pycuda tries twice
    cuda.mem_alloc(16)
    with pytest.raises(cuda.MemoryError):
        cuda.mem_alloc(16)
    cuda.mem_alloc(16)


def test_no_device(emulation):
    emulation.driver.fail("cuInit", NO_DEVICE)
    import pycuda.driver as cuda

    with pytest.raises(cuda.Error, match="no CUDA-capable device"):
        cuda.init()


# kernels


@pytest.fixture
def scale(cuda, tmp_path):
    """The kernel above, compiled by the nvcc that is on the path."""
    import subprocess

    (tmp_path / "scale.cu").write_text(KERNEL)
    command = ["nvcc", "-cubin", "-arch=sm_87", "-o", str(tmp_path / "scale.cubin"), str(tmp_path / "scale.cu")]
    subprocess.run(command, check=True)
    return (tmp_path / "scale.cubin").read_bytes()


def test_a_kernel_runs_its_own_source(cuda, buffers, scale):
    host, device = buffers
    result = cuda.pagelocked_zeros(64, np.float32)
    out, stream = cuda.mem_alloc(host.nbytes), cuda.Stream()
    cuda.memcpy_htod(device, host)
    kernel = cuda.module_from_buffer(scale).get_function("scale")
    kernel(device, out, np.float32(2.5), np.int32(60), block=(32, 1, 1), grid=(2, 1), stream=stream)
    cuda.memcpy_dtoh_async(result, out, stream)
    stream.synchronize()
    np.testing.assert_array_equal(result[:60], host[:60] * np.float32(2.5))
    assert np.isnan(result[60:]).all()  # never written


def test_wrong_arguments_are_refused(cuda, buffers, scale):
    _, device = buffers
    kernel = cuda.module_from_buffer(scale).get_function("scale")
    with pytest.raises(cuda.LogicError, match="invalid argument"):
        kernel(device, device, np.float32(2), block=(32, 1, 1), grid=(1, 1))


def test_an_image_for_another_gpu_is_refused(cuda, scale, emulation):
    emulation.driver.set_device("Emulated Orin", sm=(7, 5), integrated=True)
    with pytest.raises(cuda.Error, match="no kernel image"):
        cuda.module_from_buffer(scale)
    emulation.driver.set_device("Emulated RTX", sm=(8, 9))
    module = cuda.module_from_buffer(scale)
    with pytest.raises(cuda.LogicError, match="not found"):
        module.get_function("absent")
