import sys
import threading

import pytest
from emulation.driver import ILLEGAL_ADDRESS, LOST, NO_DEVICE

from edgerd.cuda.memory import Memory
from edgerd.errors import DeviceError, DeviceLostError, InputError, MissingDependencyError

pytestmark = pytest.mark.emulated(once=True)


def test_it_says_which_gpu_it_is(driver, gpu):
    driver.set_device("NVIDIA L4", sm=(8, 9))
    context = gpu()
    assert (context.name, context.capability, context.maps_host_memory) == ("NVIDIA L4", (8, 9), False)


def test_an_integrated_gpu_maps_host_memory(driver, gpu):
    driver.set_device("Orin", sm=(8, 7), integrated=True)
    assert gpu().maps_host_memory


@pytest.mark.parametrize(("wait", "flag"), [("spinning", 1), ("blocking", 4)])
def test_how_to_wait_is_told_to_the_driver(driver, gpu, wait, flag):
    import ctypes

    context = gpu(wait=wait)
    flags, active = ctypes.c_uint(), ctypes.c_int()
    context.driver.library.cuDevicePrimaryCtxGetState(0, ctypes.byref(flags), ctypes.byref(active))
    assert (flags.value, active.value) == (flag, 1)


def test_no_gpu_is_said_with_what_to_do(driver, gpu):
    driver.fail("cuInit", NO_DEVICE)
    with pytest.raises(MissingDependencyError, match="finds no GPU") as caught:
        gpu()
    assert caught.value.exit_code == 6
    assert "nvidia-smi" in caught.value.hint


def test_a_gpu_that_this_user_may_not_open_is_named(driver, gpu, monkeypatch, tmp_path):
    from edgerd.cuda import driver as module

    (tmp_path / "nvidiactl").touch()
    monkeypatch.setattr(module, "_DEV", tmp_path)
    monkeypatch.setattr(module.os, "access", lambda file, mode: False)
    driver.fail("cuInit", LOST)
    with pytest.raises(MissingDependencyError, match="nvidiactl cannot be opened") as caught:
        gpu()
    assert "usermod -aG video,render" in caught.value.hint


def test_a_gpu_that_does_not_exist_is_refused(gpu):
    with pytest.raises(InputError, match="no GPU 3") as caught:
        gpu(3)
    assert caught.value.expected == "0 to 0"


def test_without_pycuda_it_says_what_to_install(gpu, monkeypatch):
    monkeypatch.setitem(sys.modules, "pycuda.driver", None)
    with pytest.raises(MissingDependencyError, match="pycuda cannot be imported") as caught:
        gpu()
    assert "pip install" in caught.value.hint


def test_too_little_memory_is_an_error_of_its_own(driver, gpu):
    context = gpu()
    driver.set_memory(driver.used_bytes + 1000)
    with pytest.raises(DeviceError, match="not enough memory") as caught:
        Memory(context).device(2000)
    assert not isinstance(caught.value, DeviceLostError)
    assert not context.is_lost


def test_another_thread_is_refused(gpu):
    context, caught = gpu(), []

    def use():
        try:
            context.stream()
        except DeviceError as error:
            caught.append(error)

    thread = threading.Thread(target=use)
    thread.start()
    thread.join()
    assert "another thread" in str(caught[0])


def test_a_lost_gpu_is_noticed_and_closing_still_works(driver, gpu):
    context = gpu()
    stream = context.stream()
    driver.fail("cuStreamSynchronize", ILLEGAL_ADDRESS, sticks=True)
    with pytest.raises(DeviceLostError, match=r"illegal memory access.*CUDA error 700") as caught:
        context.synchronise(stream)
    assert caught.value.exit_code == 1
    assert context.is_lost
    context.close()
    context.close()


def test_nothing_is_left_after_closing(driver, gpu):
    before = driver.used_bytes, driver.live("pinned memory")
    context = gpu()
    memory = Memory(context)
    memory.frame(1000)
    assert (driver.used_bytes, driver.live("pinned memory")) > before
    memory.free()
    context.close()
    assert (driver.used_bytes, driver.live("pinned memory")) == before
