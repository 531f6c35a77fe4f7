from __future__ import annotations

import numpy as np
import pytest
from runtime_graphs import small_fused_graph

from edgerd.errors import BundleDamagedError
from edgerd.runtimes.onnxruntime.cpu import OnnxRuntime
from edgerd.runtimes.openvino import OpenVino
from edgerd.runtimes.openvino_cut import cut_before_head

openvino = pytest.importorskip("openvino")
needs_bf16 = pytest.mark.skipif(
    "bf16" not in OpenVino().probe().precisions, reason=OpenVino().probe().reason or "no bf16 here"
)
_MOVES_DATA = {"Input", "Output", "Const", "Reorder", "Reshape", "Convert", "Transpose"}


def precisions(compiled) -> dict[str, set[str]]:
    """Kind of node to the precisions it runs in, for the nodes that compute."""
    found: dict[str, set[str]] = {}
    for node in compiled.get_runtime_model().get_ops():
        info = node.get_rt_info()
        kind, precision = info["layerType"].astype(str), info["runtimePrecision"].astype(str)
        if kind not in _MOVES_DATA:
            found.setdefault(kind, set()).add(precision)
    return found


@needs_bf16
def test_networks_run_in_bf16_and_the_head_in_fp32(graph):
    files = OpenVino().build(graph, "bf16")
    core = openvino.Core()
    body = core.import_model(files["body.blob"], "CPU", {"INFERENCE_PRECISION_HINT": "bf16"})
    head = core.import_model(files["head.blob"], "CPU", {"INFERENCE_PRECISION_HINT": "f32"})

    in_body, in_head = precisions(body), precisions(head)
    assert in_body["Convolution"] == {"bf16"}
    assert in_body["Deconvolution"] == {"bf16"}
    assert not {"Reduce", "MatMul", "FullyConnected"} & set(in_body)
    assert {"Reduce"} < set(in_head)
    # nodes that are fused with the conversion of the feature maps say what they read; everything after says f32
    assert set().union(*(in_head[kind] for kind in in_head if kind not in ("Subgraph", "Eltwise"))) == {"f32"}
    assert {output.get_element_type() for output in head.outputs} == {openvino.Type.f32}


@needs_bf16
def test_the_head_computes_in_fp32(graph, graph_sha256, frames):
    """On the same feature maps, FP32 to the last digits; fusion in BF16 would be off by 1e-3 and more."""
    model = openvino.Core().read_model(graph)
    model.reshape([1, *frames.shape[1:]])
    body, head = cut_before_head(model)
    features = openvino.Core().compile_model(body, "CPU", {"INFERENCE_PRECISION_HINT": "bf16"})(frames[:1])
    runtime = OpenVino()
    got = runtime.load(graph, runtime.key("bf16", graph_sha256), {}, threads=1).infer(frames[:1])

    reference = openvino.Core().compile_model(head, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    by_name = {port.any_name: features[port.any_name] for port in reference.inputs}
    assert set(by_name) == {f"{side}_{scale}" for side in ("teacher", "student") for scale in range(3)}
    expected = sum(_map_of_scale(graph, by_name, scale) for scale in range(3))
    np.testing.assert_allclose(got.anomaly_map[0], expected, atol=2e-6)


def _map_of_scale(graph: bytes, features: dict, scale: int) -> np.ndarray:
    """Cosine and fusion of one scale in float64."""
    import onnx
    from onnx import numpy_helper

    constants = {c.name: numpy_helper.to_array(c) for c in onnx.load_from_string(graph).graph.initializer}
    teacher, student = (_float64(features[f"{side}_{scale}"])[0] for side in ("teacher", "student"))
    norms = np.linalg.norm(teacher, axis=0) * np.linalg.norm(student, axis=0)
    distance = 1 - (teacher * student).sum(axis=0) / np.maximum(norms, 1e-8)
    return constants[f"head/rows_{scale}"] @ distance @ constants[f"head/columns_{scale}"]


def _float64(bf16: np.ndarray) -> np.ndarray:
    """OpenVINO hands BF16 out as the upper halves of float32."""
    return (bf16.view(np.uint16).astype(np.uint32) << 16).view(np.float32).astype(np.float64)


@needs_bf16
def test_a_graph_that_does_not_name_its_head_is_refused(graph_sha256):
    unnamed = small_fused_graph(head="tail/")
    with pytest.raises(BundleDamagedError, match="head"):
        OpenVino().build(unnamed, "bf16")
    OpenVino().build(unnamed, "fp32")


def test_the_score_of_a_tile_does_not_depend_on_its_neighbours(graph, graph_sha256, frames):
    runtime = OpenVino()
    engine = runtime.load(graph, runtime.key("fp32", graph_sha256), {}, threads=1)
    np.testing.assert_array_equal(engine.infer(frames).anomaly_map[2], engine.infer(frames[2:]).anomaly_map[0])


def test_fp32_is_fp32_where_the_plugin_would_choose_bf16(graph, graph_sha256, frames):
    runtime, reference = OpenVino(), OnnxRuntime()
    engine = runtime.load(graph, runtime.key("fp32", graph_sha256), runtime.build(graph, "fp32"), threads=1)
    expected = reference.load(graph, reference.key("fp32", graph_sha256), {}, threads=1).infer(frames)
    np.testing.assert_allclose(engine.infer(frames).anomaly_map, expected.anomaly_map, atol=1e-5)


def test_bf16_is_not_offered_where_the_cpu_only_converts(monkeypatch):
    monkeypatch.setattr("edgerd.runtimes.openvino.cpu_features", lambda: ("avx2", "avx512f"))
    probe = OpenVino().probe()
    assert "bf16" not in probe.precisions
    assert "AVX512_BF16" in probe.reason


def test_int8_is_not_offered_on_arm(monkeypatch):
    monkeypatch.setattr("edgerd.runtimes.machine.cpu_features", lambda: ("asimd", "asimddp", "bf16"))
    probe = OpenVino().probe()
    assert "int8" not in probe.precisions
    assert probe.int8_flavour == ""
    assert "int8 needs an x86 CPU" in probe.reason
