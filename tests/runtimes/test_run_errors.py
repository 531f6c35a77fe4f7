"""What a library raises while it runs a graph leaves `infer` as an error of ours, so that a run can tell of it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgerd.errors import DeviceError
from edgerd.runtimes import load_runtime
from edgerd.runtimes.interface import run_errors

HEIGHT, WIDTH = 4, 6


def graph_that_fails_on_bright_frames() -> bytes:
    """It looks up each pixel's value in a table of 200: what is brighter lies outside of it."""
    nodes = [
        helper.make_node("Cast", ["frame"], ["index"], to=TensorProto.INT64),
        helper.make_node("Gather", ["table", "index"], ["looked_up"]),
        helper.make_node("ReduceMean", ["looked_up", "channel"], ["anomaly_map"], keepdims=0),
        helper.make_node("ReduceMax", ["anomaly_map", "area"], ["score"], keepdims=0),
    ]
    made = helper.make_graph(
        nodes,
        "table",
        [helper.make_tensor_value_info("frame", TensorProto.UINT8, ["batch", HEIGHT, WIDTH, 3])],
        [
            helper.make_tensor_value_info("anomaly_map", TensorProto.FLOAT, ["batch", HEIGHT, WIDTH]),
            helper.make_tensor_value_info("score", TensorProto.FLOAT, ["batch"]),
        ],
        [
            numpy_helper.from_array(np.linspace(0, 1, 200, dtype=np.float32), "table"),
            numpy_helper.from_array(np.array([3]), "channel"),
            numpy_helper.from_array(np.array([1, 2]), "area"),
        ],
    )
    return bytes(helper.make_model(made, opset_imports=[helper.make_opsetid("", 19)], ir_version=9).SerializeToString())


def test_a_run_that_onnx_runtime_refuses() -> None:
    graph = graph_that_fails_on_bright_frames()
    onnx.checker.check_model(onnx.load_from_string(graph))
    runtime = load_runtime("onnxruntime")
    engine = runtime.load(graph, runtime.key("fp32", "0" * 64), {}, threads=1)
    dark = np.full((1, HEIGHT, WIDTH, 3), 10, np.uint8)
    assert engine.infer(dark).score[0] > 0
    with pytest.raises(DeviceError, match=r"ONNX Runtime refused to run: .*Gather") as caught:
        engine.infer(dark + 240)
    assert caught.value.hint
    assert "\n" not in caught.value.what
    assert engine.infer(dark).score[0] > 0  # the engine is as good as before
    engine.close()


def fail(error: Exception) -> Any:
    def raise_it(*_: object, **__: object) -> None:
        raise error

    return raise_it


@pytest.mark.parametrize("error", [RuntimeError("bad allocation"), MemoryError()])
@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
def test_a_library_that_fails(name: str, error: Exception, graph: bytes, frames: np.ndarray) -> None:
    runtime = load_runtime(name)
    if not runtime.probe().usable:
        pytest.skip(runtime.probe().reason)
    engine: Any = runtime.load(graph, runtime.key("fp32", "0" * 64), {}, threads=1)
    engine._session = SimpleNamespace(run=fail(error))
    engine._requests = [SimpleNamespace(get_input_tensor=fail(error))]
    with pytest.raises(DeviceError, match=r"refused to run: (bad allocation|MemoryError)"):
        engine.infer(frames)


def test_errors_of_ours_and_bugs_pass() -> None:
    for error in (DeviceError("ours"), ZeroDivisionError("a bug")):
        with pytest.raises(type(error)) as caught, run_errors("A library"):
            raise error
        assert caught.value is error
