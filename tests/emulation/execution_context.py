"""The stand-in for the execution context, and what happens when a stream gets to an engine."""

import ctypes
import gc
import itertools
from typing import TYPE_CHECKING

from .basics import ERROR, Logging, Machine
from .driver import ILLEGAL_ADDRESS
from .teaching import Dims, Int, Long, Shape, Text, World, answers, stored

if TYPE_CHECKING:
    from .engine import Engine


@stored(nvtx_verbosity=0)
class Context(Logging):
    """An engine's state of execution."""

    jobs = itertools.count()
    running: "dict[int, tuple[Engine, dict[str, int], dict[str, Shape], bool, int]]" = {}  # noqa: RUF012  kept for graphs

    def __init__(self, engine: "Engine", memory: int) -> None:
        super().__init__(engine.logger)
        self.engine = engine
        self.memory = memory
        self.addresses: dict[str, int] = {}
        inputs = [tensor for tensor in engine.plan.tensors.values() if tensor.is_input]
        self.shapes: dict[str, Shape] = {tensor.name: tensor.shape for tensor in inputs}
        self.profiler = 0
        self.settled = False  # False until an enqueue has run with these shapes

    def on_end(self) -> None:
        Machine.free(self.memory)

    @answers(lambda context: context.engine)
    def get_engine(self) -> "Engine":
        return self.engine

    @answers(lambda context: context.set_tensor_address("x", 0))
    def set_tensor_address(self, name: Text, address: Long) -> bool:
        if self.engine.tensor(name) is None:
            return False
        self.addresses[name] = address
        return True

    @answers(lambda context: context.set_input_shape("x", (1,)))
    def set_input_shape(self, name: Text, shape: Dims) -> bool:
        tensor = self.engine.tensor(name)
        if tensor is None:
            return False
        profiles = self.engine.plan.profiles
        low, _, high = profiles[0].get(name, [tensor.shape] * 3) if profiles else [tensor.shape] * 3
        if len(shape) != len(low) or not all(a <= s <= b for a, s, b in zip(low, shape, high, strict=True)):
            self.log(ERROR, f"IExecutionContext::setInputShape: Error Code 3: {name} {shape} is not in the profile")
            return False
        self.settled = self.settled and self.shapes[name] == shape
        self.shapes[name] = shape
        return True

    @answers(lambda context: context.get_tensor_shape("x"))
    def get_tensor_shape(self, name: Text) -> Shape | None:
        tensor = self.engine.tensor(name)
        if tensor is None or name in self.shapes:
            return self.shapes.get(name)
        return tensor.shape_in(next(iter(self.shapes.values()))[0])

    @answers(lambda context: context.infer_shapes())
    def infer_shapes(self, _room: Int, _names: Long) -> int:
        return sum(-1 in shape for shape in self.shapes.values())

    @answers(lambda context: setattr(context, "profiler", None))
    def set_profiler(self, profiler: Long) -> None:
        self.profiler = profiler

    @answers(lambda context: context.execute_async_v3(0))
    def enqueue(self, stream: Long) -> bool:
        flaw = self._flaw(stream)
        if flaw:
            self.log(ERROR, f"IExecutionContext::enqueueV3: Error Code 3: API Usage Error ({flaw})")
            return False
        library = Machine.driver.library
        captured = bool(library.emulation_is_capturing(ctypes.c_void_p(stream)))
        job = next(self.jobs)
        self.running[job] = (self.engine, dict(self.addresses), dict(self.shapes), captured, self.profiler)
        self.settled = True
        failed = library.emulation_give_engine(ctypes.c_void_p(stream), RUN, ctypes.c_uint64(job))
        if failed:
            self.log(ERROR, f"IExecutionContext::enqueueV3: Error Code 1: Cuda Runtime ({failed})")
        return not failed

    def _flaw(self, stream: int) -> str:
        for name in self.engine.plan.tensors:
            if not self.addresses.get(name):
                return f"Address is not set for tensor {name}"
        if any(-1 in shape for shape in self.shapes.values()):
            return "not all input shapes are specified"
        if not self.settled and Machine.driver.library.emulation_is_capturing(ctypes.c_void_p(stream)):
            address = Machine.allocate(64)  # as TensorRT may, the first time: the driver refuses during a capture
            if not address:
                return "the first enqueue after a change of shapes cannot be captured"
            Machine.free(address)
        return ""


def _run_undisturbed(job: int) -> int:
    """Called by the driver when a stream gets to an engine; returns a CUresult.

    No garbage is collected meanwhile: a context that ended here would free memory, which waits for the streams, and so
    for this very call.
    """
    collects = gc.isenabled()
    gc.disable()
    try:
        return _run(job)
    finally:
        if collects:
            gc.enable()


def _run(job: int) -> int:
    engine, addresses, shapes, captured, profiler = Context.running[job]
    if not captured:
        del Context.running[job]
    if not engine.calculator.can_reach(Machine.driver, addresses, shapes):
        return ILLEGAL_ADDRESS
    try:
        engine.calculator.run(addresses, shapes)
    except Exception as error:  # noqa: BLE001  it cannot cross the C++ code
        World.current.failures.append(f"ONNX Runtime: {error}")
        return ILLEGAL_ADDRESS
    for node in engine.plan.model.graph.node if profiler else ():
        text = ctypes.c_char_p(node.name.encode())
        World.current.library.emulation_layer_time(ctypes.c_void_p(profiler), text, ctypes.c_float(0.01))
    return 0


RUN = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_uint64)(_run_undisturbed)
