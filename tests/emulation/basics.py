"""Base classes and settings that several stand-ins share."""

import ctypes
from dataclasses import dataclass
from typing import Any, ClassVar

from .driver import Driver
from .teaching import StandIn, World, answers

INTERNAL_ERROR, ERROR, WARNING, INFO, VERBOSE = range(5)


@dataclass
class Settings:
    """Settings that a test may change.

    Attributes:
        build_bytes: Device memory that a build takes for its time.
        build_step_s: How long one step of a build takes.
        context_bytes: Device memory of an execution context.
        dla_cores: DLA cores of the device.
    """

    build_bytes: int = 1 << 20
    build_step_s: float = 0.0
    context_bytes: int = 1 << 20
    dla_cores: int = 0


class Machine:
    """The environment of the stand-ins, set when the emulation is loaded.

    Attributes:
        driver: The emulated libcuda.
        tensorrt: The version, as `getInferLibVersion` gives it.
        settings: What a test may change.
    """

    driver: ClassVar[Driver]
    tensorrt: ClassVar[int]
    settings: ClassVar[Settings] = Settings()

    @classmethod
    def device(cls) -> str:
        """Name and compute capability of the emulated GPU, as plans and timing caches carry it; needs a device."""
        library = cls.driver.library
        name, major, minor = ctypes.create_string_buffer(100), ctypes.c_int(), ctypes.c_int()
        library.cuDeviceGetName(name, 100, 0)
        library.cuDeviceComputeCapability(ctypes.byref(major), ctypes.byref(minor), 0)
        return f"{name.value.decode()} sm_{major.value}{minor.value}"

    @classmethod
    def start(cls) -> int:
        """Initialise as the CUDA runtime does: the primary context, where the thread has none. Returns a CUresult."""
        library = cls.driver.library
        context = ctypes.c_void_p()
        if result := library.cuInit(0):
            return int(result)
        library.cuCtxGetCurrent(ctypes.byref(context))
        if context:
            return 0
        if result := library.cuDevicePrimaryCtxRetain(ctypes.byref(context), 0):
            return int(result)
        return int(library.cuCtxSetCurrent(context))

    @classmethod
    def allocate(cls, size_bytes: int) -> int:
        """Address of device memory, 0 where the driver refuses."""
        address = ctypes.c_uint64()
        failed = cls.start() or cls.driver.library.cuMemAlloc_v2(ctypes.byref(address), ctypes.c_size_t(size_bytes))
        return 0 if failed else address.value

    @classmethod
    def free(cls, address: int) -> None:
        """Give memory back."""
        if address and not cls.start():
            cls.driver.library.cuMemFree_v2(ctypes.c_uint64(address))


class Logging(StandIn):
    """An object that has a logger."""

    def __init__(self, logger: int) -> None:
        super().__init__()
        self.logger = logger

    def log(self, severity: int, message: str) -> None:
        """Say something through the caller's logger."""
        text = ctypes.c_char_p(message.encode())
        World.current.library.emulation_log(ctypes.c_void_p(self.logger), severity, text)


class HostMemory(StandIn):
    """Bytes that TensorRT owns."""

    def __init__(self, data: bytes) -> None:
        super().__init__()
        self.buffer = ctypes.create_string_buffer(data, len(data))

    @answers(lambda memory: memory.nbytes)
    def size(self) -> int:
        return len(self.buffer)

    @answers(lambda memory: memory.dtype)
    def type(self) -> int:
        return 2  # INT8

    @answers(lambda memory: memoryview(memory))
    def data(self) -> int:
        return ctypes.addressof(self.buffer)


class Example:
    """Objects of the bindings that lessons pass as arguments."""

    profile: ClassVar[Any] = None
    timing_cache: ClassVar[Any] = None
    layer: ClassVar[Any] = None
    network: ClassVar[Any] = None
    config: ClassVar[Any] = None


def bindings() -> Any:
    """The real bindings, once they are loaded."""
    import tensorrt

    return tensorrt


def flag(name: str) -> Any:
    """A builder flag."""
    return getattr(bindings().BuilderFlag, name)
