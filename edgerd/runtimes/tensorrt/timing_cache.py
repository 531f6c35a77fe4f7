"""What earlier builds measured: TensorRT need not time the same kernels on the same layers again.

The file is TensorRT's own format, so that trtexec reads and writes it too.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import tensorrt as trt

from edgerd.cuda.properties import GpuProperties
from edgerd.errors import StorageError
from edgerd.runtimes.tensorrt.log import Log, made
from edgerd.runtimes.tensorrt.values import content_of
from edgerd.storage import cache_folder, replaced_file, storage_errors

_ANOTHER_FILE = "Choose another file with --timing-cache."


class TimingCache:
    """One file of timings.

    Args:
        file: None for the one in the user's cache for this GPU and TensorRT; that it cannot be read or written is said
            and is no error. One that is named must be writable.
        gpu: What is built on.
        say: Told why timings are not used.
    """

    def __init__(self, file: Path | None, gpu: GpuProperties, say: Callable[[str], None]) -> None:
        self._is_named = file is not None
        self._say = say
        self._stored = b""
        self.file = file or cache_folder() / "tensorrt" / _usual_name(gpu)

    def give_to(self, config: trt.IBuilderConfig, log: Log) -> None:
        """Read the file, and let a build use it.

        Raises:
            StorageError: The file was named and cannot be read or written.
        """
        self._stored = self._read()
        cache = config.create_timing_cache(self._stored)
        if not cache or not config.set_timing_cache(cache, ignore_mismatch=False):
            self._say(f"{self.file} is damaged, or of another GPU or TensorRT; timing starts anew.")
            log.take()
            empty = made(config.create_timing_cache(b""), log, "make a timing cache")
            config.set_timing_cache(empty, ignore_mismatch=False)

    def take_from(self, config: trt.IBuilderConfig) -> None:
        """Write what a build has measured, also one that was stopped.

        Raises:
            StorageError: The file was named and cannot be written.
        """
        timings = content_of(config.get_timing_cache().serialize())
        if timings != self._stored:
            self._write(timings)

    def _read(self) -> bytes:
        try:
            stored = self.file.read_bytes() if self.file.exists() else b""
        except OSError as error:
            if self._is_named:  # it must not be replaced by an empty one
                raise StorageError(
                    f"{self.file} could not be read: {error.strerror}.",
                    expected="a file of timings, or none yet",
                    hint=_ANOTHER_FILE,
                ) from error
            stored = b""
            self._say(f"{self.file} cannot be read ({error.strerror}); timing starts anew.")
        if self._is_named:
            self._write(stored)  # better refused now than after minutes
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


def _usual_name(gpu: GpuProperties) -> str:
    name = re.sub(r"\W+", "-", gpu.model).strip("-").lower()
    return f"{name}-{gpu.architecture}-{trt.__version__}.timing"
