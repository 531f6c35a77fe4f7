"""The record that is kept beside a plan: how it was built, and what TensorRT made of its layers."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import ValidationError

from edgerd.bundle.manifest import Record
from edgerd.errors import BundleDamagedError
from edgerd.runtimes.interface import unreadable
from edgerd.runtimes.tensorrt.layers import LayerReport
from edgerd.runtimes.tensorrt.options import BuildOptions

BUILD_FILE = "build.json"


class BuildRecord(Record):
    """How an engine was built; on which GPU and with which version is in the engine's key."""

    options: BuildOptions
    """What the builder was told."""
    build_s: float
    """Seconds that the builder took."""
    layers: LayerReport
    """The precision of each layer, and how long it takes."""

    def to_bytes(self) -> bytes:
        """The record as the bundle stores it, JSON."""
        return self.model_dump_json(indent=1).encode()


def build_record(files: Mapping[str, bytes]) -> BuildRecord:
    """Read the record among an engine's files.

    Raises:
        BundleDamagedError: There is none, or it does not hold together.
    """
    if BUILD_FILE not in files:
        raise BundleDamagedError(
            f"The engine has no {BUILD_FILE}.",
            expected="an engine as edgerd build-engine wrote it",
            hint="Build it again: edgerd build-engine --runtime tensorrt",
        )
    try:
        return BuildRecord.model_validate_json(files[BUILD_FILE])
    except ValidationError as error:
        raise unreadable(BUILD_FILE, ValueError(error.errors()[0]["msg"])) from error
