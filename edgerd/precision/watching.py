"""An ONNX Runtime session that gives tensors from within the fused graph, so that their values can be looked at."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import onnx
from onnx import helper

_ERRORS_ONLY = 3
"""ONNX Runtime's log level; its warnings are about outputs that nobody but this session asks for."""


def watching_session(model: onnx.ModelProto, names: Sequence[str], threads: int) -> Any:
    """Open a session on the CPU whose outputs are these tensors, in this order.

    Args:
        model: The FP32 fused graph; its outputs are replaced.
        names: Tensors that the graph has.
        threads: CPU threads to use.
    """
    import onnxruntime

    del model.graph.output[:]
    model.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in names)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = _ERRORS_ONLY
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
