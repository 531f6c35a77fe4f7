"""Compiled kernels, kept in the user's cache folder: a device compiles once, and needs no compiler after that."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

from edgerd.cuda.kernels.compilers import OPTIONS, compile_cubins
from edgerd.paths import cache_folder
from edgerd.storage import replaced_file

_SOURCE = "preprocess.cu"


def cubins(capability: tuple[int, int]) -> Iterator[bytes]:
    """The preprocessing kernels for a GPU: the cubin in the cache, then one per compiler, each of which replaces it.

    Use the first one that the driver loads: it refuses damaged ones, and those of a CUDA newer than its own. The key in
    the cache is a hash over source, architecture and options, but not over the compiler, so that a cubin may be copied
    to a device without a toolkit. A cache that cannot be read or written costs two seconds at each start, no more.

    Args:
        capability: The GPU's compute capability.

    Raises:
        MissingDependencyError: The cache has no cubin, or not the right one, and there is no compiler for this GPU.
    """
    file = cubin_file(capability)
    kept = None
    with contextlib.suppress(OSError):
        kept = file.read_bytes()
    if kept is not None:
        yield kept
    for image in compile_cubins(kernel_source(), architecture_of(capability)):
        with contextlib.suppress(OSError), replaced_file(file) as stage:
            stage.write_bytes(image)
        yield image


def kernel_source() -> str:
    """The text of `preprocess.cu`."""
    return (resources.files(__package__) / _SOURCE).read_text(encoding="utf-8")


def architecture_of(capability: tuple[int, int]) -> str:
    """A compute capability as compilers write it: "sm_87"."""
    return "sm_{}{}".format(*capability)


def cubin_file(capability: tuple[int, int]) -> Path:
    """The file in the cache for the kernels of a GPU; it need not exist."""
    architecture = architecture_of(capability)
    digest = hashlib.sha256("\0".join((kernel_source(), architecture, *OPTIONS)).encode()).hexdigest()
    return cache_folder() / "kernels" / f"preprocess.{architecture}.{digest[:16]}.cubin"
