"""Flavours of INT8: which integers a CPU multiplies fast without overflow. A new one is a line in `FLAVOURS`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np


@dataclass(frozen=True)
class Flavour:
    """How activations and weights become 8-bit integers.

    Attributes:
        activation: Type of the activations, which have 256 levels and a zero point of their own.
        weight_limit: Weights are int8 from minus this to this, symmetric, one scale per output channel.
        fused_sums: Whether the runtime adds a residual sum within the convolution before it, unrounded. Then only the
            shortcut is an integer; else both inputs of the sum are.
    """

    activation: type[np.uint8] | type[np.int8]
    weight_limit: int
    fused_sums: bool = False

    @property
    def target(self) -> Literal["onnxruntime", "openvino"]:
        """The runtime whose rules the graph keeps (`edgerd.precision.lint`)."""
        return "openvino" if self.fused_sums else "onnxruntime"

    @property
    def lowest(self) -> int:
        """The smallest integer an activation may be."""
        return int(np.iinfo(self.activation).min)

    def integer(self, value: float) -> np.uint8 | np.int8:
        """Round and saturate, as QuantizeLinear does."""
        integer: np.uint8 | np.int8 = self.activation(min(max(round(value), self.lowest), self.lowest + 255))
        return integer


FLAVOURS = {
    # x86 with VNNI multiplies unsigned by signed bytes into 32 bits
    "u8s8": Flavour(np.uint8, 127),
    # x86 without it adds two products in 16 bits, where 2 * 255 * 64 is the most that fits
    "u8s7": Flavour(np.uint8, 64),
    # Arm's dot product takes two signed bytes
    "s8s8": Flavour(np.int8, 127),
    # the same for OpenVINO, which fuses sums; ONNX Runtime would compute such a convolution in FP32
    "u8s8-fused": Flavour(np.uint8, 127, fused_sums=True),
    "u8s7-fused": Flavour(np.uint8, 64, fused_sums=True),
}
