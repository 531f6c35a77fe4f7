"""The CUDA driver through ctypes: calls that pycuda lacks, and result codes, which its exceptions do not carry.

Signatures and codes: cuda.h (https://docs.nvidia.com/cuda/cuda-driver-api/). Names are those that the library exports,
with `_v2` where the header's macros add it; streams are never the default one, so the `_ptsz` variants do not matter.
"""

from __future__ import annotations

import ctypes
import os
from ctypes import POINTER, c_char_p, c_int, c_uint, c_ulonglong, c_void_p
from pathlib import Path

from edgerd.errors import DeviceError, DeviceLostError, DeviceNotReadyError, EdgerdError, MissingDependencyError

LIBRARY = "libcuda.so.1"

_SIGNATURES = {
    "cuInit": (c_uint,),
    "cuDriverGetVersion": (POINTER(c_int),),
    "cuGetErrorString": (c_int, POINTER(c_char_p)),
    "cuDevicePrimaryCtxSetFlags_v2": (c_int, c_uint),
    "cuModuleLoadData": (POINTER(c_void_p), c_char_p),
    "cuModuleGetFunction": (POINTER(c_void_p), c_void_p, c_char_p),
    "cuModuleUnload": (c_void_p,),
    "cuLaunchKernel": (c_void_p, *[c_uint] * 7, c_void_p, POINTER(c_void_p), POINTER(c_void_p)),
    "cuStreamBeginCapture_v2": (c_void_p, c_int),
    "cuStreamIsCapturing": (c_void_p, POINTER(c_int)),
    "cuStreamEndCapture": (c_void_p, POINTER(c_void_p)),
    "cuGraphInstantiateWithFlags": (POINTER(c_void_p), c_void_p, c_ulonglong),
    "cuGraphLaunch": (c_void_p, c_void_p),
    "cuGraphExecDestroy": (c_void_p,),
    "cuGraphDestroy": (c_void_p,),
}
"""Arguments of the functions, which all return a CUresult. `cuGraphInstantiateWithFlags` needs CUDA 11.4."""

_SUCCESS = 0
_OUT_OF_MEMORY = 2
_LOST = {
    4: "the driver is shutting down",
    214: "its memory has an error that cannot be corrected",
    220: "its NVLink has an error that cannot be corrected",
    226: "a fault was contained",
    304: "the operating system refused",
    700: "an illegal memory access",
    702: "a kernel took too long",
    709: "its context is destroyed",
    710: "an assertion in a kernel",
    714: "a hardware stack error",
    715: "an illegal instruction",
    716: "a misaligned address",
    717: "an invalid address space",
    718: "an invalid program counter",
    719: "a kernel failed",
    721: "a kernel left tensor memory behind",
    810: "the MPS server ended this process's use of it",
    911: "an external device failed",
    999: "an unknown error",
}
"""Result codes after which every call on the context fails (cuda.h: "leaves the process in an inconsistent state")."""

_DEVICE_NODES = ("nvidiactl", "nvidia[0-9]*", "nvmap", "nvhost-gpu", "nvhost-ctrl-gpu", "nvgpu/*/ctrl")
"""Files below /dev that the driver opens: the first two on a PC, the others on a Jetson."""
_DEV = Path("/dev")

_INIT_FAILURES = {
    3: (
        "This process was forked from one that had already used the GPU.",
        'Start processes anew instead: multiprocessing.set_start_method("spawn").',
    ),
    34: (
        "The libcuda.so.1 that was found is the toolkit's empty stub, not the driver.",
        "Take the toolkit's stubs folder out of LD_LIBRARY_PATH.",
    ),
    100: (
        "The CUDA driver finds no GPU.",
        "Check `nvidia-smi` (on a Jetson `tegrastats`) and CUDA_VISIBLE_DEVICES; start containers with --gpus all "
        "(on a Jetson --runtime nvidia).",
    ),
    802: ("The CUDA driver is not ready yet.", "Wait for the system to come up; NVSwitch machines need fabricmanager."),
    803: (
        "The CUDA driver's library and its kernel module have different versions.",
        "Reboot, or update the driver; in a container the host's driver must be mounted whole.",
    ),
    804: (
        "This GPU cannot be used with the forward compatibility package that is installed.",
        "Remove the package cuda-compat, or update the driver.",
    ),
    805: (
        "The MPS server, through which programs share this GPU, does not answer.",
        "Start it (`nvidia-cuda-mps-control -d`) as this user, or stop it and unset CUDA_MPS_PIPE_DIRECTORY.",
    ),
}
_MAY_PASS = {802, 805}
"""Failures that may end by themselves when the machine has booted."""
_INSTALL_DRIVER = "Install the NVIDIA driver (on a Jetson it comes with JetPack); start containers with --gpus all."


class Driver:
    """The driver library, loaded.

    Attributes:
        library: Its functions, with signatures; each returns a CUresult, 0 for success.

    Raises:
        MissingDependencyError: There is no driver, or one without a function that is needed.
    """

    def __init__(self) -> None:
        try:
            self.library = ctypes.CDLL(LIBRARY)
        except OSError as error:
            raise MissingDependencyError(f"There is no CUDA driver: {error}.", hint=_INSTALL_DRIVER) from error
        try:
            for name, arguments in _SIGNATURES.items():
                function = getattr(self.library, name)
                function.argtypes, function.restype = arguments, c_int
        except AttributeError as error:
            raise MissingDependencyError(
                f"The CUDA driver is too old: {error}.", expected="CUDA 11.4 or newer", hint="Update the NVIDIA driver."
            ) from error

    def initialise(self) -> None:
        """Start the driver in this process.

        Raises:
            MissingDependencyError: No GPU, no permission to use it, or a driver that does not fit.
            DeviceNotReadyError: The driver is there but does not answer yet, or for reasons that it does not say.
        """
        code = self.library.cuInit(0)
        if code == _SUCCESS:
            return
        node = forbidden_node()
        if node:
            raise MissingDependencyError(
                f"This user may not use the GPU: {node} cannot be opened.",
                hint="sudo usermod -aG video,render $USER, then log in again; in a container add the device.",
            )
        what, hint = _INIT_FAILURES.get(
            code, (f"The CUDA driver does not start: {self.describe(code)}.", "Reboot, then look at `dmesg`.")
        )
        error = DeviceNotReadyError if code in _MAY_PASS or code not in _INIT_FAILURES else MissingDependencyError
        raise error(what, expected="a GPU that CUDA can use", hint=hint)

    def cuda_version(self) -> tuple[int, int]:
        """The newest version of CUDA that the driver supports: (12, 6)."""
        number = c_int()
        self.library.cuDriverGetVersion(ctypes.byref(number))
        return number.value // 1000, number.value % 1000 // 10

    def error(self, code: int, call: str) -> EdgerdError:
        """The error for a CUresult other than 0 of the function `call`."""
        if code in _LOST:
            return DeviceLostError(
                f"The GPU is lost: {_LOST[code]}, seen in {call} (CUDA error {code}).",
                hint="Start again; if it happens again, look at `dmesg` for Xid messages, and check power and heat.",
            )
        if code == _OUT_OF_MEMORY:
            return DeviceError(
                f"The GPU does not have enough memory, in {call}.",
                hint="Stop other programs that use it, or take fewer slots, tiles or cameras.",
            )
        return DeviceError(f"The GPU refused {call}: {self.describe(code)}.", hint="edgerd doctor")

    def error_of(self, message: str) -> EdgerdError:
        """The error for a pycuda exception, whose text is "<call> failed: <driver's description>[ - <more>]"."""
        call, _, description = message.partition(" failed: ")
        for code in (*_LOST, _OUT_OF_MEMORY):
            if description and description.startswith(self._text(code)):
                return self.error(code, call)
        return DeviceError(f"The GPU refused {call}: {description or 'no reason given'}.", hint="edgerd doctor")

    def describe(self, code: int) -> str:
        """The driver's own words for a CUresult, and its number."""
        return f"{self._text(code)} (CUDA error {code})"

    def _text(self, code: int) -> str:
        text = c_char_p()
        self.library.cuGetErrorString(code, ctypes.byref(text))
        return text.value.decode(errors="replace") if text.value else f"error {code}"


def device_nodes() -> list[Path]:
    """The files through which the driver reaches GPUs; empty where there are none."""
    return [node for pattern in _DEVICE_NODES for node in sorted(_DEV.glob(pattern))]


def forbidden_node() -> Path | None:
    """The first of the driver's device files that this user may not open; None where all may be opened."""
    return next((node for node in device_nodes() if not os.access(node, os.R_OK | os.W_OK)), None)
