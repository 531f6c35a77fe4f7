"""The stand-in for the builder: checks what TensorRT would check, and serialises the graph as the plan."""

import ctypes
import hashlib
import time

import onnx
from onnx import TensorProto

from .basics import ERROR, INFO, Example, HostMemory, Logging, Machine
from .configuration import Config, Profile
from .networks import Network
from .plans import Plan, without_weights
from .teaching import Int, Ref, World, answers


class Builder(Logging):
    """Makes plans out of networks."""

    @answers(lambda builder: builder.create_builder_config())
    def create_builder_config(self) -> Config:
        return Config(self.logger, Machine.device())

    @answers(lambda builder: builder.create_network(0))
    def create_network(self, flags: Int) -> Network:
        return Network(self.logger, flags)

    @answers(lambda builder: builder.create_optimization_profile())
    def create_optimization_profile(self) -> Profile:
        return Profile()

    @answers(lambda builder: builder.num_DLA_cores)
    def num_dla_cores(self) -> int:
        return Machine.settings.dla_cores

    @answers(lambda builder: builder.build_serialized_network(Example.network, Example.config))
    def build_serialized_network(self, network: Ref, config: Ref) -> HostMemory | None:
        flaw = _flaw(network, config)
        if flaw:
            self.log(ERROR, f"IBuilder::buildSerializedNetwork: Error Code 4: API Usage Error ({flaw})")
            return None
        scratch = Machine.allocate(Machine.settings.build_bytes)
        if not scratch:
            self.log(ERROR, "IBuilder::buildSerializedNetwork: Error Code 2: OutOfMemory (no memory for tactics)")
            return None
        try:
            finished = _work(network, config)
        finally:
            Machine.free(scratch)
        if not finished:
            self.log(INFO, "The build was cancelled by the progress monitor")
            return None
        return HostMemory(_plan(network, config).to_bytes())


def _flaw(network: Network, config: Config) -> str:
    """Why TensorRT would refuse to build; empty where it would build."""
    if network.model is None or not network.model.graph.output:
        return "the network has no outputs"
    for tensor in (item.tensor for item in network.side(True)):
        users = {node.op_type for node in network.model.graph.node if tensor.name in node.input}
        if tensor.onnx_type == TensorProto.UINT8 and users - {"Cast"}:
            return f"UINT8 input {tensor.name} may only go into a Cast"
        if -1 in tensor.shape:
            if not config.profiles:
                return "Network has dynamic or shape inputs, but no optimization profile has been defined."
            for profile in config.profiles:
                if tensor.name not in profile.shapes:
                    return f"the optimization profile is missing shapes for input {tensor.name}"
                if not all(_fits(tensor.shape, shape) for shape in profile.shapes[tensor.name]):
                    return f"the optimization profile does not match the static dimensions of input {tensor.name}"
    return ""


def _fits(declared: tuple[int, ...], shape: list[int]) -> bool:
    return len(declared) == len(shape) and all(d in (-1, s) for d, s in zip(declared, shape, strict=True))


def _work(network: Network, config: Config) -> bool:
    """Two phases, one inside the other, a step for each layer; False where the monitor cancels."""
    library, monitor = World.current.library, ctypes.c_void_p(config.monitor)
    library.emulation_step_complete.restype = ctypes.c_bool
    nodes = network.model.graph.node
    phases = ((b"Building Engine", None), (b"Timing graph nodes", b"Building Engine"))
    going = True
    if config.monitor:
        for name, parent in phases:
            library.emulation_phase_start(monitor, name, parent, len(nodes))
    for step, node in enumerate(nodes):
        digest = hashlib.sha256(node.SerializeToString()).hexdigest()
        if config.cache is None or digest not in config.cache.layers:
            time.sleep(Machine.settings.build_step_s)
        if config.cache is not None:
            config.cache.layers.add(digest)
        if config.monitor and not library.emulation_step_complete(monitor, phases[1][0], step):
            going = False
            break
    if config.monitor:
        for name, _ in reversed(phases):
            library.emulation_phase_finish(monitor, name)
    return going


def _plan(network: Network, config: Config) -> Plan:
    import tensorrt

    names = tensorrt.BuilderFlag.__members__.items()
    flags = sorted({name for name, value in names if config.get_flag(int(value))})
    model: onnx.ModelProto = network.model
    if "STRIP_PLAN" in flags:
        model = without_weights(model)
    return Plan(
        tensorrt=Machine.tensorrt,
        device=Machine.device(),
        profiles=[profile.shapes for profile in config.profiles],
        settings=config.settings() | {"flags": flags, "network_flags": network.flags},
        graph=model.SerializeToString(),
    )
