"""A teacher of a few thousand weights, so that a step takes milliseconds."""

from edgerd.models.teachers.resnet import ResNet
from edgerd.models.teachers.teacher import TeacherInfo


def mini():
    return ResNet(TeacherInfo("mini", (8, 12, 16), (1, 1, 1)), stem=8)
