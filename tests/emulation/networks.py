"""Stand-ins for the network and the ONNX parsers."""

import ctypes
from typing import TYPE_CHECKING

import onnx

from .basics import ERROR, Logging, bindings
from .plans import UNSUPPORTED, PlanError, Tensor, tensors_of, with_weights
from .teaching import Int, Long, Shape, StandIn, Text, answers, stored

if TYPE_CHECKING:
    from .running import Refitter


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

    @answers(lambda tensor: tensor.dtype)
    def get_type(self) -> int:
        return self.tensor.data_type

    @answers(lambda tensor: tensor.is_network_input)
    def is_input(self) -> bool:
        return self.tensor.is_input


class Layer(StandIn):
    """A layer: one node of the graph."""

    def __init__(self, node: onnx.NodeProto) -> None:
        super().__init__()
        self.node = node

    @answers(lambda layer: layer.name)
    def get_name(self) -> str:
        return self.node.name

    @answers(lambda layer: layer.num_inputs)
    def num_inputs(self) -> int:
        return len(self.node.input)

    @answers(lambda layer: layer.num_outputs)
    def num_outputs(self) -> int:
        return len(self.node.output)


@stored(name="")
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

    @answers(lambda network: network.get_flag(bindings().NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    def get_flag(self, flag: Int) -> bool:
        return bool(self.flags >> flag & 1)


class ParserError(StandIn):
    """One node that the parser could not take."""

    destructor_first = False

    def __init__(self, description: str, node: int = -1, name: str = "", operator: str = "", code: int = 8) -> None:
        super().__init__()
        self.what = (code, description, node, name, operator)

    @answers(lambda error: error.code())
    def code(self) -> int:
        return self.what[0]

    @answers(lambda error: error.desc())
    def description(self) -> str:
        return self.what[1]

    @answers(lambda error: error.file())
    def file(self) -> str:
        return "emulated/ModelImporter.cpp"

    @answers(lambda error: error.line())
    def line(self) -> int:
        return 1

    @answers(lambda error: error.func())
    def function(self) -> str:
        return "parse"

    @answers(lambda error: error.node())
    def node(self) -> int:
        return self.what[2]

    @answers(lambda error: error.node_name())
    def node_name(self) -> str:
        return self.what[3]

    @answers(lambda error: error.node_operator())
    def node_operator(self) -> str:
        return self.what[4]


def flaws_of(data: bytes) -> tuple[onnx.ModelProto | None, list[ParserError]]:
    """The model, or why the parser would refuse it: all nodes that it does not know, or one error for the file."""
    try:
        model = onnx.load_from_string(data)
        onnx.checker.check_model(model)
    except Exception as error:  # noqa: BLE001  protobuf and the checker raise many kinds
        return None, [ParserError(f"Failed to parse the ONNX model: {str(error).splitlines()[0]}", code=4)]
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
            self.log(ERROR, error.what[1])
        return False


class Parser(_WithErrors):
    """The ONNX parser."""

    def __init__(self, network: Network, logger: int) -> None:
        super().__init__(logger)
        self.network = network
        self._flags = 0

    @answers(lambda parser: parser.parse(b""))
    def parse(self, data: Long, size: Long, _path: Text) -> bool:
        model, errors = flaws_of(ctypes.string_at(data, size))
        if model is None:
            return self._refuse(errors)
        self.network.fill(model)
        return True

    @answers(lambda parser: parser.parse_from_file(""))
    def parse_from_file(self, path: Text, _verbosity: Int) -> bool:
        try:
            with open(path, "rb") as file:  # noqa: PTH123
                data = file.read()
        except OSError:
            return self._refuse([ParserError(f"Could not open file {path}", code=4)])
        buffer = ctypes.create_string_buffer(data, len(data))
        return self.parse(ctypes.addressof(buffer), len(data), path)

    @answers(lambda parser: parser.num_errors)
    def num_errors(self) -> int:
        return len(self.errors)

    @answers(lambda parser: parser.get_error(0))
    def get_error(self, index: Int) -> ParserError | None:
        return self.errors[index] if index < len(self.errors) else None

    @answers(lambda parser: parser.clear_errors())
    def clear_errors(self) -> None:
        self.errors.clear()

    @answers(lambda parser: parser.set_flag(bindings().OnnxParserFlag.NATIVE_INSTANCENORM))
    def set_flag(self, number: Int) -> None:
        self._flags |= 1 << number

    @answers(lambda parser: parser.clear_flag(bindings().OnnxParserFlag.NATIVE_INSTANCENORM))
    def clear_flag(self, number: Int) -> None:
        self._flags &= ~(1 << number)

    @answers(lambda parser: parser.get_flag(bindings().OnnxParserFlag.NATIVE_INSTANCENORM))
    def get_flag(self, number: Int) -> bool:
        return bool(self._flags >> number & 1)

    @answers(lambda parser: parser.supports_operator("Conv"))
    def supports_operator(self, name: Text) -> bool:
        return name not in UNSUPPORTED


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
            return self._refuse([ParserError(str(error), code=10)])
        return True

    @answers(lambda parser: parser.num_errors)
    def num_errors(self) -> int:
        return len(self.errors)

    @answers(lambda parser: parser.get_error(0))
    def get_error(self, index: Int) -> ParserError | None:
        return self.errors[index] if index < len(self.errors) else None
