"""The body of the fused graph: teacher and student as one ONNX graph, from a centred picture to feature maps."""

from __future__ import annotations

import contextlib
import copy
import logging
import warnings
from collections.abc import Iterator
from typing import TypeVar, cast

import onnx
import torch
from torch import Tensor, nn

from edgerd.errors import EdgerdError
from edgerd.graph_names import CENTRED, STUDENT_FEATURES, TEACHER_FEATURES
from edgerd.models.student import Student
from edgerd.models.teachers import Teacher

OPSET = 20
Module = TypeVar("Module", bound=nn.Module)
_SCOPES = "pkg.torch.onnx.name_scopes"


class Body(nn.Module):
    """Teacher, embedding and decoder in eval mode, BatchNorm folded, colour order and scale in the first convolution.

    `forward`: float32 (N, 3, H, W), BGR minus `centre`, grey levels -> the teacher's three feature maps and, where
    there is a student, the student's, finest first. The zero padding of the first convolution is exact this way: it
    stands for the mean.
    """

    def __init__(self, teacher: Teacher, student: Student | None) -> None:
        super().__init__()
        self.teacher = _fold_batchnorm(copy.deepcopy(teacher).eval())
        self.has_student = student is not None
        if student is not None:
            student = _fold_batchnorm(copy.deepcopy(student).eval())
            self.embedding, self.decoder = student.bottleneck, student.decoder
        first = self.teacher.first_convolution()
        scale = torch.tensor(teacher.info.std).mul(255.0).reciprocal().view(1, 3, 1, 1)
        first.weight = nn.Parameter((first.weight * scale).flip(1), requires_grad=False)

    def forward(self, centred: Tensor) -> tuple[Tensor, ...]:
        """Centred pictures, float32 (N, 3, H, W), to feature maps, as the class describes it."""
        wanted = self.teacher(centred)
        return (*wanted, *self.decoder(self.embedding(wanted))) if self.has_student else tuple(wanted)


def student_features(student: Student | None) -> tuple[str, ...]:
    """The names of the feature maps that a student reconstructs, finest first."""
    return STUDENT_FEATURES[student.finest :] if student else ()


def centre_bgr(teacher: Teacher) -> list[float]:
    """The teacher's mean colour in grey levels 0 to 255, BGR."""
    return [255.0 * value for value in reversed(teacher.info.mean)]


def body_graph(teacher: Teacher, student: Student | None, height: int, width: int) -> onnx.ModelProto:
    """Export the body: input `centred` (N, 3, H, W) with N free; nodes named by block.

    Its outputs are `TEACHER_FEATURES` and, where there is a student, `student_features(student)`.

    Raises:
        EdgerdError: This version of PyTorch does not give the opset asked for.
    """
    body = Body(teacher, student).eval()
    with torch.no_grad(), _without_exporter_news():
        program = torch.onnx.export(
            body,
            (torch.zeros(2, 3, height, width),),
            dynamo=True,
            verbose=False,
            opset_version=OPSET,
            input_names=[CENTRED],
            output_names=[*TEACHER_FEATURES, *student_features(student)],
            dynamic_shapes=({0: torch.export.Dim("batch", min=1)},),
        )
    graph = cast("torch.onnx.ONNXProgram", program).model_proto
    opset = next(entry.version for entry in graph.opset_import if entry.domain == "")
    if opset != OPSET:  # where the exporter cannot convert to this opset it stays at 18, without a message
        raise EdgerdError(
            f"PyTorch {torch.__version__} exported ONNX opset {opset}.",
            expected=f"opset {OPSET}",
            hint='pip install --upgrade "edgerd[train]"',
        )
    _name_nodes_by_block(graph)
    return graph


@contextlib.contextmanager
def _without_exporter_news() -> Iterator[None]:
    """Suppress messages that users cannot act on: torchvision, which is not used, and deprecations in the exporter."""
    logger = logging.getLogger("torch.onnx._internal.exporter._registration")

    def is_no_news(record: logging.LogRecord) -> bool:
        return "torchvision is not installed" not in record.getMessage()

    logger.addFilter(is_no_news)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            warnings.simplefilter("ignore", DeprecationWarning)
            yield
    finally:
        logger.removeFilter(is_no_news)


def _fold_batchnorm(module: Module) -> Module:
    """Fold each BatchNorm into the convolution before it, transposed ones too, and put an identity in its place.

    Convolution and BatchNorm are paired by the order in which blocks declare them (conv1, bn1, conv2, bn2, ...; in a
    Sequential, neighbours), which holds for our own blocks and is checked on the exported graph's numbers.
    """
    previous: tuple[nn.Module, str, nn.Conv2d | nn.ConvTranspose2d] | None = None
    for parent, name, layer in [(p, n, c) for p in module.modules() for n, c in p.named_children()]:
        if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d)):
            previous = (parent, name, layer)
        elif type(layer) is nn.BatchNorm2d and previous is not None and previous[0] is parent:
            transposed = isinstance(previous[2], nn.ConvTranspose2d)
            folded = torch.nn.utils.fuse_conv_bn_eval(previous[2], layer, transpose=transposed)
            setattr(parent, previous[1], folded)
            setattr(parent, name, nn.Identity())
            previous = None
    return module


def _name_nodes_by_block(graph: onnx.ModelProto) -> None:
    """Name each node after the module it came from, as `edgerd.graph_names` says: "teacher/layer1.0.conv1/Conv"."""
    taken: dict[str, int] = {}
    for node in graph.graph.node:
        scopes = next((prop.value for prop in node.metadata_props if prop.key == _SCOPES), "[]")
        modules = [part.strip(" '\"") for part in scopes.strip("[]").split(",")]
        path = modules[-2] if len(modules) > 1 else ""
        block, _, rest = path.partition(".")
        name = "/".join(part for part in (block, rest, node.op_type) if part) or node.op_type
        taken[name] = taken.get(name, 0) + 1
        node.name = name if taken[name] == 1 else f"{name}_{taken[name]}"
        del node.metadata_props[:]
