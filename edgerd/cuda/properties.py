"""What a GPU is, asked without opening it."""

from __future__ import annotations

import platform
import sys
from dataclasses import dataclass

from edgerd.cuda.context import import_pycuda
from edgerd.cuda.driver import Driver
from edgerd.errors import MissingDependencyError


@dataclass(frozen=True)
class GpuProperties:
    """A GPU, as it is found.

    Attributes:
        name: As the driver gives it.
        capability: Compute capability, (8, 7).
        multiprocessors: Those that are switched on: Jetsons of one name have different numbers, as do power modes.
        memory_bytes: All of it, in use or not.
        is_integrated: True where it shares its memory with the CPU (Jetson).
    """

    name: str
    capability: tuple[int, int]
    multiprocessors: int
    memory_bytes: int
    is_integrated: bool

    @property
    def architecture(self) -> str:
        """As compilers call it: "sm_87"."""
        return f"sm_{self.capability[0]}{self.capability[1]}"

    @property
    def platform(self) -> str:
        """What its libraries are made for: "linux aarch64 integrated"; those of servers and Jetsons differ."""
        return f"{sys.platform} {platform.machine()} {'integrated' if self.is_integrated else 'discrete'}"

    @property
    def model(self) -> str:
        """What an engine is built for: "Orin, 16 SMs"; the name alone is that of an AGX Orin and of an Orin Nano."""
        return f"{self.name}, {self.multiprocessors} SMs"


def gpu_properties(number: int = 0) -> GpuProperties:
    """Look at a GPU without making a context on it.

    Raises:
        MissingDependencyError: No driver, GPU, permission or pycuda.
    """
    Driver().initialise()
    cuda = import_pycuda()
    try:
        cuda.init()
        device = cuda.Device(number)
        return GpuProperties(
            name=device.name(),
            capability=device.compute_capability(),
            multiprocessors=device.get_attribute(cuda.device_attribute.MULTIPROCESSOR_COUNT),
            memory_bytes=device.total_memory(),
            is_integrated=bool(device.get_attribute(cuda.device_attribute.INTEGRATED)),
        )
    except cuda.Error as error:
        raise MissingDependencyError(f"GPU {number} cannot be used: {error}.", hint="edgerd doctor") from error
