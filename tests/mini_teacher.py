"""A teacher of a few thousand weights, so that a step takes milliseconds."""

import torch

from edgerd.models.teachers.resnet import ResNet
from edgerd.models.teachers.teacher import TeacherInfo


def mini():
    """A small ResNet, as the table of teachers would make it: random weights, neither frozen nor in eval mode."""
    return ResNet(TeacherInfo("mini", (8, 12, 16), (1, 1, 1)), stem=8)


def pretrained(seed=0):
    """The small ResNet as `load_teacher` would give it: frozen, in eval mode, always the same weights for a seed."""
    torch.manual_seed(seed)
    return mini().requires_grad_(False).eval()
