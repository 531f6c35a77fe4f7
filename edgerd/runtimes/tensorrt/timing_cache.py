"""Keep what earlier builds measured, so that TensorRT does not time the same kernels on the same layers again.

The file is TensorRT's own format, so that trtexec reads and writes it too.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import tensorrt as trt

from edgerd.cuda.properties import GpuProperties
from edgerd.errors import InputError, StorageError
from edgerd.paths import cache_folder, exists
from edgerd.runtimes.tensorrt.log import Log, refusal
from edgerd.runtimes.tensorrt.values import content_of
from edgerd.storage import replaced_file, storage_errors

_ANOTHER_FILE = "Choose another file with --timing-cache."


class TimingCache:
    """One file of timings.

    Args:
        file: Where the timings are kept; it must be writable. None for the file in the user's cache for this GPU and
            TensorRT, which need not be: a line says so, and kernels are timed again.
        gpu: The GPU that is built on.
        say: Called with the reason why timings are not used or kept.
    """

    def __init__(self, file: Path | None, gpu: GpuProperties, say: Callable[[str], None]) -> None:
        self._is_named = file is not None
        self._say = say
        self._stored = b""
        self.file = file or cache_folder() / "tensorrt" / _usual_name(gpu)

    def give_to(self, config: trt.IBuilderConfig, log: Log) -> None:
        """Read the file, and let a build use it.

        Raises:
            StorageError: A named file cannot be read or written.
            InputError: A named file holds something else.
        """
        self._stored = self._read()
        if _is_taken(config, self._stored):
            return
        log.take()
        if self._is_named and self._stored:  # it may be any file of the user's, so it is not replaced
            raise InputError(
                f"{self.file} holds no timings of this GPU and TensorRT {trt.__version__}.",
                expected="a timing cache that was made here, or no file yet",
                hint=_ANOTHER_FILE,
            )
        self._say(f"{self.file} is damaged, or of another GPU or TensorRT; kernels are timed again.")
        if not _is_taken(config, b""):
            raise refusal(log.take(), "take an empty timing cache")

    def take_from(self, config: trt.IBuilderConfig) -> None:
        """Write what a build has measured, also one that was stopped.

        Raises:
            StorageError: The file was named and cannot be written.
        """
        cache = config.get_timing_cache()
        memory = cache.serialize() if cache else None
        timings = content_of(memory) if memory else b""
        if timings and timings != self._stored:
            self._write(timings)

    def _read(self) -> bytes:
        try:
            stored = self.file.read_bytes() if exists(self.file) else b""
        except OSError as error:
            if self._is_named:  # a file that cannot be read must not be replaced
                raise StorageError(
                    f"{self.file} could not be read: {error.strerror}.",
                    expected="a file of timings, or none yet",
                    hint=_ANOTHER_FILE,
                ) from error
            stored = b""
            self._say(f"{self.file} cannot be read ({error.strerror}); kernels are timed again.")
        if self._is_named:
            self._write(stored)  # a file that cannot be written is found now, not after minutes
        return stored

    def _write(self, timings: bytes) -> None:
        try:
            with replaced_file(self.file) as part:
                part.write_bytes(timings)
        except OSError as error:
            if self._is_named:
                with storage_errors(self.file, _ANOTHER_FILE):
                    raise
            self._say(f"Timings are not kept for the next build: {self.file} cannot be written ({error.strerror}).")


def _is_taken(config: trt.IBuilderConfig, timings: bytes) -> bool:
    cache = config.create_timing_cache(timings)
    return bool(cache) and bool(config.set_timing_cache(cache, ignore_mismatch=False))


def _usual_name(gpu: GpuProperties) -> str:
    name = re.sub(r"\W+", "-", gpu.model).strip("-").lower()
    return f"{name}-{gpu.architecture}-{trt.__version__}.timing"
