"""Plans of the emulated TensorRT: a plan holds the ONNX graph, and ONNX Runtime computes it."""

from __future__ import annotations

import ctypes
import json
import math
import struct
from dataclasses import asdict, dataclass, field
from functools import cached_property

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, numpy_helper

from .driver import Driver

MAGIC = b"EMULATED PLAN\n"
# TensorRT's DataType by ONNX's. The values are the same in 10.3 to 11.4, see the table of the API contract.
DATA_TYPES = {
    TensorProto.FLOAT: 0,
    TensorProto.FLOAT16: 1,
    TensorProto.INT8: 2,
    TensorProto.INT32: 3,
    TensorProto.BOOL: 4,
    TensorProto.UINT8: 5,
    TensorProto.BFLOAT16: 7,
    TensorProto.INT64: 8,
}
UNSUPPORTED = frozenset({"Unique", "NonMaxSuppressionV2", "StringNormalizer", "TfIdfVectorizer", "Hardmax", "Det"})
"""Operators that the emulated parser refuses, beside all of a custom domain."""


class PlanError(Exception):
    """A plan that this runtime cannot read; the message is what TensorRT would log."""


@dataclass(frozen=True)
class Tensor:
    """An input or output of a network; -1 for an extent that the profile sets."""

    name: str
    shape: tuple[int, ...]
    onnx_type: int
    is_input: bool

    @property
    def data_type(self) -> int:
        """TensorRT's DataType."""
        return DATA_TYPES[self.onnx_type]

    @property
    def dtype(self) -> np.dtype:
        """NumPy's."""
        return np.dtype(onnx.helper.tensor_dtype_to_np_dtype(self.onnx_type))

    def shape_in(self, batch: int) -> tuple[int, ...]:
        """The shape in a run of so many tiles, which is the fused graph's only dynamic extent."""
        return tuple(batch if extent == -1 else extent for extent in self.shape)


def tensors_of(model: onnx.ModelProto) -> list[Tensor]:
    """Inputs first, as TensorRT lists them."""
    constants = {item.name for item in model.graph.initializer}
    return [
        Tensor(
            item.name,
            tuple(d.dim_value if d.HasField("dim_value") else -1 for d in item.type.tensor_type.shape.dim),
            item.type.tensor_type.elem_type,
            is_input,
        )
        for is_input, items in ((True, model.graph.input), (False, model.graph.output))
        for item in items
        if item.name not in constants
    ]


def without_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same graph, its float initialisers set to zero without storing them."""
    stripped = onnx.ModelProto()
    stripped.CopyFrom(model)
    for item in stripped.graph.initializer:
        if item.data_type in (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.INT8):
            item.ClearField("raw_data")
            item.ClearField("float_data")
            item.ClearField("int32_data")
            item.doc_string = "stripped"
    return stripped


def with_zeros(stripped: onnx.ModelProto) -> onnx.ModelProto:
    """As an engine that was not refitted runs."""
    filled = onnx.ModelProto()
    filled.CopyFrom(stripped)
    for item in filled.graph.initializer:
        if item.doc_string == "stripped":
            dtype = onnx.helper.tensor_dtype_to_np_dtype(item.data_type)
            item.CopyFrom(numpy_helper.from_array(np.zeros(tuple(item.dims), dtype), item.name))
    return filled


def with_weights(stripped: onnx.ModelProto, source: onnx.ModelProto) -> onnx.ModelProto:
    """Fill a stripped graph; raises PlanError where the two are not the same network."""
    weights = {item.name: item for item in source.graph.initializer}
    filled = onnx.ModelProto()
    filled.CopyFrom(stripped)
    for item in filled.graph.initializer:
        if item.doc_string != "stripped":
            continue
        if item.name not in weights or list(weights[item.name].dims) != list(item.dims):
            raise PlanError(f"Refit failed: no weights named {item.name} of shape {list(item.dims)}")
        item.CopyFrom(weights[item.name])
    return filled


@dataclass
class Plan:
    """The content of a serialised engine.

    Attributes:
        tensorrt: The version that built it.
        device: Name and compute capability of the device that it was built for.
        profiles: Per optimisation profile, per dynamic input: minimum, optimum, maximum.
        settings: What was asked of the builder: flags by name, level, pools, ...
        graph: ONNX.
    """

    tensorrt: int
    device: str
    profiles: list[dict[str, list[list[int]]]]
    settings: dict[str, object]
    graph: bytes = field(repr=False)

    def to_bytes(self) -> bytes:
        """As `from_bytes` reads it."""
        head = asdict(self)
        del head["graph"]
        text = json.dumps(head).encode()
        return MAGIC + struct.pack("<QQ", len(text), len(self.graph)) + text + self.graph

    @classmethod
    def from_bytes(cls, data: bytes | memoryview) -> Plan:
        """Raises PlanError for a truncated or foreign plan."""
        at = len(MAGIC)
        if data[:at] != MAGIC:
            raise PlanError("IRuntime::deserializeCudaEngine: Error Code 1: Serialization (magic tag does not match)")
        sizes = struct.unpack_from("<QQ", data, at) if len(data) >= at + 16 else (1 << 40, 0)
        if len(data) != at + 16 + sum(sizes):
            raise PlanError("IRuntime::deserializeCudaEngine: Error Code 1: Serialization (unexpected end of the plan)")
        head = data[at + 16 : at + 16 + sizes[0]]
        return cls(**json.loads(bytes(head)), graph=bytes(data[at + 16 + sizes[0] :]))

    @cached_property
    def model(self) -> onnx.ModelProto:
        """The graph, read."""
        return onnx.load_from_string(self.graph)

    @cached_property
    def tensors(self) -> dict[str, Tensor]:
        """Inputs and outputs by name."""
        return {tensor.name: tensor for tensor in tensors_of(self.model)}

    @property
    def is_stripped(self) -> bool:
        """True where the weights are left out."""
        return any(item.doc_string == "stripped" for item in self.model.graph.initializer)


class Calculator:
    """Runs a graph on memory addresses."""

    def __init__(self, graph: bytes, tensors: dict[str, Tensor]) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        # rounds biases too, in steps of FP16 scale times FP16 scale, which for a channel of tiny weights is 0
        disabled = ["WeightBiasQuantization"]
        self._session = onnxruntime.InferenceSession(
            graph, options, providers=["CPUExecutionProvider"], disabled_optimizers=disabled
        )
        self._tensors = tensors

    def can_reach(self, driver: Driver, addresses: dict[str, int], shapes: dict[str, tuple[int, ...]]) -> bool:
        """True where each tensor lies in one allocation of the device; `shapes` are those of the inputs."""
        batch = next(iter(shapes.values()))[0]
        sizes = {
            name: math.prod(shapes.get(name) or tensor.shape_in(batch)) * tensor.dtype.itemsize
            for name, tensor in self._tensors.items()
        }
        return all(driver.holds(addresses[name], size) for name, size in sizes.items())

    def run(self, addresses: dict[str, int], shapes: dict[str, tuple[int, ...]]) -> None:
        """Read the inputs and write the outputs where they lie."""
        feeds = {name: self._view(name, addresses[name], shapes[name]) for name in shapes}
        names = [name for name, tensor in self._tensors.items() if not tensor.is_input]
        for name, value in zip(names, self._session.run(names, feeds), strict=True):
            self._view(name, addresses[name], value.shape)[...] = value

    def _view(self, name: str, address: int, shape: tuple[int, ...]) -> np.ndarray:
        dtype = self._tensors[name].dtype
        count = int(np.prod(shape)) * dtype.itemsize
        return np.frombuffer((ctypes.c_uint8 * count).from_address(address), dtype).reshape(shape)
