"""A tiny network in the shape of the fused graph, and its answer in NumPy."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SIDE = 8
_WEIGHTS = np.random.default_rng(0).standard_normal((2, 3)).astype(np.float32)


def tiny_graph(batch: int | str = 1) -> bytes:
    """uint8 `frame` (N, 8, 8, 3) -> float32 `anomaly_map` (N, 8, 8) and `score` (N,); a name for a dynamic batch."""
    nodes = [
        helper.make_node("Cast", ["frame"], ["pixels"], name="/cast", to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["pixels"], ["planes"], name="/transpose", perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["planes", "weights"], ["features"], name="/conv"),
        helper.make_node("ReduceMax", ["features"], ["anomaly_map"], name="/map", axes=[1], keepdims=0),
        helper.make_node("ReduceMax", ["anomaly_map"], ["score"], name="/score", axes=[1, 2], keepdims=0),
    ]
    shapes = {"frame": [batch, SIDE, SIDE, 3], "anomaly_map": [batch, SIDE, SIDE], "score": [batch]}
    types = {"frame": TensorProto.UINT8}
    values = {name: helper.make_tensor_value_info(name, types.get(name, 1), shape) for name, shape in shapes.items()}
    graph = helper.make_graph(
        nodes,
        "tiny",
        [values["frame"]],
        [values["anomaly_map"], values["score"]],
        [numpy_helper.from_array(_WEIGHTS[:, :, None, None], "weights")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def tiny_frames(count: int = 1, seed: int = 0) -> np.ndarray:
    """Random frames for `tiny_graph`, uint8 (count, 8, 8, 3)."""
    return np.random.default_rng(seed).integers(0, 256, (count, SIDE, SIDE, 3), np.uint8)


def tiny_answer(frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`anomaly_map` and `score` of `tiny_graph`."""
    maps = np.einsum("oc,nhwc->nohw", _WEIGHTS, frames.astype(np.float32)).max(axis=1)
    return maps, maps.max(axis=(1, 2))
