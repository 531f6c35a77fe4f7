import ctypes
import sys
import threading

import pytest
from emulation.driver import ILLEGAL_ADDRESS, LOST, NO_DEVICE

from edgerd.cuda.memory import Memory
from edgerd.errors import DeviceError, DeviceLostError, DeviceNotReadyError, MissingDependencyError

pytestmark = pytest.mark.emulated(once=True)

NOT_INITIALIZED = 3


def state_of_the_primary_context(library):
    """The flags of the primary context, and whether it is active."""
    flags, active = ctypes.c_uint(), ctypes.c_int()
    library.cuDevicePrimaryCtxGetState(0, ctypes.byref(flags), ctypes.byref(active))
    return flags.value, active.value == 1


def current_context(library):
    handle = ctypes.c_void_p()
    library.cuCtxGetCurrent(ctypes.byref(handle))
    return handle.value


def test_it_says_which_gpu_it_is(driver, gpu):
    driver.set_device("NVIDIA L4", sm=(8, 9))
    context = gpu()
    assert (context.name, context.capability, context.maps_host_memory) == ("NVIDIA L4", (8, 9), False)


def test_an_integrated_gpu_maps_host_memory(driver, gpu):
    driver.set_device("Orin", sm=(8, 7), integrated=True)
    assert gpu().maps_host_memory


@pytest.mark.parametrize(("wait", "flag"), [("spinning", 1), ("blocking", 4)])
def test_how_to_wait_is_told_to_the_driver(driver, gpu, wait, flag):
    context = gpu()
    context.wait_by(wait)
    assert state_of_the_primary_context(context.driver.library) == (flag, True)


def test_no_gpu_is_said_with_what_to_do(driver, gpu):
    driver.fail("cuInit", NO_DEVICE)
    with pytest.raises(MissingDependencyError, match="finds no GPU") as caught:
        gpu()
    assert caught.value.exit_code == 6
    assert "nvidia-smi" in caught.value.hint


@pytest.mark.parametrize(("code", "shown"), [(802, "not ready yet"), (805, "MPS server"), (LOST, "does not start")])
def test_a_driver_that_may_answer_later_is_no_reason_to_give_up(driver, gpu, code, shown):
    """systemd starts a service again for exit code 1, never for 6."""
    driver.fail("cuInit", code)
    with pytest.raises(DeviceNotReadyError, match=shown) as caught:
        gpu()
    assert caught.value.exit_code == 1
    assert caught.value.hint


def test_a_gpu_that_this_user_may_not_open_is_named(driver, gpu, monkeypatch, tmp_path):
    from edgerd.cuda import driver as module

    (tmp_path / "nvidiactl").touch()
    monkeypatch.setattr(module, "_DEV", tmp_path)
    monkeypatch.setattr(module.os, "access", lambda file, mode: False)
    driver.fail("cuInit", LOST)
    with pytest.raises(MissingDependencyError, match="nvidiactl cannot be opened") as caught:
        gpu()
    assert "usermod -aG video,render" in caught.value.hint


def test_a_process_that_was_forked_from_one_with_the_gpu_is_told_so(driver, gpu):
    driver.fail("cuInit", NOT_INITIALIZED)
    with pytest.raises(MissingDependencyError, match="was forked") as caught:
        gpu()
    assert "spawn" in caught.value.hint


def test_without_pycuda_it_says_what_to_install(gpu, monkeypatch):
    monkeypatch.setitem(sys.modules, "pycuda.driver", None)
    with pytest.raises(MissingDependencyError, match="pycuda cannot be imported") as caught:
        gpu()
    assert "pip install" in caught.value.hint


def test_a_pycuda_that_the_driver_is_too_old_for_must_be_compiled_again(gpu, monkeypatch):
    class TooNew:
        @staticmethod
        def find_spec(name, path=None, target=None):
            if name == "pycuda.driver":
                raise ImportError("_driver.so: undefined symbol: cuCtxCreate_v4")

    monkeypatch.delitem(sys.modules, "pycuda.driver", raising=False)
    monkeypatch.setattr(sys, "meta_path", [TooNew, *sys.meta_path])
    with pytest.raises(MissingDependencyError, match="undefined symbol") as caught:
        gpu()
    assert "--force-reinstall" in caught.value.hint


def test_too_little_memory_is_an_error_of_its_own(driver, gpu):
    context = gpu()
    driver.set_memory(driver.used_bytes + 1000)
    with pytest.raises(DeviceError, match="not have enough memory") as caught:
        Memory(context).device(2000)
    assert not isinstance(caught.value, DeviceLostError)
    assert not context.is_lost


def test_another_thread_is_refused(gpu):
    context, caught = gpu(), []
    memory = Memory(context)

    def use():
        for call in (context.stream, lambda: memory.device(16)):
            try:
                call()
            except DeviceError as error:
                caught.append(error)

    thread = threading.Thread(target=use)
    thread.start()
    thread.join()
    assert ["another thread" in str(error) for error in caught] == [True, True]


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


def test_closing_leaves_the_thread_as_it_was(driver, gpu):
    seen = []

    def use():
        context = gpu()
        context.stream()
        context.close()
        seen.append(current_context(driver.library))

    thread = threading.Thread(target=use)
    thread.start()
    thread.join()
    assert seen == [None]


def test_what_libraries_still_hold_after_closing_finds_its_context(driver, gpu):
    context = gpu()
    driver.clear()
    context.close()
    del context
    assert driver.counts()["cuDevicePrimaryCtxRelease"] == 0
    assert state_of_the_primary_context(driver.library)[1]


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_two_engines_of_a_thread_close_in_any_order(gpu, order):
    before = current_context(gpu().driver.library)
    contexts = gpu(), gpu()
    contexts[order[0]].close()
    contexts[order[1]].stream()
    contexts[order[1]].close()
    assert current_context(contexts[0].driver.library) == before


def test_a_gpu_that_one_engine_has_lost_is_let_go_by_all(driver, gpu):
    first, second = gpu(), gpu()
    stream = second.stream()
    driver.fail("cuStreamSynchronize", ILLEGAL_ADDRESS, sticks=True)
    with pytest.raises(DeviceLostError):
        second.synchronise(stream)
    second.close()
    first.close()
    driver.reset()
    assert gpu().stream()


@pytest.mark.parametrize("thread", ["main", "worker"])
@pytest.mark.parametrize("is_lost", [False, True])
def test_a_program_that_forgets_to_close_ends_like_any_other(thread, is_lost, emulated_python):
    ended = emulated_python(
        f"""
        import threading, time
        from edgerd.cuda.context import Context

        kept = []

        def forget():
            kept.extend([Context(), Context()])
            if {is_lost}:
                emulation.driver.fail("cuMemAlloc", 700, sticks=True)
                emulation.driver.library.cuMemAlloc_v2(None, 1)

        if {thread!r} == "main":
            forget()
        else:
            worker = threading.Thread(target=forget)
            worker.start()
            worker.join()
            time.sleep(0.2)  # its end in the system is a little later
        print("the end")
        """
    )
    assert (ended.returncode, ended.stdout) == (0, "the end\n"), ended.stderr
    assert "Traceback" not in ended.stderr
