"""Teacher and student as INT8 computes them, in float and with gradients: fake quantization.

Each activation and weight that the deployed graph keeps in 8 bits is rounded to the levels it has there; the gradient
passes the rounding as if it were not there, and is zero where a value was cut off (Jacob et al., "Quantization and
Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference", CVPR 2018, section 3; Krishnamoorthi,
arXiv:1806.08342, section 2.4). BatchNorm computes with its running statistics, as the exported graph does. It is not
folded: each output channel's weights have a scale of their own, which takes up whatever factor BatchNorm multiplies
them with.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F

from edgerd.errors import InputError
from edgerd.models.student import Student
from edgerd.models.teachers import Teacher
from edgerd.models.teachers.teacher import Features

N_LEVELS = 256
WEIGHT_LIMIT = 127
"""8-bit weights are integers from -127 to 127, with one scale per output channel."""

_SMALLEST_SCALE = 1e-12
_RELUS = (F.relu, F.relu_, torch.relu, torch.relu_, F.relu6, F.hardtanh)
_MOVES = (F.max_pool2d, torch.max_pool2d, F.pad, operator.getitem)
"""Functions whose output holds only values of their input, and zeros."""
_MOVING_LAYERS = (nn.MaxPool2d, nn.ZeroPad2d)


class Traced:
    """Teacher and student as one list of operations, whose activations and weights can be rounded on the way.

    The networks are not copied: they keep their parameters, and gradients flow into them. The same values are rounded
    as in the INT8 graph for ONNX Runtime (`edgerd.precision.quantize`); runtimes that fuse residual sums round fewer.
    As in that graph, the first convolution and the teacher's first block compute in float, and the features are taken
    before they are rounded for the next convolution.

    Args:
        teacher: In eval mode.
        student: In eval mode, so that its BatchNorm computes with running statistics.

    Attributes:
        activations: Names of the values that are rounded before an INT8 layer reads them, in the order in which they
            are computed.

    Raises:
        InputError: The operations of a network depend on the values it computes, so that it cannot be traced.
    """

    def __init__(self, teacher: Teacher, student: Student) -> None:
        networks = _Networks(teacher, student)
        try:
            graph = fx.Tracer().trace(networks)
        except fx.proxy.TraceError as error:
            raise InputError(
                f"The teacher {teacher.info.name} cannot be computed in INT8 while training: {error}.",
                expected="a teacher that computes the same operations whatever the picture",
                hint="Use the INT8 engine without the fine-tune, or train with --teacher resnet18.",
            ) from error
        self._module = fx.GraphModule(networks, graph)
        _drop_identities(self._module)
        in_float = _in_float(self._module)
        self.activations = tuple(node.name for node in graph.nodes if _is_kept_in_8_bits(node, self._module, in_float))
        self._integers = frozenset(node.name for node in graph.nodes if _is_integer(node, self._module, in_float))

    @torch.no_grad()
    def features(self, image: Tensor, on_activation: Callable[[str, Tensor], None]) -> tuple[Features, Features]:
        """The features of teacher and student, computed in float and without gradients.

        Args:
            image: Normalised RGB, float32 (N, 3, H, W).
            on_activation: Called with the name and the value of each of `activations`.
        """

        def watched(name: str, value: Tensor) -> Tensor:
            on_activation(name, value)
            return value

        return self._run(image, watched, round_weights=False)

    def rounded_features(self, image: Tensor, scales: Tensor) -> tuple[Features, Features]:
        """The features of teacher and student as INT8 computes them, with gradients.

        Args:
            image: Normalised RGB, float32 (N, 3, H, W).
            scales: float64 (len(activations), 2): scale and zero point (0 to 255) of each activation.
        """
        qparams = {name: (s, round(z)) for name, (s, z) in zip(self.activations, scales.tolist(), strict=True)}

        def rounded(name: str, value: Tensor) -> Tensor:
            scale, zero_point = qparams[name]
            return torch.fake_quantize_per_tensor_affine(value, scale, zero_point, 0, N_LEVELS - 1)

        return self._run(image, rounded, round_weights=True)

    def _run(
        self, image: Tensor, change: Callable[[str, Tensor], Tensor], *, round_weights: bool
    ) -> tuple[Features, Features]:
        integers = self._integers if round_weights else frozenset()
        interpreter = _Interpreter(self._module, frozenset(self.activations), change, integers)
        t0, t1, t2, s0, s1, s2 = interpreter.run(image)
        return (t0, t1, t2), (s0, s1, s2)


def rounded_weight(layer: nn.Conv2d | nn.ConvTranspose2d) -> Tensor:
    """A convolution's weights, rounded to their 8-bit levels; same shape and dtype.

    A transposed convolution has one scale for each output channel and position in its kernel: the exported graph
    computes it as a 1x1 convolution with that many channels.
    """
    axis = 1 if isinstance(layer, nn.ConvTranspose2d) else 0
    rows = layer.weight.flatten(1)
    scales = (rows.detach().abs().amax(dim=1 - axis) / WEIGHT_LIMIT).clamp_min(_SMALLEST_SCALE)
    zeros = torch.zeros_like(scales, dtype=torch.int32)
    rounded = torch.fake_quantize_per_channel_affine(rows, scales, zeros, axis, -WEIGHT_LIMIT, WEIGHT_LIMIT)
    return rounded.view_as(layer.weight)


class _Networks(nn.Module):
    """Teacher and student as one module: normalised image in, three features of each out."""

    def __init__(self, teacher: Teacher, student: Student) -> None:
        super().__init__()
        self.teacher = teacher
        self.student = student

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        wanted = self.teacher(image)
        return (*wanted, *self.student(wanted))


class _Interpreter(fx.Interpreter):
    """Computes a traced graph node by node; the readers of an activation get what `change` made of it."""

    def __init__(
        self,
        module: fx.GraphModule,
        names: frozenset[str],
        change: Callable[[str, Tensor], Tensor],
        integers: frozenset[str],
    ) -> None:
        super().__init__(module)
        self._names = names
        self._change = change
        self._integers = integers
        self._changed: dict[fx.Node, Tensor] = {}

    def run_node(self, n: fx.Node) -> Any:
        value = self._rounded_convolution(n) if n.name in self._integers else super().run_node(n)
        if n.name in self._names:
            self._changed[n] = self._change(n.name, value)
        return value

    def fetch_args_kwargs_from_env(self, n: fx.Node) -> Any:
        if n.op == "output":
            return super().fetch_args_kwargs_from_env(n)
        return fx.map_arg((n.args, n.kwargs), lambda node: self._changed.get(node, self.env[node]))

    def _rounded_convolution(self, node: fx.Node) -> Any:
        layer: Any = self.module.get_submodule(str(node.target))
        args, kwargs = self.fetch_args_kwargs_from_env(node)
        return torch.func.functional_call(layer, {"weight": rounded_weight(layer)}, args, kwargs)


def _drop_identities(module: fx.GraphModule) -> None:
    """Remove identities, whose output would be rounded a second time."""
    for node in module.graph.nodes:
        if _layer(node, module, nn.Identity):
            node.replace_all_uses_with(node.all_input_nodes[0])
            module.graph.erase_node(node)


def _in_float(module: fx.GraphModule) -> tuple[str, str]:
    """Module paths of what computes in float: the first convolution, and the block that holds the second one.

    A block's path ends at its number, as "teacher.layer1.0" does.
    """
    paths = [str(node.target) for node in module.graph.nodes if _layer(node, module, nn.Conv2d, nn.ConvTranspose2d)]
    steps = paths[1].split(".")
    numbered = next((depth for depth, step in enumerate(steps) if step.isdigit()), 0)
    return paths[0], ".".join(steps[: numbered + 1])


def _is_in(node: fx.Node, paths: tuple[str, ...]) -> bool:
    """Whether a node is computed by a module at one of these paths, or by a module inside it."""
    names = node.meta.get("nn_module_stack", ())
    return any(name == path or name.startswith(f"{path}.") for name in names for path in paths)


def _is_integer(node: fx.Node, module: fx.GraphModule, in_float: tuple[str, ...]) -> bool:
    """Whether a node is a convolution with 8-bit weights."""
    return _layer(node, module, nn.Conv2d, nn.ConvTranspose2d) and not _is_in(node, in_float)


def _is_kept_in_8_bits(node: fx.Node, module: fx.GraphModule, in_float: tuple[str, ...]) -> bool:
    """Whether a node's value is rounded to 8 bits, because an INT8 layer reads it.

    ReLU and BatchNorm do not count as readers: runtimes fuse them with the node before. The outputs of pooling and
    padding are not rounded, since they are on the levels of their input already.
    """
    if node.op == "placeholder" or _moves(node, module):
        return False
    return any(_rounds(reader, module, in_float) for reader in node.users)


def _rounds(reader: fx.Node, module: fx.GraphModule, in_float: tuple[str, ...]) -> bool:
    """Whether a node reads 8-bit integers; pooling and padding do if one of their own readers does."""
    if reader.op == "output" or _is_call(reader, _RELUS) or _layer(reader, module, nn.ReLU, nn.ReLU6, nn.BatchNorm2d):
        return False
    if _moves(reader, module):
        return any(_rounds(other, module, in_float) for other in reader.users)
    return not _is_in(reader, in_float)


def _moves(node: fx.Node, module: fx.GraphModule) -> bool:
    return _is_call(node, _MOVES) or _layer(node, module, *_MOVING_LAYERS)


def _is_call(node: fx.Node, functions: tuple[Callable[..., Any], ...]) -> bool:
    return node.op == "call_function" and node.target in functions


def _layer(node: fx.Node, module: nn.Module, *kinds: type[nn.Module]) -> bool:
    return node.op == "call_module" and isinstance(module.get_submodule(str(node.target)), kinds)
