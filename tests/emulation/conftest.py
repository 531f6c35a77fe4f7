"""Fixtures for tests of the emulated TensorRT: a logger, a parsed network, an engine, buffers bound to it."""

import numpy as np
import pytest


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
