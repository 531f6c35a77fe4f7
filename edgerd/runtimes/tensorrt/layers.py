"""Which precision TensorRT gave to each layer, read from its engine inspector's JSON.

Tensors are described there by format and type in words that differ by version: "Row major Int8 format",
"Channel major FP16 format where channel % 8 == 0", "Half", "Float".
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from edgerd.bundle.manifest import Record

# The order matters, because the first pattern that is found counts: "uint8" contains "int8", and "bfloat16" and
# "float16" contain "float".
_TYPES = {
    "uint8": r"uint8",
    "int8": r"int8",
    "int64": r"int64",
    "int32": r"int32",
    "bf16": r"bf16|bfloat16",
    "fp16": r"fp16|half|float16",
    "fp8": r"fp8|float8",
    "fp32": r"fp32|float",
    "bool": r"bool",
}
_N_SLOWEST = 10


class Layer(Record):
    """A layer of the engine: several nodes of the graph in one kernel, or a change of format between two."""

    name: str
    kind: str
    """TensorRT's name for it: "CaskConvolution", "Reformat", "kgen", ..."""
    inputs: tuple[str, ...] = ()
    """Types of its input tensors."""
    outputs: tuple[str, ...] = ()
    """Types of its output tensors."""
    ms: float | None = None
    """Milliseconds per run; None where it was not profiled."""

    @property
    def precision(self) -> str:
        """What it computes in, which is the type of its first input; "?" where that is not known."""
        return next(iter((*self.inputs, *self.outputs)), "?")

    @property
    def is_reformat(self) -> bool:
        """Whether it only changes a tensor's format or type."""
        return "reformat" in self.kind.lower() or self.name.startswith("Reformatting")

    @property
    def is_convolution(self) -> bool:
        """Whether it is a convolution or a deconvolution."""
        return re.search(r"conv", self.kind, re.IGNORECASE) is not None

    def __str__(self) -> str:
        time = "" if self.ms is None else f"{self.ms:.3f} ms  "
        return f"{time}{self.precision:5} {self.kind}  {self.name}"


class LayerReport(Record):
    """All layers of an engine, in the order they run."""

    precision: str
    """The engine's precision."""
    layers: tuple[Layer, ...] = ()

    @property
    def reformats(self) -> tuple[Layer, ...]:
        """The layers that only change formats."""
        return tuple(layer for layer in self.layers if layer.is_reformat)

    @property
    def float_convolutions(self) -> tuple[Layer, ...]:
        """Convolutions of an INT8 engine that are not INT8; empty for another engine."""
        convolutions = (layer for layer in self.layers if layer.is_convolution and not layer.is_reformat)
        return tuple(layer for layer in convolutions if layer.precision != "int8") if self.precision == "int8" else ()

    @property
    def slowest(self) -> tuple[Layer, ...]:
        """The ten layers that take longest; empty where nothing was profiled."""
        timed = [layer for layer in self.layers if layer.ms is not None]
        return tuple(sorted(timed, key=lambda layer: layer.ms or 0.0, reverse=True)[:_N_SLOWEST])

    def lines(self) -> list[str]:
        """Lines for people: how many layers there are of each precision, which are flagged, which are the slowest."""
        counts = {layer.precision: 0 for layer in self.layers}
        for layer in self.layers:
            counts[layer.precision] += 1
        by_type = ", ".join(f"{n} {precision}" for precision, n in sorted(counts.items(), key=lambda item: -item[1]))
        lines = [f"{len(self.layers)} layers: {by_type}"]
        if self.reformats:
            lines.append(f"{len(self.reformats)} only change formats: {_names(self.reformats)}")
        if self.float_convolutions:
            lines.append(f"{len(self.float_convolutions)} convolutions are not INT8: {_names(self.float_convolutions)}")
        return lines + [str(layer) for layer in self.slowest]


def layer_report(information: str, precision: str, times_ms: Mapping[str, float]) -> LayerReport:
    """Read what the engine inspector gives.

    Args:
        information: JSON of the whole engine; anything else gives an empty report.
        precision: The engine's precision.
        times_ms: Milliseconds per run by layer name; empty where it was not profiled.
    """
    try:
        found = json.loads(information)["Layers"]
    except (ValueError, KeyError, TypeError):
        found = []
    return LayerReport(precision=precision, layers=tuple(_layer(item, times_ms) for item in found))


def _layer(item: Any, times_ms: Mapping[str, float]) -> Layer:
    if not isinstance(item, dict):  # an engine that was built without details has names alone
        return Layer(name=str(item), kind="?", ms=times_ms.get(str(item)))
    name = str(item.get("Name", "?"))
    return Layer(
        name=name,
        kind=str(item.get("LayerType", "?")),
        inputs=_types(item.get("Inputs")),
        outputs=_types(item.get("Outputs")),
        ms=times_ms.get(name),
    )


def _types(tensors: Any) -> tuple[str, ...]:
    described = [tensor.get("Format/Datatype", "") for tensor in tensors or () if isinstance(tensor, dict)]
    return tuple(_type(str(text).lower()) for text in described)


def _type(text: str) -> str:
    return next((name for name, pattern in _TYPES.items() if re.search(pattern, text)), "?")


def _names(layers: tuple[Layer, ...]) -> str:
    shown = ", ".join(layer.name for layer in layers[:5])
    return shown + (f" and {len(layers) - 5} more" if len(layers) > 5 else "")
