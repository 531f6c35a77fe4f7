"""The GPU's primary context, which TensorRT, ONNX Runtime and torch share; one thread owns it."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterable, Iterator
from typing import Any, Literal

from edgerd.cuda.driver import Driver
from edgerd.cuda.primary import DEVICE_NUMBER, PrimaryContext, primary_context
from edgerd.errors import DeviceError, DeviceLostError, EdgerdError, MissingDependencyError

Wait = Literal["blocking", "spinning"]
"""How a thread waits for the GPU: asleep ("blocking"), or in a busy loop ("spinning"), which is faster but costs a CPU
core."""

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
    """The GPU as this process uses it. Everything but writing to pinned memory happens in the thread that opened it.

    It is the first GPU that CUDA sees; the environment variable CUDA_VISIBLE_DEVICES chooses another one.

    Attributes:
        driver: The driver library.
        cuda: The module `pycuda.driver`.
        name: The GPU's name.
        capability: Its compute capability, (9, 0).
        maps_host_memory: True where GPU and CPU share their memory (Jetson), so that it is mapped, not copied.
        is_lost: True after an error after which every call fails.
    """

    def __init__(self) -> None:
        """Open the GPU. Threads wait for it asleep, until `wait_by` says otherwise.

        Raises:
            MissingDependencyError: No driver, GPU, permission or pycuda.
            DeviceError: The GPU refuses.
        """
        self.driver = Driver()
        self.driver.initialise()
        self.cuda = import_pycuda()
        self.is_lost = False
        self._kept: list[object] = []
        self._thread = threading.get_ident()
        with self.errors():
            self.cuda.init()
            handle = self.cuda.Device(DEVICE_NUMBER)
            self.name: str = handle.name()
            self.capability: tuple[int, int] = handle.compute_capability()
            attribute = self.cuda.device_attribute
            self.maps_host_memory = bool(
                handle.get_attribute(attribute.INTEGRATED) and handle.get_attribute(attribute.CAN_MAP_HOST_MEMORY)
            )
            self.wait_by("blocking")
            self._primary: PrimaryContext | None = primary_context(self.cuda)
            self._primary.enter()

    @contextlib.contextmanager
    def errors(self) -> Iterator[None]:
        """Turn pycuda's exceptions inside the block into edgerd's.

        Raises:
            DeviceLostError: The GPU no longer answers.
            DeviceError: The GPU refused a call, or does not have enough memory.
        """
        try:
            yield
        except self.cuda.Error as error:
            raise self._noted(self.driver.error_of(str(error))) from error

    def check(self, code: int, call: str) -> None:
        """Raise the error for a result code of `driver.library`, if it is one.

        Args:
            code: What a function of the library returned; 0 is success.
            call: Name of the function, for the message.

        Raises:
            DeviceLostError: The GPU no longer answers.
            DeviceError: The GPU refused the call, or does not have enough memory.
        """
        if code:
            raise self._noted(self.driver.error(code, call))

    def stream(self) -> Any:
        """A new `pycuda.driver.Stream` that is independent of the default stream.

        So a copy that a library makes on the default stream does not break a capture on this one, nor the other way.

        Raises:
            DeviceError: The GPU refuses or is lost, or this is not the thread that opened the context.
        """
        self.check_thread()
        with self.errors():
            return self.cuda.Stream(_NON_BLOCKING)

    def wait_by(self, wait: Wait) -> None:
        """Choose how everything in this process waits for the GPU; a driver that refuses is not an error."""
        self.driver.library.cuDevicePrimaryCtxSetFlags_v2(DEVICE_NUMBER, _WAIT_FLAGS[wait])

    def synchronise(self, stream: Any) -> None:
        """Wait for everything that was enqueued on a stream; its errors are raised here.

        Raises:
            DeviceError: The GPU refused something, or is lost.
        """
        with self.errors():
            stream.synchronize()

    def close(self) -> None:
        """Release the GPU; safe to call twice. Free memory, graphs and streams first."""
        if self._primary is None:
            return
        self.check_thread()
        primary, self._primary = self._primary, None
        if not self.is_lost:
            # leaving may find that the GPU is lost: then its context is abandoned below
            with contextlib.suppress(DeviceLostError), self.errors():
                primary.leave()
                return
        with contextlib.suppress(DeviceLostError), self.errors():
            primary.abandon()
        self._kept.clear()

    def keep(self, items: Iterable[object]) -> None:
        """Hold objects that a lost GPU cannot free until `close`; freed earlier, pycuda prints an error for each."""
        self._kept.extend(items)

    def _noted(self, error: EdgerdError) -> EdgerdError:
        self.is_lost = self.is_lost or isinstance(error, DeviceLostError)
        return error

    def check_thread(self) -> None:
        """Refuse other threads than the one that opened the GPU.

        Raises:
            DeviceError: This is another thread.
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
