"""Residual blocks, shared by teachers, embedding and decoder.

He et al., "Deep Residual Learning for Image Recognition" (CVPR 2016); the submodule names are torchvision's, so that
its weights load. The same block serves the decoder of reverse distillation when its stride-2 convolution is replaced by
a 2x2 transposed one (Deng & Li, CVPR 2022, section 3.1).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn
from torch.nn import functional as F

Resample = Literal["none", "down", "up"]


@dataclass(frozen=True)
class BlockSpec:
    """Which residual block a network is made of.

    Attributes:
        kind: "basic" (two 3x3) or "bottleneck" (1x1, 3x3, 1x1; four times wider outside than inside).
        base_width: Channels of a bottleneck's 3x3 convolution per 64 planes; 128 makes a Wide ResNet.
    """

    kind: Literal["basic", "bottleneck"] = "basic"
    base_width: int = 64

    @property
    def expansion(self) -> int:
        """Output channels per plane."""
        return 4 if self.kind == "bottleneck" else 1

    def make(self, in_channels: int, out_channels: int, resample: Resample = "none") -> nn.Module:
        """One block from `in_channels` to `out_channels`, halving ("down") or doubling ("up") the resolution."""
        if self.kind == "basic":
            return BasicBlock(in_channels, out_channels, resample)
        planes = out_channels // self.expansion
        return BottleneckBlock(in_channels, planes * self.base_width // 64, out_channels, resample)

    def make_stage(self, in_channels: int, out_channels: int, depth: int, resample: Resample = "none") -> nn.Sequential:
        """`depth` blocks, the first of which resamples."""
        blocks = [self.make(in_channels, out_channels, resample)]
        blocks += [self.make(out_channels, out_channels) for _ in range(depth - 1)]
        return nn.Sequential(*blocks)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut."""

    def __init__(self, in_channels: int, out_channels: int, resample: Resample = "none") -> None:
        super().__init__()
        self.conv1 = _spatial(in_channels, out_channels, resample)
        self.bn1 = nn.BatchNorm2d(out_channels)
        self.conv2 = _spatial(out_channels, out_channels)
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.downsample = _shortcut(in_channels, out_channels, resample)

    def forward(self, x: Tensor) -> Tensor:
        """(N, in, h, w) -> (N, out, h', w')."""
        y = F.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        return F.relu(y + (x if self.downsample is None else self.downsample(x)))


class BottleneckBlock(nn.Module):
    """1x1, 3x3, 1x1 and a shortcut; the stride sits on the 3x3, as in torchvision."""

    def __init__(self, in_channels: int, width: int, out_channels: int, resample: Resample = "none") -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = _spatial(width, width, resample)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, out_channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out_channels)
        self.downsample = _shortcut(in_channels, out_channels, resample)

    def forward(self, x: Tensor) -> Tensor:
        """(N, in, h, w) -> (N, out, h', w')."""
        y = F.relu(self.bn1(self.conv1(x)))
        y = F.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        return F.relu(y + (x if self.downsample is None else self.downsample(x)))


def conv_bn_relu_down(in_channels: int, out_channels: int) -> nn.Sequential:
    """3x3 stride-2 convolution, BatchNorm, ReLU."""
    return nn.Sequential(
        _spatial(in_channels, out_channels, "down"), nn.BatchNorm2d(out_channels), nn.ReLU(inplace=True)
    )


def initialise(module: nn.Module) -> None:
    """Initialise weights as RD4AD does: Kaiming normal (fan out) for Conv2d; transposed ones keep torch's own."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")


def _spatial(in_channels: int, out_channels: int, resample: Resample = "none") -> nn.Module:
    if resample == "up":
        return nn.ConvTranspose2d(in_channels, out_channels, 2, stride=2, bias=False)
    return nn.Conv2d(in_channels, out_channels, 3, stride=2 if resample == "down" else 1, padding=1, bias=False)


def _shortcut(in_channels: int, out_channels: int, resample: Resample) -> nn.Sequential | None:
    if resample == "none" and in_channels == out_channels:
        return None
    if resample == "up":
        resize: nn.Module = nn.ConvTranspose2d(in_channels, out_channels, 2, stride=2, bias=False)
    else:
        resize = nn.Conv2d(in_channels, out_channels, 1, stride=2 if resample == "down" else 1, bias=False)
    return nn.Sequential(resize, nn.BatchNorm2d(out_channels))
