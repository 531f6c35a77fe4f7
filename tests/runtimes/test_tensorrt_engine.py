"""TensorRT's engines over the emulated GPU: the contract of a runtime, and work on a stream."""

import hashlib
import platform
import threading

import numpy as np
import pytest
from emulation.driver import ILLEGAL_ADDRESS
from runtime_graphs import HEIGHT, WIDTH

from edgerd.errors import DeviceError, DeviceLostError, EdgerdError, InputError
from edgerd.runtimes.fit import differences

pytestmark = pytest.mark.emulated

MULTIPROCESSOR_COUNT = 16
"""CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT."""


@pytest.mark.parametrize("profile", [(1, 1, 1), (1, 2, 4), (2, 2, 2)])
def test_maps_are_those_of_the_graph_whatever_the_batch(loaded, frames, expected, profile):
    engine = loaded(profile=profile)
    for n in (3, 1, 2):
        maps = engine.infer(frames[:n])
        np.testing.assert_allclose(maps.score, expected.score[:n], atol=1e-5)
        np.testing.assert_allclose(maps.anomaly_map, expected.anomaly_map[:n], atol=1e-5)


def test_results_belong_to_the_caller(loaded, frames):
    engine = loaded()
    first = engine.infer(frames[:1])
    kept = first.anomaly_map.copy()
    engine.infer(frames[1:2])
    engine.close()
    np.testing.assert_array_equal(first.anomaly_map, kept)


def test_nothing_is_allocated_after_the_first_picture(loaded, frames, emulation):
    engine = loaded()
    engine.infer(frames[:1])
    emulation.driver.clear()
    engine.infer(frames[:1])
    assert emulation.driver.counts() == {"cuMemcpyHtoDAsync": 1, "cuMemcpyDtoHAsync": 2, "cuStreamSynchronize": 1}
    assert emulation.driver.counts(device=True)["engine"] == 1


def test_an_integrated_gpu_copies_nothing(loaded, frames, expected, emulation):
    emulation.driver.set_device("Orin", sm=(8, 7), integrated=True)
    engine = loaded()
    np.testing.assert_allclose(engine.infer(frames).score, expected.score, atol=1e-5)
    assert not emulation.driver.counts(device=True)["copy"]


def test_frames_that_do_not_fit_are_refused(loaded):
    with pytest.raises(InputError, match=f"{HEIGHT}, {WIDTH}, 3"):
        loaded().infer(np.zeros((1, WIDTH, HEIGHT, 3), np.uint8))


def test_closing_twice_is_safe_frees_everything_and_is_said(loaded, frames, emulation):
    import gc

    gc.collect()
    before = {kind: emulation.driver.live(kind) for kind in ("device memory", "pinned memory", "stream")}
    engine = loaded()
    engine.infer(frames)
    engine.close()
    engine.close()
    gc.collect()
    assert {kind: emulation.driver.live(kind) for kind in before} == before
    for attempt in (lambda: engine.infer(frames), lambda: engine.bind(0, 0, 0, 1)):
        with pytest.raises(EdgerdError, match="closed"):
            attempt()


def test_another_thread_is_refused(loaded, frames):
    engine, caught = loaded(), []

    def use():
        try:
            engine.infer(frames)
        except DeviceError as error:
            caught.append(error)

    thread = threading.Thread(target=use)
    thread.start()
    thread.join()
    assert "another thread" in caught[0].what


# on a stream


@pytest.fixture
def slots(loaded):
    """An engine and slots of device memory for it: tiles, score, map."""
    from edgerd.cuda.memory import Memory

    made = []

    def make(n_slots, batch=1, **options):
        engine = loaded(**options)
        memory = Memory(engine.gpu)
        made.append(memory)
        size = engine.height * engine.width
        return engine, [
            (memory.frame(batch * size * 3), memory.result((batch,), "f4"), memory.result((batch, size), "f4"))
            for _ in range(n_slots)
        ]

    yield make
    for memory in made:
        memory.free()


def run(engine, slot, launch, stream, frame):
    tiles, score, _ = slot
    tiles.host[:] = frame.reshape(-1)
    tiles.upload(stream)
    launch()
    score.download(stream)
    engine.gpu.synchronise(stream)
    return score.host.copy()


@pytest.mark.parametrize("capture", [True, False], ids=["graph", "eager"])
def test_slots_give_their_own_answers(slots, frames, expected, capture, emulation):
    from edgerd.cuda.graphs import Step

    engine, (first, second) = slots(2)
    steps, streams = [], [engine.gpu.stream(), engine.gpu.stream()]
    for slot, stream in zip((first, second), streams, strict=True):
        enqueue = engine.bind(*(buffer.address for buffer in slot), 1)
        steps.append(Step(engine.gpu, stream, lambda e=enqueue, s=stream: e(s), capture=capture))
        assert steps[-1].is_graph == capture, steps[-1].reason
    emulation.driver.clear()
    for index in (0, 1, 0, 1):
        answer = run(engine, (first, second)[index], steps[index].launch, streams[index], frames[index])
        np.testing.assert_allclose(answer, expected.score[index : index + 1], atol=1e-5)
    counts = emulation.driver.counts()
    assert counts["cuGraphLaunch"] == (4 if capture else 0)
    assert not {name for name in counts if "Alloc" in name or "Free" in name}
    assert emulation.driver.counts(device=True)["engine"] == 4
    for step in steps:
        step.close()


def test_a_batch_of_tiles_in_one_run(slots, frames, expected, emulation):
    engine, (slot,) = slots(1, batch=3, profile=(3, 3, 3))
    stream = engine.gpu.stream()
    enqueue = engine.bind(*(buffer.address for buffer in slot), 3)
    answer = run(engine, slot, lambda: enqueue(stream), stream, frames)
    np.testing.assert_allclose(answer, expected.score, atol=1e-5)
    assert emulation.driver.counts(device=True)["engine"] - 13 == 1  # 13 while it was built: warm-up and profile


def test_a_batch_outside_of_the_profile_says_how_to_build_for_it(loaded):
    engine = loaded(profile=(1, 2, 4))
    with pytest.raises(InputError, match="1 to 4 tiles at a time, not 5") as caught:
        engine.bind(0, 0, 0, 5)
    assert "--profile 1:5:5" in caught.value.hint


def test_runs_are_not_marked_for_a_profiler(loaded, emulation):
    verbosity = loaded().execution(1).context.nvtx_verbosity
    assert verbosity == emulation.trt.ProfilingVerbosity.NONE  # each mark takes time in every run


def test_what_tensorrt_logs_becomes_an_error(loaded, emulation):
    engine = loaded()
    enqueue = engine.bind(0, 0, 0, 1)
    with pytest.raises(DeviceError, match="Address is not set for tensor"):
        enqueue(engine.gpu.stream())


def test_what_is_logged_by_a_run_that_says_it_went_well_is_an_error(loaded, frames):
    engine = loaded()
    engine.infer(frames)
    engine._log.errors.append("Error Code 1: Cask (Cask convolution execution)")
    with pytest.raises(DeviceError, match="refused to run the engine: Error Code 1: Cask"):
        engine.infer(frames)
    engine.infer(frames)  # told once


def test_an_illegal_access_loses_the_gpu(loaded, frames, emulation):
    engine = loaded()
    engine.infer(frames)
    emulation.driver.fail("run:engine", ILLEGAL_ADDRESS)
    with pytest.raises(DeviceLostError, match="illegal memory access"):
        engine.infer(frames)
    assert engine.gpu.is_lost
    engine.close()


def test_no_memory_to_run_in(loaded, frames, emulation):
    engine = loaded()
    emulation.driver.set_memory(emulation.driver.used_bytes + 1000)
    with pytest.raises(DeviceError, match="not have enough memory to activate the engine"):
        engine.infer(frames)


# keys


def test_the_key_names_gpu_version_and_graph(tensorrt, emulation):
    emulation.driver.set_device("Orin", sm=(8, 7))
    digest = hashlib.sha256(b"graph").hexdigest()
    key = tensorrt().key("fp16", digest)
    assert (key.runtime, key.precision, key.device) == ("tensorrt", "fp16", "Orin, 8 SMs")
    assert key.features == ("sm_87", f"linux {platform.machine()} discrete")
    assert key.runtime_version == emulation.trt.__version__ == tensorrt().probe().version
    assert key.graph_sha256 == digest


def test_a_larger_gpu_of_the_same_name_is_another_one(tensorrt, emulation):
    """Every Orin calls itself "Orin"."""
    emulation.driver.set_device("Orin", sm=(8, 7))
    digest = hashlib.sha256(b"graph").hexdigest()
    small = tensorrt().key("fp16", digest)
    emulation.driver.set_attribute(MULTIPROCESSOR_COUNT, 16)
    assert differences(small, tensorrt().key("fp16", digest)) == ["device Orin, 8 SMs (here Orin, 16 SMs)"]


def test_a_probe_has_every_precision_and_its_own_flavour(tensorrt):
    probe = tensorrt().probe()
    assert (probe.precisions, probe.int8_flavour, probe.reason) == (("fp32", "fp16", "int8"), "trt", "")


def test_a_gpu_that_is_too_old(tensorrt, emulation):
    emulation.driver.set_device("Tesla P4", sm=(6, 1))
    probe = tensorrt().probe()
    assert not probe.usable
    assert "Tesla P4 is too old: sm_61" in probe.reason
