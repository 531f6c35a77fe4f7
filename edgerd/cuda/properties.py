"""Properties of the GPU, read without opening a context on it."""

from __future__ import annotations

import platform
import sys
from dataclasses import dataclass

from edgerd.cuda.context import import_pycuda
from edgerd.cuda.driver import Driver
from edgerd.cuda.primary import DEVICE_NUMBER
from edgerd.errors import MissingDependencyError


@dataclass(frozen=True)
class GpuProperties:
    """Properties of a GPU.

    Attributes:
        name: Name that the driver gives.
        capability: Compute capability, (8, 7).
        multiprocessors: Multiprocessors that are switched on: the number differs between Jetsons of the same name, and
            between power modes.
        memory_bytes: Size of its memory, used or not.
        is_integrated: True where it shares its memory with the CPU (Jetson).
    """

    name: str
    capability: tuple[int, int]
    multiprocessors: int
    memory_bytes: int
    is_integrated: bool

    @property
    def architecture(self) -> str:
        """The compute capability as compilers write it: "sm_87"."""
        return f"sm_{self.capability[0]}{self.capability[1]}"

    @property
    def platform(self) -> str:
        """The platform that CUDA's libraries are built for: "linux aarch64 integrated"."""
        return f"{sys.platform} {platform.machine()} {'integrated' if self.is_integrated else 'discrete'}"

    @property
    def model(self) -> str:
        """The model that an engine is built for: "Orin, 16 SMs"; AGX Orin and Orin Nano have the same name."""
        return f"{self.name}, {self.multiprocessors} SMs"


def gpu_properties() -> GpuProperties:
    """The properties of the GPU that `edgerd.cuda.context.Context` would open.

    Raises:
        MissingDependencyError: No driver, GPU, permission or pycuda.
    """
    Driver().initialise()
    cuda = import_pycuda()
    try:
        cuda.init()
        device = cuda.Device(DEVICE_NUMBER)
        return GpuProperties(
            name=device.name(),
            capability=device.compute_capability(),
            multiprocessors=device.get_attribute(cuda.device_attribute.MULTIPROCESSOR_COUNT),
            memory_bytes=device.total_memory(),
            is_integrated=bool(device.get_attribute(cuda.device_attribute.INTEGRATED)),
        )
    except cuda.Error as error:
        raise MissingDependencyError(f"The GPU cannot be used: {error}.", hint="edgerd doctor") from error
