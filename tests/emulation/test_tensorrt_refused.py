"""The real bindings over the stand-ins: graphs, plans and machines that TensorRT refuses."""

import pytest

from emulation.driver import NO_DEVICE
from emulation.models import tiny_graph

pytestmark = pytest.mark.emulated


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
