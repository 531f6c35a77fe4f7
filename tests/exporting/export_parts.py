"""Networks of several architectures with statistics as training leaves them, exported once for all tests here."""

import functools
from typing import NamedTuple

import numpy as np
import onnx
import onnxruntime as ort
import torch
from onnx import TensorProto, helper
from torch import nn

from edgerd.exporting.graph import graph_from_networks
from edgerd.models.blocks import BlockSpec
from edgerd.models.fusion import Fusion
from edgerd.models.networks import Networks
from edgerd.models.normalise import image_from_frames
from edgerd.models.student import make_student
from edgerd.models.teachers import make_teacher
from edgerd.models.teachers.resnet import ResNet
from edgerd.models.teachers.teacher import TeacherInfo
from edgerd.models.weights import load_teacher
from edgerd.training.choose_prototypes import choose_prototypes
from edgerd.training.position_statistics import position_statistics
from edgerd.training.stored_features import FeatureStore


def run(graph, frames, outputs=("anomaly_map", "score")):
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    return session.run(list(outputs), {"frame": frames})


def inner_tensors(graph, frames, names):
    """What tensors within the graph hold for these frames, in the order of their names."""
    opened = onnx.load_from_string(graph)
    opened.graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names)
    return run(opened.SerializeToString(), frames, names)


def blobs(n, height, width, seed):
    coarse = np.random.default_rng(seed).integers(0, 256, (n, height // 8, width // 8, 3), np.uint8)
    return coarse.repeat(8, axis=1).repeat(8, axis=2)


class Exported(NamedTuple):
    networks: Networks
    height: int
    width: int
    graph: bytes

    def frames(self, n=3, seed=0):
        """Blobs of colour, uint8 (n, H, W, 3); the first is black, the second white, to show errors at borders."""
        frames = blobs(n, self.height, self.width, seed)
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
    """Random BatchNorm statistics and weights, so that a wrong fold shows."""
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.weight.uniform_(0.5, 1.5)
            layer.bias.normal_(0, 0.2)
            layer.running_mean.normal_(0, 0.3)
            layer.running_var.uniform_(0.3, 2.0)
    return module


KINDS = {
    # name: the finest stage that the student reconstructs, None without one; whether there are prototypes and positions
    "prototypes": (None, True),
    "coarsest": (2, False),
    "coarser": (1, False),
    "edge": (2, True),
}


@functools.cache
@torch.no_grad()
def export_kind(name):
    """A small teacher with student, prototypes and positions as in method edge; prototypes are from its features."""
    finest, has_prototypes = KINDS[name]
    torch.manual_seed(0)
    teacher, height, width = with_trained_statistics(small_teacher("basic", 64)), 64, 96
    student = prototypes = positions = None
    if finest is not None:
        student = with_trained_statistics(make_student(teacher.info, "light", finest)).eval()
    if has_prototypes:
        frames = torch.from_numpy(blobs(6, height, width, seed=1))
        stages = teacher(image_from_frames(frames, teacher.info))
        store = FeatureStore(tuple(stage.half().numpy() for stage in stages))
        prototypes = choose_prototypes(store, np.arange(6), teacher.info, 0, 40).prototypes.eval()
        positions, _ = position_statistics(store, np.arange(6), teacher.info)
        frames = torch.from_numpy(blobs(6, height, width, seed=2))
        maps = prototypes(teacher(image_from_frames(frames, teacher.info)))
        prototypes.nearest[:] = torch.stack(
            [one.quantile(0.3) for one in maps]
        )  # some positions are nearer, most are not
    weights = (0.7,) * (3 - finest if student else 0) + (0.3, 0.9, 0.5) * has_prototypes
    networks = Networks(teacher, student, prototypes, positions, Fusion(weights, 0.02))
    return Exported(networks, height, width, graph_from_networks(networks, height, width))


@functools.cache
def export(name):
    make, student, height, width = ARCHITECTURES[name]
    torch.manual_seed(0)
    teacher = with_trained_statistics(make())
    networks = Networks(teacher, with_trained_statistics(make_student(teacher.info, student)).eval())
    return Exported(networks, height, width, graph_from_networks(networks, height, width))
