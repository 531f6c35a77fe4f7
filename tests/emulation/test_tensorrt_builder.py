"""The real bindings over the stand-ins: what a builder can be told, and what it tells."""

import numpy as np
import pytest

from emulation.models import tiny_answer, tiny_frames, tiny_graph

pytestmark = pytest.mark.emulated


def test_progress_is_told_and_can_be_cancelled(parsed, trt):
    class Monitor(trt.IProgressMonitor):
        def __init__(self, steps):
            super().__init__()
            self.left, self.phases, self.finished = steps, [], []

        def phase_start(self, phase, parent, steps):
            self.phases.append((phase, parent, steps))

        def step_complete(self, phase, step):
            self.left -= 1
            return self.left > 0

        def phase_finish(self, phase):
            self.finished.append(phase)

    builder, network, config = parsed(tiny_graph())
    config.progress_monitor = monitor = Monitor(steps=100)
    assert builder.build_serialized_network(network, config)
    assert monitor.phases[1][1:] == (monitor.phases[0][0], 5)
    assert len(monitor.finished) == 2
    config.progress_monitor = cancelling = Monitor(steps=2)
    assert builder.build_serialized_network(network, config) is None
    assert len(cancelling.finished) == 2


def test_settings_are_kept(parsed, trt):
    _, _, config = parsed(tiny_graph())
    config.builder_optimization_level = 5
    config.hardware_compatibility_level = trt.HardwareCompatibilityLevel.AMPERE_PLUS
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, 1 << 33)
    config.set_flag(trt.BuilderFlag.REFIT)
    assert config.builder_optimization_level == 5
    assert config.hardware_compatibility_level == trt.HardwareCompatibilityLevel.AMPERE_PLUS
    assert config.get_memory_pool_limit(trt.MemoryPoolType.WORKSPACE) == 1 << 33
    assert config.get_flag(trt.BuilderFlag.REFIT)
    assert not config.get_flag(trt.BuilderFlag.STRIP_PLAN)


def test_a_timing_cache_saves_the_second_build(parsed, emulation, logger):
    import time

    emulation.settings.build_step_s = 0.02
    builder, network, config = parsed(tiny_graph())
    cache = config.create_timing_cache(b"")
    assert config.set_timing_cache(cache, ignore_mismatch=False)
    started = time.monotonic()
    builder.build_serialized_network(network, config)
    assert time.monotonic() - started > 0.1
    saved = bytes(config.get_timing_cache().serialize())
    again = builder.create_builder_config()
    again.set_timing_cache(again.create_timing_cache(saved), ignore_mismatch=False)
    started = time.monotonic()
    builder.build_serialized_network(network, again)
    assert time.monotonic() - started < 0.1
    assert config.create_timing_cache(b"garbage") is None


def test_a_stripped_plan_is_smaller_and_is_refitted(parsed, trt, logger, cuda, wired):
    builder, network, config = parsed(tiny_graph())
    config.set_flag(trt.BuilderFlag.STRIP_PLAN)
    engine = trt.Runtime(logger).deserialize_cuda_engine(builder.build_serialized_network(network, config))
    refitter = trt.Refitter(engine, logger)
    assert refitter.get_missing_weights() == ["weights"]
    assert not refitter.refit_cuda_engine()
    assert trt.OnnxParserRefitter(refitter, logger).refit_from_bytes(tiny_graph())
    assert refitter.refit_cuda_engine()
    stream = cuda.Stream()
    host, _, enqueue = wired(engine.create_execution_context(), stream)
    host["frame"][:] = tiny_frames()
    enqueue()
    stream.synchronize()
    np.testing.assert_allclose(host["score"], tiny_answer(tiny_frames())[1], rtol=1e-5)


def test_the_inspector_and_the_profiler_name_the_layers(built, trt, cuda, wired):
    import json

    class Profiler(trt.IProfiler):
        def __init__(self):
            super().__init__()
            self.layers = {}

        def report_layer_time(self, layer, ms):
            self.layers[layer] = ms

    engine = built(tiny_graph(), profiling_verbosity=trt.ProfilingVerbosity.DETAILED)
    context, stream = engine.create_execution_context(), cuda.Stream()
    inspector, names, formats = engine.create_engine_inspector(), ["/cast", "/transpose", "/conv", "/map", "/score"], []
    for inspected in (None, context):
        inspector.execution_context = inspected
        layers = json.loads(inspector.get_engine_information(trt.LayerInformationFormat.JSON))["Layers"]
        assert [layer["Name"] for layer in layers] == names
        formats.append(layers[0]["Inputs"][0]["Format/Datatype"])
    assert formats == ["N/A due to dynamic shapes", "UINT8"]
    context.profiler = profiler = Profiler()
    wired(context, stream)[2]()
    stream.synchronize()
    assert list(profiler.layers) == names
