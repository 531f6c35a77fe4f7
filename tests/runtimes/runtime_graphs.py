"""A fused graph in small: a few convolutions behind the same interface as an exported one."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

HEIGHT, WIDTH = 32, 64


class GraphWriter:
    """Collects nodes and constants; each node's output has its name."""

    def __init__(self, seed: int = 0) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.random = np.random.default_rng(seed)

    def constant(self, name: str, value: np.ndarray) -> str:
        self.constants.append(numpy_helper.from_array(value, name))
        return name

    def node(self, op: str, name: str, *inputs: str, output: str | None = None, **attributes) -> str:
        self.nodes.append(helper.make_node(op, list(inputs), [output or name], name=name, **attributes))
        return output or name

    def conv(self, name: str, source: str, n_in: int, n_out: int, stride: int = 2) -> str:
        weights = self.random.normal(0, (2 / (9 * n_in)) ** 0.5, (n_out, n_in, 3, 3)).astype(np.float32)
        bias = self.random.normal(0, 0.1, n_out).astype(np.float32)
        inputs = (source, self.constant(f"{name}.weight", weights), self.constant(f"{name}.bias", bias))
        summed = self.node("Conv", f"{name}.conv", *inputs, strides=[stride] * 2, pads=[1] * 4, kernel_shape=[3, 3])
        return self.node("Relu", name, summed)

    def up(self, name: str, source: str, n_in: int, n_out: int) -> str:
        weights = self.random.normal(0, (2 / (4 * n_in)) ** 0.5, (n_in, n_out, 2, 2)).astype(np.float32)
        inputs = (source, self.constant(f"{name}.weight", weights))
        return self.node("Relu", name, self.node("ConvTranspose", f"{name}.up", *inputs, strides=[2, 2]))


def small_fused_graph(head: str = "head/", seed: int = 0) -> bytes:
    """The graph as ONNX: `frame` uint8 (N, 32, 64, 3) -> `anomaly_map` (N, 32, 64), `score` (N,).

    Args:
        head: Prefix of the head's names.
        seed: Of the weights.
    """
    graph = GraphWriter(seed)
    as_float = graph.node("Cast", "input/cast", "frame", to=TensorProto.FLOAT)
    planes = graph.node("Transpose", "input/planes", as_float, perm=[0, 3, 1, 2])
    scale = graph.constant("input/scale", np.float32(1 / 128))
    one = graph.constant("input/one", np.float32(1))
    centred = graph.node("Sub", "input/centred", graph.node("Mul", "input/scaled", planes, scale), one)
    teachers = [graph.conv("teacher_0", graph.conv("stem", centred, 3, 8), 8, 16)]
    teachers.append(graph.conv("teacher_1", teachers[0], 16, 32))
    teachers.append(graph.conv("teacher_2", teachers[1], 32, 32))
    embedding = graph.conv("embedding", teachers[2], 32, 64)
    students = [graph.conv("student_2", graph.up("up_2", embedding, 64, 32), 32, 32, stride=1)]
    students.insert(0, graph.conv("student_1", graph.up("up_1", students[0], 32, 32), 32, 32, stride=1))
    students.insert(0, graph.conv("student_0", graph.up("up_0", students[0], 32, 16), 16, 16, stride=1))
    _add_head(graph, head, teachers, students)
    made = helper.make_graph(
        graph.nodes,
        "small",
        [helper.make_tensor_value_info("frame", TensorProto.UINT8, ["batch", HEIGHT, WIDTH, 3])],
        [
            helper.make_tensor_value_info("anomaly_map", TensorProto.FLOAT, ["batch", HEIGHT, WIDTH]),
            helper.make_tensor_value_info("score", TensorProto.FLOAT, ["batch"]),
        ],
        graph.constants,
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 19)], ir_version=9)
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString()


def _add_head(graph: GraphWriter, prefix: str, teachers: list[str], students: list[str]) -> None:
    channels = graph.constant(f"{prefix}channels", np.array([1]))
    epsilon = graph.constant(f"{prefix}epsilon", np.float32(1e-8))
    one = graph.constant(f"{prefix}one", np.float32(1))
    fused = ""
    for k, (teacher, student) in enumerate(zip(teachers, students, strict=True)):

        def summed(name: str, left: str, right: str, k: int = k) -> str:
            product = graph.node("Mul", f"{prefix}{name}_product_{k}", left, right)
            return graph.node("ReduceSum", f"{prefix}{name}_{k}", product, channels, keepdims=0)

        squares = (summed("teacher", teacher, teacher), summed("student", student, student))
        root = graph.node("Sqrt", f"{prefix}root_{k}", graph.node("Mul", f"{prefix}squares_{k}", *squares))
        norm = graph.node("Max", f"{prefix}norm_{k}", root, epsilon)
        cosine = graph.node("Div", f"{prefix}cosine_{k}", summed("dot", teacher, student), norm)
        distance = graph.node("Sub", f"{prefix}distance_{k}", one, cosine)
        rows = graph.constant(f"{prefix}rows_{k}", _smooth(HEIGHT, HEIGHT >> (k + 2)))
        columns = graph.constant(f"{prefix}columns_{k}", np.ascontiguousarray(_smooth(WIDTH, WIDTH >> (k + 2)).T))
        tall = graph.node("MatMul", f"{prefix}tall_{k}", rows, distance)
        spread = graph.node("MatMul", f"{prefix}spread_{k}", tall, columns)
        output = "anomaly_map" if k == 2 else None
        fused = graph.node("Add", f"{prefix}fused_{k}", fused, spread, output=output) if fused else spread
    image = graph.constant(f"{prefix}image", np.array([1, 2]))
    graph.node("ReduceMax", f"{prefix}maximum", fused, image, output="score", keepdims=0)


def _smooth(size: int, n: int) -> np.ndarray:
    """Float32 (size, n), rows that sum to 1: a stand-in for upsampling and blur."""
    distance = np.linspace(0, n - 1, size)[:, None] - np.arange(n)[None, :]
    weights = np.exp(-0.5 * distance**2)
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
