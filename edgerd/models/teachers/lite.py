"""EfficientNet-Lite0, ImageNet, up to the last block at stride 16: the built-in teacher; comes with the package.

Tan & Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks" (ICML 2019); the Lite variant of
TensorFlow's authors drops squeeze-and-excitation and has ReLU6 in place of swish, for 8-bit integers on small devices.
Where the weights come from: `edgerd/models/weights/README.md`.
"""

from __future__ import annotations

from importlib.resources import as_file, files
from typing import Any

from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from edgerd.models.teachers.teacher import Features, Teacher, TeacherInfo

_STEM = 32
_STAGES = (
    # kernel, stride, expansion, channels, blocks
    (3, 1, 1, 16, 1),
    (3, 2, 6, 24, 2),
    (5, 2, 6, 40, 2),
    (3, 2, 6, 80, 3),
    (5, 1, 6, 112, 3),
)
"""The network's first five stages; the features are the outputs of stages 2, 3 and 5."""


class EfficientNetLite(Teacher):
    """Stem and five stages of inverted residuals. BatchNorm is folded into the weights.

    Height and width of the picture must be multiples of 16: the padding is TensorFlow's for even sizes.
    """

    def __init__(self, info: TeacherInfo) -> None:
        super().__init__()
        self.info = info
        self.pad, self.stem = _same(nn.Conv2d(3, _STEM, 3, stride=2))
        widths = [_STEM, *(channels for _, _, _, channels, _ in _STAGES)]
        self.stage1, self.stage2, self.stage3, self.stage4, self.stage5 = (
            _stage(before, *stage) for before, stage in zip(widths, _STAGES, strict=False)
        )

    def forward(self, image: Tensor) -> Features:
        """Normalised RGB (N, 3, H, W) -> features at strides 4, 8, 16, signed."""
        x = self.stage1(F.relu6(self.stem(self.pad(image))))
        first = self.stage2(x)
        second = self.stage3(first)
        return first, second, self.stage5(self.stage4(second))

    def first_convolution(self) -> nn.Conv2d:
        """The 3x3 of the stem."""
        return self.stem

    def pretrained_here(self) -> dict[str, Any] | None:
        """The weights that came with the package."""
        with as_file(files("edgerd.models") / "weights" / f"{self.info.name}.safetensors") as path:
            return dict(load_file(path))


class InvertedResidual(nn.Module):
    """1x1 to more channels, a depthwise convolution, and 1x1 back without an activation behind it.

    Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks" (CVPR 2018).
    """

    def __init__(self, in_channels: int, out_channels: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        width = in_channels * expansion
        self.expand = nn.Conv2d(in_channels, width, 1) if expansion > 1 else None
        self.pad, self.depthwise = _same(nn.Conv2d(width, width, kernel, stride=stride, groups=width))
        self.project = nn.Conv2d(width, out_channels, 1)
        self._has_shortcut = stride == 1 and in_channels == out_channels

    def forward(self, x: Tensor) -> Tensor:
        """(N, in, h, w) -> (N, out, h / stride, w / stride)."""
        wide = x if self.expand is None else F.relu6(self.expand(x))
        y: Tensor = self.project(F.relu6(self.depthwise(self.pad(wide))))
        return x + y if self._has_shortcut else y


def _stage(
    in_channels: int, kernel: int, stride: int, expansion: int, out_channels: int, n_blocks: int
) -> nn.Sequential:
    """A stage of blocks, the first of which has the stride."""
    blocks = [InvertedResidual(in_channels, out_channels, kernel, stride, expansion)]
    blocks += [InvertedResidual(out_channels, out_channels, kernel, 1, expansion) for _ in range(n_blocks - 1)]
    return nn.Sequential(*blocks)


def _same(convolution: nn.Conv2d) -> tuple[nn.Module, nn.Conv2d]:
    """TensorFlow's "same" padding for even sizes: equal on all sides; with stride 2 one more at the right and bottom.

    Returns:
        The module that pads, and the convolution behind it. The export makes one node of the two.
    """
    kernel, stride = convolution.kernel_size[0], convolution.stride[0]
    if stride == 1:
        convolution.padding = (kernel // 2, kernel // 2)
        return nn.Identity(), convolution
    before, after = (kernel - 2) // 2, (kernel - 1) // 2
    return nn.ZeroPad2d((before, after, before, after)), convolution


def lite0() -> EfficientNetLite:
    """EfficientNet-Lite0, its stages 1 to 5: 24, 40, 112 channels."""
    mean, std = 127 / 255, 128 / 255  # of every channel
    info = TeacherInfo("lite0", (24, 40, 112), (2, 2, 2), mean=(mean, mean, mean), std=(std, std, std), linear=True)
    return EfficientNetLite(info)
