"""Compiled kernels, kept in the user's cache: a device compiles once, and needs no compiler after that."""

from __future__ import annotations

import contextlib
import hashlib
from importlib import resources
from pathlib import Path

from edgerd.cuda.kernels.compilers import OPTIONS, compile_cubin
from edgerd.storage import cache_folder, replaced_file

_SOURCE = "preprocess.cu"


def cubin(capability: tuple[int, int], *, fresh: bool = False) -> bytes:
    """The preprocessing kernels for a GPU.

    The key is a hash over source, architecture and options, not over the compiler: what one toolkit made serves all,
    and may be copied to a device without one. A cache that cannot be read or written costs two seconds per start,
    no more.

    Args:
        capability: The GPU's compute capability.
        fresh: True to compile although there is a kept one, because it is damaged.

    Raises:
        MissingDependencyError: There is none kept, and no compiler for this GPU.
    """
    source, architecture = kernel_source(), architecture_of(capability)
    file = cubin_file(capability)
    if not fresh:
        with contextlib.suppress(OSError):
            return file.read_bytes()
    image = compile_cubin(source, architecture)
    with contextlib.suppress(OSError), replaced_file(file) as stage:
        stage.write_bytes(image)
    return image


def kernel_source() -> str:
    """The text of `preprocess.cu`."""
    return (resources.files(__package__) / _SOURCE).read_text(encoding="utf-8")


def architecture_of(capability: tuple[int, int]) -> str:
    """What compilers call a compute capability: "sm_87"."""
    return "sm_{}{}".format(*capability)


def cubin_file(capability: tuple[int, int]) -> Path:
    """Where the kernels for a GPU are kept."""
    architecture = architecture_of(capability)
    digest = hashlib.sha256("\0".join((kernel_source(), architecture, *OPTIONS)).encode()).hexdigest()
    return cache_folder() / "kernels" / f"preprocess.{architecture}.{digest[:16]}.cubin"
