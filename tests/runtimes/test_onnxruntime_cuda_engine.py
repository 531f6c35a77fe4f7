"""The CUDA provider's engine, over the emulated GPU; what only a GPU can tell stands in test_onnxruntime_gpu.py."""

from __future__ import annotations

import ctypes
import gc
import weakref

import numpy as np
import pytest
from stream_slot import Slot

from edgerd.cuda.graphs import Step
from edgerd.errors import DeviceError, DeviceLostError, EdgerdError
from edgerd.runtimes.device import DeviceEngine
from edgerd.runtimes.onnxruntime.cuda import OnnxRuntimeCuda

pytestmark = pytest.mark.emulated(once=True)


@pytest.mark.parametrize("batch", [1, 3])
def test_a_run_on_a_stream_gives_the_maps_of_the_cpu(opened, memory, frames, expected, batch):
    engine = opened()
    assert isinstance(engine, DeviceEngine)
    stream, slot = engine.gpu.stream(), Slot(memory(engine.gpu), batch)
    step = Step(engine.gpu, stream, slot.around(stream, engine.bind(*slot.addresses, batch)))
    for first in range(0, 3, batch):
        slot.frame.host[:] = frames[first : first + batch].ravel()
        step.launch()
        engine.gpu.synchronise(stream)
        np.testing.assert_allclose(slot.map.host, expected.anomaly_map[first : first + batch], atol=1e-5)
        np.testing.assert_allclose(slot.score.host, expected.score[first : first + batch], atol=1e-5)
    step.close()


def test_it_is_not_captured_by_others_and_says_so(opened, memory):
    engine = opened()
    stream, slot = engine.gpu.stream(), Slot(memory(engine.gpu), 1)
    step = Step(engine.gpu, stream, slot.around(stream, engine.bind(*slot.addresses, 1)))
    assert not step.is_graph
    assert "cannot be captured" in step.reason


def test_a_run_is_one_call_that_waits_for_nothing(ort, opened, memory):
    engine = opened()
    stream, slot = engine.gpu.stream(), Slot(memory(engine.gpu), 1)
    work = slot.around(stream, engine.bind(*slot.addresses, 1))
    work()
    engine.gpu.synchronise(stream)
    held, driver = ort.emulation.driver.used_bytes, ort.emulation.driver
    driver.clear()
    work()
    engine.gpu.synchronise(stream)
    assert driver.counts(device=True) == {"copy": 3, "engine": 1}
    assert driver.counts()["cuStreamSynchronize"] == 1
    assert driver.used_bytes == held


def test_sessions_are_opened_for_the_stream_in_fp32_without_tf32(ort, opened, memory):
    engine = opened()
    stream, slot = engine.gpu.stream(), Slot(memory(engine.gpu), 1)
    engine.bind(*slot.addresses, 1)(stream)
    host, device = ort.sessions
    assert "user_compute_stream" not in host.given
    assert device.given["user_compute_stream"] == str(stream.handle)
    assert host.given["use_tf32"] == device.given["use_tf32"] == "0"
    assert device.given["enable_cuda_graph"] == "1"
    engine.gpu.synchronise(stream)


def test_half_precision_keeps_the_tensor_cores(ort, opened, memory):
    """With use_tf32=0 no convolution has them, of whatever precision: seen in 1.30."""
    engine = opened(precision="fp16")
    stream, slot = engine.gpu.stream(), Slot(memory(engine.gpu), 1)
    engine.bind(*slot.addresses, 1)(stream)
    assert [session.given["use_tf32"] for session in ort.sessions] == ["1", "1"]
    engine.gpu.synchronise(stream)


def test_it_allocates_before_it_captures(ort, opened, memory):
    engine = opened()
    stream, slot = engine.gpu.stream(), Slot(memory(engine.gpu), 1)
    enqueue = engine.bind(*slot.addresses, 1)
    slot.frame.upload(stream)
    enqueue(stream)
    assert list(ort.sessions[1].runs.items()) == [("-1", 2), ("1", 3)]
    enqueue(stream)
    engine.gpu.synchronise(stream)
    assert ort.sessions[1].runs == {"-1": 2, "1": 4}


def test_where_it_cannot_replay_it_runs_kernel_by_kernel_and_says_so(
    ort, opened, memory, frames, expected, monkeypatch
):
    engine = opened()
    stream, slot = engine.gpu.stream(), Slot(memory(engine.gpu), 1)
    session = type(ort.sessions[0])
    run, library = session.run_with_iobinding, ort.emulation.driver.library

    def fails_in_its_capture(self, bound, options):
        if self.given.get("enable_cuda_graph") and options.get_run_config_entry("gpu_graph_id") == "1":
            library.cuStreamBeginCapture_v2(ctypes.c_void_p(stream.handle), 0)
            raise RuntimeError("BFCArena::AllocateRawInternal Failed to allocate memory for requested buffer")
        run(self, bound, options)

    monkeypatch.setattr(session, "run_with_iobinding", fails_in_its_capture)
    work = slot.around(stream, engine.bind(*slot.addresses, 1))
    for frame, score in zip(frames, expected.score, strict=True):
        slot.frame.host[:] = frame.ravel()
        work()
        engine.gpu.synchronise(stream)
        assert slot.score.host[0] == pytest.approx(score, abs=1e-5)
    assert "kernel by kernel" in engine.notes[-1]
    assert "enable_cuda_graph" not in ort.sessions[-1].given


@pytest.mark.parametrize(("version", "waits"), [("1.26.1", True), ("1.27.0", False), ("1.31.1", False)])
def test_a_release_that_waits_once_more_per_frame_is_named(ort, opened, version, waits):
    ort.__version__ = version
    ort.cuda_version = "12.6"
    engine = opened()
    engine.bind(0, 0, 0, 1)
    engine.bind(0, 0, 0, 1)
    assert len(engine.notes) == waits
    assert all("once more per frame" in note for note in engine.notes)


def test_sessions_of_a_lost_gpu_are_never_destroyed(ort, opened, memory, frames):
    """Their destructors throw, which ends the process before its summary is told."""
    engine = opened()
    stream, slot = engine.gpu.stream(), Slot(memory(engine.gpu), 1)
    enqueue = engine.bind(*slot.addresses, 1)
    enqueue(stream)
    engine.gpu.synchronise(stream)
    sessions = [weakref.ref(session) for session in ort.sessions]
    ort.sessions.clear()
    ort.failure = "CUDA failure 700: an illegal memory access was encountered ; GPU=0"
    with pytest.raises(DeviceLostError):
        enqueue(stream)
    engine.close()
    del enqueue
    gc.collect()
    assert all(session() is not None for session in sessions)


def test_sessions_are_freed_with_the_engine(ort, opened, memory):
    engine = opened()
    stream, slot = engine.gpu.stream(), Slot(memory(engine.gpu), 1)
    engine.bind(*slot.addresses, 1)(stream)
    engine.gpu.synchronise(stream)
    sessions = [weakref.ref(session) for session in ort.sessions]
    ort.sessions.clear()
    engine.close()
    gc.collect()
    assert all(session() is None for session in sessions)


def test_without_a_replay_of_its_own_it_runs_once_per_call(ort, opened, memory):
    engine = opened()
    stream, slot = engine.gpu.stream(), Slot(memory(engine.gpu), 1)
    enqueue = engine.bind(*slot.addresses, 1, replay=False)
    for _ in range(2):
        slot.frame.upload(stream)
        enqueue(stream)
    engine.gpu.synchronise(stream)
    assert ort.sessions[1].runs == {"": 2}
    assert "enable_cuda_graph" not in ort.sessions[1].given


def test_a_second_stream_is_refused(opened, memory):
    engine = opened()
    stream, slot = engine.gpu.stream(), Slot(memory(engine.gpu), 1)
    enqueue = engine.bind(*slot.addresses, 1)
    enqueue(stream)
    with pytest.raises(DeviceError, match="second stream"):
        enqueue(engine.gpu.stream())
    engine.gpu.synchronise(stream)


def test_after_close_nothing_runs(opened, memory, frames):
    engine = opened()
    held = memory(engine.gpu)
    stream, slot = engine.gpu.stream(), Slot(held, 1)
    enqueue = engine.bind(*slot.addresses, 1)
    held.free()
    engine.close()
    engine.close()
    for attempt in (lambda: enqueue(stream), lambda: engine.infer(frames), lambda: engine.bind(0, 0, 0, 1)):
        with pytest.raises(EdgerdError, match="closed"):
            attempt()


@pytest.fixture
def on_cpu(bundle):
    """Frames of the bundle's good pictures, and the CPU's scores for them; before the package is replaced."""
    from edgerd.cli.bench import frames_of
    from edgerd.inspection.inspector import Inspector

    frames = frames_of(bundle, 160, 96)
    with Inspector.open(bundle, runtime="onnxruntime", precision="fp32") as inspector:
        return frames, [inspector.inspect(frame).score for frame in frames]


@pytest.mark.parametrize("mode", ["latency", "throughput"])
def test_the_loop_runs_on_it_call_by_call(on_cpu, ort, bundle, mode):
    from line_parts import run_camera

    from edgerd.cameras.memory import MemoryCamera
    from edgerd.inspection.gpu.options import DeviceOptions
    from edgerd.inspection.inspector import Inspector
    from edgerd.sinks.fake import FakeSink

    frames, scores = on_cpu
    runtime, graph = OnnxRuntimeCuda(), bundle.read("graph.fp32.onnx")
    engine = runtime.load(graph, runtime.key("fp32", ""), {}, threads=1)
    options = DeviceOptions(mode=mode, wait="spinning")
    sink, n = FakeSink(), 4 * len(frames)
    with Inspector(bundle, engine, bundle.manifest.threshold.value, device=options) as inspector:
        inspector.inspect(frames[0])
        ort.emulation.driver.clear()
        summary = run_camera(inspector, MemoryCamera(frames, n), verdict_sinks=[sink])
        counts, done = ort.emulation.driver.counts(), ort.emulation.driver.counts(device=True)
    assert (summary.frames, summary.no_decision) == (n, 0)
    assert ["cannot be captured" in note for note in summary.warnings] == [True]
    np.testing.assert_allclose([line["score"] for line in sink.events], scores * 4, atol=1e-4)
    assert (done["engine"], done["kernel"], done["copy"]) == (n, n, 3 * n)
    assert counts["cuStreamSynchronize"] == n
    assert not {name for name in counts if "Alloc" in name or "Free" in name}
