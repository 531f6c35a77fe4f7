"""Networks of several architectures with statistics as training leaves them, exported once for all tests here."""

import functools
from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import nn

from edgerd.export.graph import graph_from_networks
from edgerd.models.blocks import BlockSpec
from edgerd.models.networks import Networks
from edgerd.models.student import make_student
from edgerd.models.teachers import make_teacher
from edgerd.models.teachers.resnet import ResNet
from edgerd.models.teachers.teacher import TeacherInfo
from edgerd.models.weights import load_teacher


class Exported(NamedTuple):
    networks: Networks
    height: int
    width: int
    graph: bytes

    def frames(self, n=3, seed=0):
        """Blobs of colour, uint8 (n, H, W, 3); the first all black, the second all white, where borders show most."""
        rng = np.random.default_rng(seed)
        coarse = rng.integers(0, 256, (n, self.height // 8, self.width // 8, 3), np.uint8)
        frames = coarse.repeat(8, axis=1).repeat(8, axis=2)
        frames[:1], frames[1:2] = 0, 255
        return frames


def small_teacher(kind, base_width):
    info = TeacherInfo("small", (32, 48, 64), (1, 2, 1), BlockSpec(kind, base_width), std=(0.2, 0.25, 0.4))
    return ResNet(info, stem=16).requires_grad_(False).eval()


ARCHITECTURES = {
    # name: teacher, student, height, width
    "small": (lambda: small_teacher("bottleneck", 64), "light", 64, 96),
    "wide bottleneck": (lambda: small_teacher("bottleneck", 128), "full", 64, 64),
    "resnet18": (lambda: make_teacher("resnet18"), "full", 64, 64),
    "lite0": (lambda: load_teacher("lite0"), "light", 96, 64),
}


@torch.no_grad()
def with_trained_statistics(module):
    """BatchNorm as no start leaves it, so that a wrong fold cannot hide."""
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.weight.uniform_(0.5, 1.5)
            layer.bias.normal_(0, 0.2)
            layer.running_mean.normal_(0, 0.3)
            layer.running_var.uniform_(0.3, 2.0)
    return module


@functools.cache
def export(name):
    make, student, height, width = ARCHITECTURES[name]
    torch.manual_seed(0)
    teacher = with_trained_statistics(make())
    networks = Networks(teacher, with_trained_statistics(make_student(teacher.info, student)).eval())
    return Exported(networks, height, width, graph_from_networks(networks, height, width))


@pytest.fixture(scope="session", params=ARCHITECTURES)
def exported(request):
    return export(request.param)


@pytest.fixture(scope="session")
def small():
    return export("small")
