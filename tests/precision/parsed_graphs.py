"""Graphs as tests look at them: their nodes, and what they compute as they are written."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
from onnx import numpy_helper


class Parsed:
    """The nodes and constants of a graph."""

    def __init__(self, content: bytes) -> None:
        self.model = onnx.load_from_string(content)
        self.nodes = list(self.model.graph.node)
        self.constants = {c.name: numpy_helper.to_array(c) for c in self.model.graph.initializer}
        self.made_by = {name: node for node in self.nodes for name in node.output}

    def of(self, *operators: str) -> list[onnx.NodeProto]:
        """The nodes of some operators."""
        return [node for node in self.nodes if node.op_type in operators]

    def scales_in(self, part: str) -> list[str]:
        """Names of the scales of the activations that the nodes of a part compute."""
        made = {node.input[0]: node.input[1] for node in self.of("QuantizeLinear")}
        return [made[n.output[0]] for n in self.nodes if n.name.startswith(part) and n.output[0] in made]

    def integers_at(self, node: onnx.NodeProto) -> list[bool]:
        """For each input of a node, whether it comes out of DequantizeLinear."""
        made = [self.made_by.get(name) for name in node.input]
        return [m is not None and m.op_type == "DequantizeLinear" for m in made]


def literal_outputs(content: bytes, frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Score and anomaly map by ONNX Runtime without any optimisation: each node is computed as it is written."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    score, anomaly_map = session.run(["score", "anomaly_map"], {"frame": frames})
    return score, anomaly_map
