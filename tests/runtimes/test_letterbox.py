"""Every engine of a CPU leaves padding out, exactly: at every precision the map is 0 there, and the score another's."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from edgerd.bundle.manifest import PreprocessSpec
from edgerd.data.aspect import is_picture
from edgerd.data.preprocess import prepare
from edgerd.precision.quantize import quantized_graph
from edgerd.precision.ranges import collect_ranges
from edgerd.precision.tensorrt import tensorrt_int8_graph
from edgerd.runtimes import load_runtime

pytest.importorskip("torch", reason="what exports the graph is not installed", exc_type=ImportError)
pytestmark = pytest.mark.usefixtures("shared_cache")

SPEC = PreprocessSpec(height=64, width=96, aspect="letterbox")
SIZES = [(64, 40), (64, 300), (300, 64), (64, 96), (120, 90), (90, 500), (33, 77), (200, 70)]


@pytest.fixture(scope="module")
def frames() -> np.ndarray:
    """uint8 (8, 64, 96, 3): noise of several shapes, padded."""
    noise = [np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8) for seed, size in enumerate(SIZES)]
    return np.concatenate([prepare(picture, SPEC) for picture in noise])


@pytest.fixture(scope="module")
def padded_graph() -> bytes:
    from mini_teacher import pretrained

    from edgerd.exporting.graph import graph_from_networks
    from edgerd.models.networks import Networks
    from edgerd.models.student import make_student

    teacher = pretrained()
    student = make_student(teacher.info).eval()
    return graph_from_networks(Networks(teacher, student), SPEC.height, SPEC.width, padded=True)


def combinations() -> list:
    found = []
    for name in ("onnxruntime", "openvino"):
        probe = load_runtime(name).probe()
        if not probe.usable:
            found.append(pytest.param(name, "fp32", marks=pytest.mark.skip(reason=probe.reason)))
        found += [(name, precision) for precision in probe.precisions]
    return found


@pytest.mark.parametrize(("name", "precision"), combinations())
def test_padding_is_left_out_of_map_and_score(name, precision, padded_graph, frames):
    runtime = load_runtime(name)
    graph = padded_graph
    if precision == "int8":
        graph = quantized_graph(graph, collect_ranges(graph, frames[:, None]), runtime.probe().int8_flavour)
    engine = runtime.load(graph, runtime.key(precision, hashlib.sha256(graph).hexdigest()), {}, threads=1)
    try:
        check(engine.infer(frames).score, engine.infer(frames).anomaly_map, frames)
    finally:
        engine.close()


def test_tensorrts_graphs_leave_it_out(padded_graph, frames):
    import onnxruntime

    graph = tensorrt_int8_graph(padded_graph, collect_ranges(padded_graph, frames[:, None]))
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    check(*session.run(["score", "anomaly_map"], {"frame": frames}), frames)


def test_fp16_graphs_leave_it_out(padded_graph, frames):
    pytest.importorskip("modelopt", reason="edgerd[quantize] is not installed")
    import onnxruntime

    from edgerd.precision.half import half_graph

    session = onnxruntime.InferenceSession(
        half_graph(padded_graph, frames[:, None]), providers=["CPUExecutionProvider"]
    )
    check(*session.run(["score", "anomaly_map"], {"frame": frames}), frames)


def check(score: np.ndarray, anomaly_map: np.ndarray, frames: np.ndarray) -> None:
    inside = is_picture(frames)
    assert not inside.all((1, 2))[[0, 1, 2, 4, 5, 6, 7]].any()
    assert not anomaly_map[~inside].any()
    assert (anomaly_map[inside] > 0).all()
    np.testing.assert_allclose(score, anomaly_map.max((1, 2)), rtol=1e-6)


@pytest.mark.emulated
def test_an_engine_of_tensorrt_leaves_it_out(tensorrt, padded_graph, frames):
    runtime = tensorrt(profile=(1, 4, 8))
    key = runtime.key("fp32", hashlib.sha256(padded_graph).hexdigest())
    engine = runtime.load(padded_graph, key, runtime.build(padded_graph, "fp32"))
    try:
        maps = engine.infer(frames)
        check(maps.score, maps.anomaly_map, frames)
    finally:
        engine.close()
