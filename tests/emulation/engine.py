"""Stand-ins around an engine: runtime, engine, inspector, refitter."""

import ctypes
import json
from collections.abc import Iterable
from typing import Any

import onnx

from .basics import ERROR, HostMemory, Logging, Machine
from .execution_context import Context
from .plans import Calculator, Plan, PlanError, Tensor, with_zeros, without_weights
from .teaching import Int, Long, Shape, StandIn, Text, World, answers, stored


@stored(DLA_core=-1, engine_host_code_allowed=0)
class Runtime(Logging):
    """Reads plans."""

    @answers(lambda runtime: runtime.num_DLA_cores)
    def num_dla_cores(self) -> int:
        return Machine.settings.dla_cores

    @answers(lambda runtime: runtime.deserialize_cuda_engine(b"x"))
    def deserialize_cuda_engine(self, data: Long, size: Long) -> "Engine | None":
        try:
            plan = Plan.from_bytes(memoryview((ctypes.c_uint8 * size).from_address(data)))
            self._check(plan)
        except PlanError as error:
            self.log(ERROR, str(error))
            return None
        weights = Machine.allocate(max(1, len(plan.graph)))
        if not weights:
            self.log(ERROR, "IRuntime::deserializeCudaEngine: Error Code 2: OutOfMemory (no memory for the weights)")
            return None
        return Engine(self.logger, plan, weights)

    def _check(self, plan: Plan) -> None:
        start = "IRuntime::deserializeCudaEngine: Error Code"
        if "VERSION_COMPATIBLE" in plan.settings["flags"] and not self._engine_host_code_allowed:
            raise PlanError(
                f"{start} 3: API Usage Error (The plan contains host executable code, but "
                "IRuntime::engineHostCodeAllowed is false)"
            )
        if plan.tensorrt != Machine.tensorrt and "VERSION_COMPATIBLE" not in plan.settings["flags"]:
            raise PlanError(
                f"{start} 6: API Usage Error (The engine plan file is not compatible with this version of TensorRT, "
                f"expecting library version {Machine.tensorrt} got {plan.tensorrt})"
            )
        if plan.device != Machine.device() and not plan.settings.get("hardware_compatibility_level"):
            raise PlanError(
                f"{start} 6: API Usage Error (The engine plan file is generated on an incompatible device, expecting "
                f"{Machine.device()} got {plan.device})"
            )


class Engine(Logging):
    """A plan that was read."""

    def __init__(self, logger: int, plan: Plan, weights: int) -> None:
        super().__init__(logger)
        self.plan = plan
        self.weights = weights
        graph = with_zeros(plan.model).SerializeToString() if plan.is_stripped else plan.graph
        self.calculator = Calculator(graph, plan.tensors)

    def on_end(self) -> None:
        Machine.free(self.weights)

    def refit(self, model: onnx.ModelProto) -> None:
        """Take other weights."""
        self.calculator = Calculator(model.SerializeToString(), self.plan.tensors)

    def tensor(self, name: str) -> Tensor | None:
        """None, and an error in the log, for a name that is not there."""
        if name not in self.plan.tensors:
            self.log(ERROR, f"ICudaEngine: Error Code 3: invalid tensor name {name}")
        return self.plan.tensors.get(name)

    @answers(lambda engine: engine.num_io_tensors)
    def num_io_tensors(self) -> int:
        return len(self.plan.tensors)

    @answers(lambda engine: engine.get_tensor_name(0))
    def get_tensor_name(self, index: Int) -> str | None:
        names = list(self.plan.tensors)
        return names[index] if index < len(names) else None

    @answers(lambda engine: engine.get_tensor_mode("x"))
    def get_tensor_mode(self, name: Text) -> int:
        tensor = self.tensor(name)
        return 0 if tensor is None else 1 if tensor.is_input else 2

    @answers(lambda engine: engine.get_tensor_dtype("x"))
    def get_tensor_dtype(self, name: Text) -> int:
        tensor = self.tensor(name)
        return tensor.data_type if tensor else 0

    @answers(lambda engine: engine.get_tensor_shape("x"))
    def get_tensor_shape(self, name: Text) -> Shape | None:
        tensor = self.tensor(name)
        return tensor.shape if tensor else None

    @answers(lambda engine: engine.get_tensor_profile_shape("x", 0))
    def get_profile_shape(self, name: Text, profile: Int, which: Int) -> Shape | None:
        if profile < len(self.plan.profiles) and name in self.plan.profiles[profile]:
            return tuple(self.plan.profiles[profile][name][which])
        tensor = self.tensor(name)
        return tensor.shape if tensor else None

    @answers(lambda engine: engine.serialize())
    def serialize(self) -> HostMemory:
        return HostMemory(self.plan.to_bytes())

    @answers(lambda engine: engine.create_engine_inspector())
    def create_engine_inspector(self) -> "Inspector":
        return Inspector(self)

    @answers(lambda engine: engine.create_execution_context())
    def create_execution_context(self, _strategy: Int) -> "Context | None":
        memory = Machine.allocate(Machine.settings.context_bytes)
        if not memory:
            self.log(ERROR, "ICudaEngine::createExecutionContext: Error Code 2: OutOfMemory (no memory to activate)")
            return None
        return Context(self, memory)


class Inspector(StandIn):
    """Tells an engine's layers, as JSON."""

    def __init__(self, engine: Engine) -> None:
        super().__init__()
        self.engine = engine
        self.context: int | None = None

    def _layers(self) -> list[Any]:
        model = self.engine.plan.model
        if self.engine.plan.settings.get("profiling_verbosity") != 2:  # DETAILED
            return [node.name for node in model.graph.node]
        dtypes = {item.name: onnx.TensorProto.DataType.Name(item.data_type) for item in model.graph.initializer}
        inferred = onnx.shape_inference.infer_shapes(without_weights(model)).graph
        for item in (*inferred.value_info, *inferred.input, *inferred.output):
            dtypes[item.name] = onnx.TensorProto.DataType.Name(item.type.tensor_type.elem_type)
        fused = {
            name: "INT8" for node in model.graph.node if node.op_type == "DequantizeLinear" for name in node.output
        }
        if not self.context:  # the batch is dynamic, and formats depend on shapes that only a context has
            dtypes, fused = dict.fromkeys(dtypes, "N/A due to dynamic shapes"), {}

        def described(node: onnx.NodeProto, names: Iterable[str]) -> list[dict[str, str]]:
            """As the builder fuses them: a convolution reads integers where the graph dequantizes what it reads."""
            known = dtypes | (fused if node.op_type == "Conv" else {})
            return [{"Name": name, "Format/Datatype": known.get(name, "FLOAT")} for name in names]

        return [
            {
                "Name": node.name,
                "LayerType": node.op_type,
                "Inputs": described(node, node.input),
                "Outputs": described(node, node.output),
                "TacticName": "",
                "Metadata": f"[ONNX Layer: {node.name}]",
            }
            for node in model.graph.node
        ]

    @answers(lambda inspector: inspector.get_engine_information(_json()))
    def get_engine_information(self, _format: Int) -> str:
        tensors = list(self.engine.plan.tensors)
        return json.dumps({"Layers": self._layers(), "Bindings": tensors, "Engine Name": "Unnamed Network 0"})

    @answers(lambda inspector: setattr(inspector, "execution_context", None))
    def set_execution_context(self, context: Long) -> bool:
        self.context = context
        return True


def _json() -> Any:
    import tensorrt

    return tensorrt.LayerInformationFormat.JSON


class Refitter(Logging):
    """Gives an engine other weights."""

    def __init__(self, engine: Engine, logger: int) -> None:
        super().__init__(logger)
        self.engine = engine
        self.filled: onnx.ModelProto | None = None

    @answers(lambda refitter: refitter.refit_cuda_engine())
    def refit_cuda_engine(self) -> bool:
        if self.filled is None:
            self.log(ERROR, "IRefitter::refitCudaEngine: Error Code 4: API Usage Error (weights are missing)")
            return False
        self.engine.refit(self.filled)
        return True

    @answers(lambda refitter: refitter.get_missing_weights())
    def get_missing_weights(self, size: Int, names: Long) -> int:
        if self.filled is not None:
            return 0
        missing = [item.name for item in self.engine.plan.model.graph.initializer if item.doc_string == "stripped"]
        table = (ctypes.c_void_p * size).from_address(names) if size and names else []
        for index, name in enumerate(missing[: len(table)]):
            table[index] = World.current.text(name)
        return len(missing)
