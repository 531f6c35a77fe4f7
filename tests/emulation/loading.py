"""Puts the emulation into this process: `load("10.13")` before anything imports pycuda or tensorrt."""

from __future__ import annotations

import ctypes
import gc
import importlib
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import onnx

from . import basics, builder, building, executing, networks, running
from .basics import Example, Machine, Settings
from .driver import Driver
from .install import FOLDER
from .teaching import StandIn, World
from .versions import VERSIONS, Version

BIN = Path(__file__).parent / "bin"


@dataclass(frozen=True)
class Emulation:
    """What a test holds.

    Attributes:
        version: Which TensorRT.
        driver: The emulated libcuda: log, faults, memory.
        world: The TensorRT stand-ins; `failures` is empty where all went well.
        trt: The real bindings.
    """

    version: Version
    driver: Driver
    world: World
    trt: ModuleType

    @property
    def settings(self) -> Settings:
        """What a test may change about the emulated TensorRT."""
        return Machine.settings

    def reset(self) -> None:
        """As at the start, but for what is still allocated."""
        self.driver.reset()
        self.world.failures.clear()
        Machine.settings = Settings()


def load(name: str, folder: Path = FOLDER) -> Emulation:
    """Load one version; one process can hold one.

    After it, `import pycuda.driver` and `import tensorrt` give the real packages over the stand-ins, and `nvcc` on the
    path is the emulation's (bin/nvcc).
    """
    version = VERSIONS[name]
    driver = Driver(folder / "native" / "libcuda.so.1")
    root = folder / "tensorrt" / version.name
    library, *_ = (
        ctypes.CDLL(str(root / "lib" / f"{stem}.so.{version.soname}"), mode=ctypes.RTLD_GLOBAL)
        for stem in ("libnvinfer", "libnvinfer_plugin", "libnvonnxparser")
    )
    sys.path += [str(folder / "python"), str(root)]  # behind the environment's own packages
    os.environ["PATH"] = f"{BIN}{os.pathsep}{os.environ['PATH']}"
    Machine.driver, Machine.tensorrt = driver, version.number
    world = World(library)
    library.emulation_set_creator(_CREATOR)
    trt = importlib.import_module("tensorrt_bindings")
    sys.modules["tensorrt"] = trt
    _teach(world, trt)
    _leave_no_trace(driver)
    emulation = Emulation(version, driver, world, trt)
    emulation.reset()
    return emulation


def _leave_no_trace(driver: Driver) -> None:
    """The driver as it was before the lessons: not initialised, no context."""
    for name in ("network", "config", "profile", "timing_cache", "layer"):
        setattr(Example, name, None)
    gc.collect()
    driver.library.cuCtxSetCurrent(None)
    driver.library.cuDevicePrimaryCtxRelease_v2(0)
    driver.library.emulation_restart()


def _create(what: int, argument: int | None, logger: int | None) -> int:
    """What the functions do that make the first object of each kind; 0, and a message, where there is no device."""
    if failed := Machine.start():
        return _refuse(logger or 0, failed)
    made: StandIn
    if what == 0:
        made = builder.Builder(logger or 0)
    elif what == 1:
        made = running.Runtime(logger or 0)
    else:
        other = World.current.object_at(argument or 0)
        kind = (running.Refitter, networks.Parser, networks.ParserRefitter)[what - 2]
        made = kind(other, logger or 0)  # type: ignore[call-arg]
    return made.address


def _refuse(logger: int, failed: int) -> int:
    text = f"CUDA initialization failure with error: {failed}".encode()
    World.current.library.emulation_log(ctypes.c_void_p(logger), basics.ERROR, text)
    return 0


_CREATOR = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)(_create)


def _teach(world: World, trt: ModuleType) -> None:
    """Go through the lessons of every class, in the order in which one makes the next."""
    logger = trt.Logger(trt.Logger.INTERNAL_ERROR)
    made = trt.Builder(logger)
    world.teach(builder.Builder, made, partly=True)
    Example.network, Example.config = made.create_network(0), made.create_builder_config()
    Example.profile = made.create_optimization_profile()
    world.teach(builder.Builder, made)
    world.teach(building.Profile, Example.profile)
    world.teach(building.Config, Example.config, partly=True)
    Example.timing_cache = Example.config.create_timing_cache(b"")
    world.teach(building.TimingCache, Example.timing_cache)

    graph = _example_graph()
    parser = trt.OnnxParser(Example.network, logger)
    world.teach(networks.Parser, parser)
    network = made.create_network(0)
    ending = [trt.OnnxParser(network, logger), network]
    del network  # it keeps its parser
    world.teach_end(networks.Parser, ending)
    parser.parse(b"no graph")
    world.teach(networks.ParserError, parser.get_error(0))
    parser.parse(graph)
    world.teach(networks.Network, Example.network)
    Example.layer = Example.network.get_layer(0)
    world.teach(networks.Layer, Example.layer)
    world.teach(networks.NetworkTensor, Example.network.get_input(0))
    world.teach(building.Config, Example.config)
    memory = made.build_serialized_network(Example.network, Example.config)
    world.teach(basics.HostMemory, memory)

    runtime = trt.Runtime(logger)
    world.teach(running.Runtime, runtime)
    engine = runtime.deserialize_cuda_engine(memory)
    world.teach(running.Engine, engine)
    world.teach(executing.Context, engine.create_execution_context())
    world.teach(running.Inspector, engine.create_engine_inspector())
    refitter = trt.Refitter(engine, logger)
    world.teach(running.Refitter, refitter)
    world.teach(networks.ParserRefitter, trt.OnnxParserRefitter(refitter, logger))
    refitter = trt.Refitter(engine, logger)
    ending = [trt.OnnxParserRefitter(refitter, logger), refitter]
    del refitter
    world.teach_end(networks.ParserRefitter, ending)


def _example_graph() -> bytes:
    x, y = (onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1]) for name in "xy")
    graph = onnx.helper.make_graph([onnx.helper.make_node("Relu", ["x"], ["y"], name="relu")], "example", [x], [y])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 19)], ir_version=9)
    return bytes(model.SerializeToString())
