"""The real bindings over the stand-ins: build, serialise, read, run."""

import re
from pathlib import Path

import numpy as np
import pytest

from emulation.driver import CAPTURE_UNSUPPORTED, ILLEGAL_ADDRESS, NO_DEVICE
from emulation.models import SIDE, tiny_answer, tiny_graph

pytestmark = pytest.mark.emulated

README = Path(__file__).parent / "README.md"


@pytest.fixture
def logger(trt):
    class Log(trt.ILogger):
        def __init__(self):
            super().__init__()
            self.errors = []

        def log(self, severity, message):
            if severity <= trt.ILogger.ERROR:
                self.errors.append(message)

    return Log()


@pytest.fixture
def parsed(trt, logger):
    """Parse a graph: builder, network, configuration."""

    def parse(graph):
        builder = trt.Builder(logger)
        network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
        parser = trt.OnnxParser(network, logger)
        assert parser.parse(graph), [parser.get_error(i).desc() for i in range(parser.num_errors)]
        return builder, network, builder.create_builder_config()

    return parse


@pytest.fixture
def built(parsed, trt, logger):
    """Build and read a graph."""

    def build(graph, profile=None, **settings):
        builder, network, config = parsed(graph)
        if profile:
            added = builder.create_optimization_profile()
            added.set_shape("frame", *profile)
            assert config.add_optimization_profile(added) == 0
        for name, value in settings.items():
            setattr(config, name, value)
        plan = builder.build_serialized_network(network, config)
        assert plan is not None, logger.errors
        return trt.Runtime(logger).deserialize_cuda_engine(plan)

    return build


@pytest.fixture
def wired(cuda):
    """Buffers for a context's tensors: host and device by name, and what enqueues a step."""

    def wire(context, stream):
        engine = context.engine
        host, device = {}, {}
        for name in (engine.get_tensor_name(i) for i in range(engine.num_io_tensors)):
            dtype = np.uint8 if name == "frame" else np.float32
            host[name] = cuda.pagelocked_zeros(tuple(context.get_tensor_shape(name)), dtype)
            device[name] = cuda.mem_alloc(host[name].nbytes)
            assert context.set_tensor_address(name, int(device[name]))

        def enqueue():
            cuda.memcpy_htod_async(device["frame"], host["frame"], stream)
            done = context.execute_async_v3(stream.handle)
            for name in ("anomaly_map", "score"):
                cuda.memcpy_dtoh_async(host[name], device[name], stream)
            return done

        return host, device, enqueue

    return wire


def frames(count=1, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, SIDE, SIDE, 3), np.uint8)


def test_the_example_in_the_readme(emulation):
    from edgerd.cuda.context import Context

    (example,) = re.findall(r"```python\n(.*?)```", README.read_text("utf-8"), re.DOTALL)
    names = {"pytest": pytest, "np": np, "Context": Context, "SIDE": SIDE}
    names |= {"tiny_graph": tiny_graph, "tiny_answer": tiny_answer}
    exec(example, names)
    names["test_an_engine_calculates_the_graph"](emulation)


def test_a_captured_step_takes_one_call_per_frame(built, cuda, wired, emulation):
    from edgerd.cuda.context import Context
    from edgerd.cuda.graphs import Step

    gpu = Context()
    context, stream = built(tiny_graph()).create_execution_context(), gpu.stream()
    host, _, enqueue = wired(context, stream)
    step = Step(gpu, stream, enqueue)
    assert step.is_graph, step.reason
    emulation.driver.clear()
    for seed in range(3):
        host["frame"][:] = frames(seed=seed)
        step.launch()
        gpu.synchronise(stream)
        np.testing.assert_allclose(host["anomaly_map"], tiny_answer(frames(seed=seed))[0], rtol=1e-5)
    assert emulation.driver.counts() == {"cuGraphLaunch": 3, "cuStreamSynchronize": 3}
    assert emulation.driver.counts(device=True) == {"graph": 3, "copy": 9, "engine": 3}
    step.close()
    gpu.close()


def test_the_first_enqueue_cannot_be_captured(built, cuda, wired, emulation, logger):
    import ctypes

    stream = cuda.Stream()
    _, _, enqueue = wired(built(tiny_graph()).create_execution_context(), stream)
    library, handle, graph = emulation.driver.library, ctypes.c_void_p(stream.handle), ctypes.c_void_p()
    assert library.cuStreamBeginCapture_v2(handle, 1) == 0
    with pytest.raises(cuda.Error):
        assert not enqueue()
    assert library.cuStreamEndCapture(handle, ctypes.byref(graph)) == CAPTURE_UNSUPPORTED + 1
    assert "cannot be captured" in logger.errors[-1]


def test_a_dynamic_batch_follows_the_profile(built, cuda, wired, logger):
    low, best, high = ((n, SIDE, SIDE, 3) for n in (1, 2, 4))
    engine = built(tiny_graph("N"), (low, best, high))
    assert [tuple(shape) for shape in engine.get_tensor_profile_shape("frame", 0)] == [low, best, high]
    assert tuple(engine.get_tensor_shape("score")) == (-1,)
    context, stream = engine.create_execution_context(), cuda.Stream()
    assert not context.set_input_shape("frame", (5, SIDE, SIDE, 3))
    assert "not in the profile" in logger.errors[-1]
    assert context.set_input_shape("frame", (3, SIDE, SIDE, 3))
    assert not context.infer_shapes()
    host, _, enqueue = wired(context, stream)
    host["frame"][:] = frames(3)
    assert enqueue()
    stream.synchronize()
    np.testing.assert_allclose(host["score"], tiny_answer(frames(3))[1], rtol=1e-5)


def test_a_missing_address_and_a_wrong_one(built, cuda, wired, logger):
    context, stream = built(tiny_graph()).create_execution_context(), cuda.Stream()
    assert not context.execute_async_v3(stream.handle)
    assert "Address is not set" in logger.errors[-1]
    _, device, enqueue = wired(context, stream)
    context.set_tensor_address("score", int(device["score"]) + (1 << 30))
    assert enqueue()
    with pytest.raises(cuda.Error, match="illegal memory access"):
        stream.synchronize()


def test_an_engine_that_fails_on_the_device(built, cuda, wired, emulation):
    stream = cuda.Stream()
    _, _, enqueue = wired(built(tiny_graph()).create_execution_context(), stream)
    emulation.driver.fail("run:engine", ILLEGAL_ADDRESS)
    assert enqueue()
    with pytest.raises(cuda.Error, match="illegal memory access"):
        stream.synchronize()


# what is refused


def test_the_parser_names_every_node_it_cannot_take(trt, logger):
    import onnx

    model = onnx.load_from_string(tiny_graph())
    for node in model.graph.node[1:3]:
        node.domain = "com.example"
    model.opset_import.append(onnx.helper.make_opsetid("com.example", 1))
    builder = trt.Builder(logger)
    parser = trt.OnnxParser(builder.create_network(0), logger)
    assert not parser.parse(model.SerializeToString())
    errors = [parser.get_error(i) for i in range(parser.num_errors)]
    assert [(error.node(), error.node_name(), error.node_operator()) for error in errors] == [
        (1, "/transpose", "Transpose"),
        (2, "/conv", "Conv"),
    ]
    assert not parser.parse(b"no protobuf at all")


@pytest.mark.parametrize("cut", [0, 5, 20, 100, -1])
def test_a_truncated_plan(built, trt, logger, cut):
    plan = bytes(built(tiny_graph()).serialize())
    assert trt.Runtime(logger).deserialize_cuda_engine(plan[:cut] or b"\0") is None
    assert "Serialization" in logger.errors[-1]


def test_a_plan_of_another_device(built, trt, logger, emulation):
    plan = built(tiny_graph()).serialize()
    emulation.driver.set_device("Another GPU", sm=(9, 0))
    assert trt.Runtime(logger).deserialize_cuda_engine(plan) is None
    assert "incompatible device" in logger.errors[-1]


def test_a_dynamic_network_without_a_profile(parsed, logger):
    builder, network, config = parsed(tiny_graph("N"))
    assert builder.build_serialized_network(network, config) is None
    assert "no optimization profile" in logger.errors[-1]


def test_too_little_memory(parsed, built, trt, logger, emulation):
    plan = built(tiny_graph()).serialize()
    emulation.driver.set_memory(emulation.driver.used_bytes + (1 << 16))
    builder, network, config = parsed(tiny_graph())
    assert builder.build_serialized_network(network, config) is None
    assert "OutOfMemory" in logger.errors[-1]
    assert trt.Runtime(logger).deserialize_cuda_engine(plan).create_execution_context() is None


def test_no_gpu(trt, logger, emulation):
    emulation.driver.fail("cuInit", NO_DEVICE)
    with pytest.raises(TypeError):
        trt.Builder(logger)
    assert "CUDA initialization failure" in logger.errors[-1]


# the builder


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
    host["frame"][:] = frames()
    enqueue()
    stream.synchronize()
    np.testing.assert_allclose(host["score"], tiny_answer(frames())[1], rtol=1e-5)


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


def test_ended_objects_free_their_memory(built, emulation):
    import gc

    engine = built(tiny_graph())
    context = engine.create_execution_context()
    assert emulation.driver.live("device memory") >= 2
    before = emulation.driver.used_bytes
    del context
    gc.collect()
    assert emulation.driver.used_bytes == before - emulation.settings.context_bytes
    del engine
    gc.collect()
    assert emulation.driver.used_bytes < before - emulation.settings.context_bytes
