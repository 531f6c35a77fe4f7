"""ImageNet ResNets, conv1 to layer3, with torchvision's key names: R18, R34, R50 and Wide R50-2.

Layer 4 and the classifier do not exist here; reverse distillation never uses them.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from edgerd.models.blocks import BlockSpec, initialise
from edgerd.models.teachers.teacher import Download, Features, Teacher, TeacherInfo

_ADDRESS = "https://download.pytorch.org/models/"


class ResNet(Teacher):
    """The stem and the first three stages of a ResNet.

    Args:
        info: Channels, depths and block of the stages.
        stem: Channels of the 7x7 convolution; ImageNet's ResNets have 64.
    """

    def __init__(self, info: TeacherInfo, stem: int = 64) -> None:
        super().__init__()
        self.info = info
        block, (c1, c2, c3), (d1, d2, d3) = info.block, info.channels, info.depths
        self.conv1 = nn.Conv2d(3, stem, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(stem)
        self.layer1 = block.make_stage(stem, c1, d1)
        self.layer2 = block.make_stage(c1, c2, d2, "down")
        self.layer3 = block.make_stage(c2, c3, d3, "down")
        initialise(self)

    def forward(self, image: Tensor) -> Features:
        """Normalised RGB (N, 3, H, W) -> features at strides 4, 8, 16."""
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(image))), 3, stride=2, padding=1)
        first = self.layer1(x)
        second = self.layer2(first)
        return first, second, self.layer3(second)

    def first_convolution(self) -> nn.Conv2d:
        """The 7x7 of the stem."""
        return self.conv1


def resnet18() -> ResNet:
    """ResNet18: 64, 128, 256 channels."""
    return ResNet(TeacherInfo("resnet18", (64, 128, 256), (2, 2, 2), download=_torchvision("resnet18-f37072fd.pth")))


def resnet34() -> ResNet:
    """ResNet34: 64, 128, 256 channels."""
    return ResNet(TeacherInfo("resnet34", (64, 128, 256), (3, 4, 6), download=_torchvision("resnet34-b627a593.pth")))


def resnet50() -> ResNet:
    """ResNet50: 256, 512, 1024 channels; torchvision's first weights, which the paper used."""
    block = BlockSpec("bottleneck")
    download = _torchvision("resnet50-0676ba61.pth")
    return ResNet(TeacherInfo("resnet50", (256, 512, 1024), (3, 4, 6), block, download=download))


def wide_resnet50_2() -> ResNet:
    """Wide ResNet50-2: 256, 512, 1024 channels; the paper's best teacher."""
    block = BlockSpec("bottleneck", base_width=128)
    download = _torchvision("wide_resnet50_2-95faca4d.pth")
    return ResNet(TeacherInfo("wide_resnet50_2", (256, 512, 1024), (3, 4, 6), block, download=download))


def _torchvision(file: str) -> Download:
    """A file of torchvision's, whose name ends in the first eight hex digits of its SHA-256."""
    return Download(_ADDRESS + file, file.removesuffix(".pth").rpartition("-")[2])
