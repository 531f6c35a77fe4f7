"""Stand-ins for the network and the ONNX parsers."""

import ctypes
from typing import TYPE_CHECKING

import onnx

from .basics import ERROR, Logging
from .plans import UNSUPPORTED, PlanError, Tensor, tensors_of, with_weights
from .teaching import Int, Long, Shape, StandIn, Text, answers

if TYPE_CHECKING:
    from .engine import Refitter


class NetworkTensor(StandIn):
    """An input or output of a network."""

    def __init__(self, tensor: Tensor) -> None:
        super().__init__()
        self.tensor = tensor

    @answers(lambda tensor: tensor.name)
    def get_name(self) -> str:
        return self.tensor.name

    @answers(lambda tensor: tensor.shape)
    def get_dimensions(self) -> Shape:
        return self.tensor.shape


class Layer(StandIn):
    """A layer: one node of the graph."""

    def __init__(self, node: onnx.NodeProto) -> None:
        super().__init__()
        self.node = node


class Network(Logging):
    """A network definition."""

    def __init__(self, logger: int, flags: int) -> None:
        super().__init__(logger)
        self.flags = flags
        self.model: onnx.ModelProto | None = None
        self.tensors: list[NetworkTensor] = []
        self.layers: list[Layer] = []

    def fill(self, model: onnx.ModelProto) -> None:
        """What the parser does."""
        self.model = model
        self.tensors = [NetworkTensor(tensor) for tensor in tensors_of(model)]
        self.layers = [Layer(node) for node in model.graph.node]

    def side(self, is_input: bool) -> list[NetworkTensor]:
        """Inputs or outputs."""
        return [item for item in self.tensors if item.tensor.is_input == is_input]

    @answers(lambda network: network.num_inputs)
    def num_inputs(self) -> int:
        return len(self.side(True))

    @answers(lambda network: network.num_outputs)
    def num_outputs(self) -> int:
        return len(self.side(False))

    @answers(lambda network: network.num_layers)
    def num_layers(self) -> int:
        return len(self.layers)

    @answers(lambda network: network.get_input(0))
    def get_input(self, index: Int) -> NetworkTensor | None:
        return self.side(True)[index] if index < len(self.side(True)) else None

    @answers(lambda network: network.get_output(0))
    def get_output(self, index: Int) -> NetworkTensor | None:
        return self.side(False)[index] if index < len(self.side(False)) else None

    @answers(lambda network: network.get_layer(0))
    def get_layer(self, index: Int) -> Layer | None:
        return self.layers[index] if index < len(self.layers) else None


class ParserError(StandIn):
    """One node that the parser could not take."""

    destructor_first = False

    def __init__(self, text: str, index: int = -1, name: str = "", operator: str = "") -> None:
        super().__init__()
        self.text, self.index, self.name, self.operator = text, index, name, operator

    @answers(lambda error: error.desc())
    def description(self) -> str:
        return self.text

    @answers(lambda error: error.node())
    def node(self) -> int:
        return self.index

    @answers(lambda error: error.node_name())
    def node_name(self) -> str:
        return self.name

    @answers(lambda error: error.node_operator())
    def node_operator(self) -> str:
        return self.operator


def flaws_of(data: bytes) -> tuple[onnx.ModelProto | None, list[ParserError]]:
    """The model, or why the parser would refuse it: all nodes that it does not know, or one error for the file."""
    try:
        model = onnx.load_from_string(data)
        onnx.checker.check_model(data)
    except Exception as error:  # noqa: BLE001  protobuf and the checker raise many kinds
        return None, [ParserError(f"Failed to parse the ONNX model: {str(error).splitlines()[0]}")]
    wrong = [
        ParserError(
            f"In node {index} with name: {node.name} and operator: {node.op_type}: not supported",
            index,
            node.name,
            node.op_type,
        )
        for index, node in enumerate(model.graph.node)
        if node.domain not in ("", "ai.onnx") or node.op_type in UNSUPPORTED
    ]
    return (None if wrong else model), wrong


class _WithErrors(Logging):
    """The part that both parsers have."""

    destructor_first = False

    def __init__(self, logger: int) -> None:
        super().__init__(logger)
        self.errors: list[ParserError] = []

    def _refuse(self, errors: list[ParserError]) -> bool:
        self.errors += errors
        for error in errors:
            self.log(ERROR, error.text)
        return False


class Parser(_WithErrors):
    """The ONNX parser."""

    def __init__(self, network: Network, logger: int) -> None:
        super().__init__(logger)
        self.network = network

    @answers(lambda parser: parser.parse(b""))
    def parse(self, data: Long, size: Long, _path: Text) -> bool:
        model, errors = flaws_of(ctypes.string_at(data, size))
        if model is None:
            return self._refuse(errors)
        self.network.fill(model)
        return True

    @answers(lambda parser: parser.num_errors)
    def num_errors(self) -> int:
        return len(self.errors)

    @answers(lambda parser: parser.get_error(0))
    def get_error(self, index: Int) -> ParserError | None:
        return self.errors[index] if index < len(self.errors) else None


class ParserRefitter(_WithErrors):
    """Gives the weights of an ONNX file to a stripped engine."""

    def __init__(self, refitter: "Refitter", logger: int) -> None:
        super().__init__(logger)
        self.refitter = refitter

    @answers(lambda parser: parser.refit_from_bytes(b""))
    def refit_from_bytes(self, data: Long, size: Long, _path: Text) -> bool:
        model, errors = flaws_of(ctypes.string_at(data, size))
        if model is None:
            return self._refuse(errors)
        try:
            self.refitter.filled = with_weights(self.refitter.engine.plan.model, model)
        except PlanError as error:
            return self._refuse([ParserError(str(error))])
        return True

    @answers(lambda parser: parser.num_errors)
    def num_errors(self) -> int:
        return len(self.errors)

    @answers(lambda parser: parser.get_error(0))
    def get_error(self, index: Int) -> ParserError | None:
        return self.errors[index] if index < len(self.errors) else None
