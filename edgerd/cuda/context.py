"""The GPU's primary context, which TensorRT, ONNX Runtime and torch share, owned by one thread."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterable, Iterator
from typing import Any, Literal

from edgerd.cuda.driver import Driver
from edgerd.cuda.primary import PrimaryContext, primary_context
from edgerd.errors import DeviceError, DeviceLostError, EdgerdError, InputError, MissingDependencyError

Wait = Literal["blocking", "spinning"]
"""How a thread waits for the GPU: asleep, or turning in a loop, which answers sooner and costs a core."""

_WAIT_FLAGS: dict[Wait, int] = {"spinning": 0x01, "blocking": 0x04}
"""CU_CTX_SCHED_SPIN, CU_CTX_SCHED_BLOCKING_SYNC."""
_NON_BLOCKING = 1
"""CU_STREAM_NON_BLOCKING: independent of the default stream, which libraries in this process may use."""
_PYCUDA_FIX = 'pip install "edgerd[tensorrt]"'
_PYCUDA_REBUILD = (
    "It was compiled with a newer CUDA than the driver's: update the driver, or compile it with an older toolkit, "
    "pip install --force-reinstall --no-cache-dir --no-deps pycuda"
)


class Context:
    """A GPU in use by this process. Everything but writing to pinned memory happens in the thread that opened it.

    Attributes:
        driver: The driver library.
        cuda: The module `pycuda.driver`.
        name: The GPU's name.
        capability: Its compute capability, (9, 0).
        maps_host_memory: True where GPU and CPU share their memory (Jetson), so that it is mapped, not copied.
        is_lost: True after an error from which no call recovers.
    """

    def __init__(self, device: int = 0, *, wait: Wait = "blocking") -> None:
        """Open a GPU.

        Args:
            device: Its number among those that CUDA sees.
            wait: How to wait for it; holds for everything in this process that uses the GPU.

        Raises:
            MissingDependencyError: No driver, GPU, permission or pycuda.
            InputError: There is no GPU of that number.
            DeviceError: The GPU refuses.
        """
        self.driver = Driver()
        self.driver.initialise()
        self.cuda = import_pycuda()
        self.is_lost = False
        self._kept: list[object] = []
        self._thread = threading.get_ident()
        self._number = device
        with self.errors():
            self.cuda.init()
            handle = self._device(device)
            self.name: str = handle.name()
            self.capability: tuple[int, int] = handle.compute_capability()
            attribute = self.cuda.device_attribute
            self.maps_host_memory = bool(
                handle.get_attribute(attribute.INTEGRATED) and handle.get_attribute(attribute.CAN_MAP_HOST_MEMORY)
            )
            self.wait_by(wait)
            self._primary: PrimaryContext | None = primary_context(self.cuda, device)
            self._primary.enter()

    def _device(self, number: int) -> Any:
        count = self.cuda.Device.count()
        if not 0 <= number < count:
            raise InputError(
                f"There is no GPU {number}.",
                expected=f"0 to {count - 1}",
                hint="`nvidia-smi -L` lists them; CUDA_VISIBLE_DEVICES may hide some.",
            )
        return self.cuda.Device(number)

    @contextlib.contextmanager
    def errors(self) -> Iterator[None]:
        """Turn pycuda's exceptions inside the block into ours.

        Raises:
            DeviceLostError: The GPU no longer answers.
            DeviceError: It refused a call, or does not have enough memory.
        """
        try:
            yield
        except self.cuda.Error as error:
            raise self._noted(self.driver.error_of(str(error))) from error

    def check(self, code: int, call: str) -> None:
        """Raise what `errors` would, for a result of `driver.library`."""
        if code:
            raise self._noted(self.driver.error(code, call))

    def stream(self) -> Any:
        """A new `pycuda.driver.Stream`, which neither waits for the default stream nor lets it wait.

        So somebody else's copy does not break a capture on it, and a capture on it does not break their copy.

        Raises:
            DeviceError: As `errors`, or in another thread than the one that opened the context.
        """
        self.check_thread()
        with self.errors():
            return self.cuda.Stream(_NON_BLOCKING)

    def wait_by(self, wait: Wait) -> None:
        """Choose how to wait for the GPU; where the driver does not want it, the wait stays as it is."""
        self.driver.library.cuDevicePrimaryCtxSetFlags_v2(self._number, _WAIT_FLAGS[wait])

    def synchronise(self, stream: Any) -> None:
        """Wait for everything on a stream; errors of what ran there come up here.

        Raises:
            DeviceError: As `errors`.
        """
        with self.errors():
            stream.synchronize()

    def close(self) -> None:
        """Let go of the GPU; safe to call twice. Free memory, graphs and streams first."""
        if self._primary is None:
            return
        self.check_thread()
        primary, self._primary = self._primary, None
        if not self.is_lost:
            # leaving may be what finds it lost: then it is given up as well
            with contextlib.suppress(DeviceLostError), self.errors():
                primary.leave()
                return
        with contextlib.suppress(DeviceLostError), self.errors():
            primary.abandon()
        self._kept.clear()

    def keep(self, items: Iterable[object]) -> None:
        """Hold what a lost GPU cannot free until it is closed: sooner pycuda complains of each on stderr."""
        self._kept.extend(items)

    def _noted(self, error: EdgerdError) -> EdgerdError:
        self.is_lost = self.is_lost or isinstance(error, DeviceLostError)
        return error

    def check_thread(self) -> None:
        """Refuse another thread than the one that opened the GPU.

        Raises:
            DeviceError: This is another one.
        """
        if threading.get_ident() != self._thread:
            raise DeviceError(
                "A GPU was used from another thread than the one that opened it.",
                hint="Open it in the thread that runs the engine.",
            )


def import_pycuda() -> Any:
    """The module `pycuda.driver`.

    Raises:
        MissingDependencyError: It is not installed.
    """
    try:
        import pycuda.driver
    except ImportError as error:
        fix = _PYCUDA_REBUILD if "undefined symbol" in str(error) else _PYCUDA_FIX
        raise MissingDependencyError(f"pycuda cannot be imported: {error}.", hint=fix) from error
    return pycuda.driver


def pycuda_version() -> str:
    """Version of pycuda, and of the CUDA that it was compiled with: "2025.1, compiled with CUDA 12.6".

    Raises:
        MissingDependencyError: It is not installed, or does not load.
    """
    driver = import_pycuda()
    import pycuda

    major, minor, *_ = driver.get_version()
    return f"{pycuda.VERSION_TEXT}, compiled with CUDA {major}.{minor}"
