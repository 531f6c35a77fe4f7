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

from .basics import ERROR, Example, HostMemory, Machine, Settings
from .builder import Builder
from .configuration import Config, Profile, TimingCache
from .driver import Driver
from .engine import Engine, Inspector, Refitter, Runtime
from .execution_context import Context
from .install import FOLDER
from .networks import Network, NetworkTensor, Parser, ParserError, ParserRefitter
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
        """Settings of the emulated TensorRT that a test may change."""
        return Machine.settings

    def reset(self) -> None:
        """Reset everything to the state at the start, except memory that is still allocated."""
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
        made = Builder(logger or 0)
    elif what == 1:
        made = Runtime(logger or 0)
    else:
        other = World.current.object_at(argument or 0)
        kind = (Refitter, Parser, ParserRefitter)[what - 2]
        made = kind(other, logger or 0)  # type: ignore[call-arg]
    return made.address


def _refuse(logger: int, failed: int) -> int:
    text = f"CUDA initialization failure with error: {failed}".encode()
    World.current.library.emulation_log(ctypes.c_void_p(logger), ERROR, text)
    return 0


_CREATOR = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)(_create)


def _teach(world: World, trt: ModuleType) -> None:
    """Go through the lessons of every class, in the order in which one makes the next."""
    logger = trt.Logger(trt.Logger.INTERNAL_ERROR)
    made = trt.Builder(logger)
    world.teach(Builder, made, partly=True)
    Example.network, Example.config = made.create_network(0), made.create_builder_config()
    Example.profile = made.create_optimization_profile()
    world.teach(Builder, made)
    world.teach(Profile, Example.profile)
    world.teach(Config, Example.config, partly=True)
    Example.timing_cache = Example.config.create_timing_cache(b"")
    world.teach(TimingCache, Example.timing_cache)

    graph = _example_graph()
    parser = trt.OnnxParser(Example.network, logger)
    world.teach(Parser, parser)
    network = made.create_network(0)
    ending = [trt.OnnxParser(network, logger), network]
    del network  # it keeps its parser
    world.teach_end(Parser, ending)
    parser.parse(b"no graph")
    world.teach(ParserError, parser.get_error(0))
    parser.parse(graph)
    world.teach(Network, Example.network)
    Example.layer = Example.network.get_layer(0)
    world.teach(NetworkTensor, Example.network.get_input(0))
    world.teach(Config, Example.config)
    memory = made.build_serialized_network(Example.network, Example.config)
    world.teach(HostMemory, memory)

    runtime = trt.Runtime(logger)
    world.teach(Runtime, runtime)
    engine = runtime.deserialize_cuda_engine(memory)
    world.teach(Engine, engine)
    world.teach(Context, engine.create_execution_context())
    world.teach(Inspector, engine.create_engine_inspector())
    refitter = trt.Refitter(engine, logger)
    world.teach(Refitter, refitter)
    world.teach(ParserRefitter, trt.OnnxParserRefitter(refitter, logger))
    refitter = trt.Refitter(engine, logger)
    ending = [trt.OnnxParserRefitter(refitter, logger), refitter]
    del refitter
    world.teach_end(ParserRefitter, ending)


def _example_graph() -> bytes:
    x, y = (onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1]) for name in "xy")
    graph = onnx.helper.make_graph([onnx.helper.make_node("Relu", ["x"], ["y"], name="relu")], "example", [x], [y])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 19)], ir_version=9)
    return bytes(model.SerializeToString())
