"""The options of a TensorRT build, and which of them go together."""

from __future__ import annotations

import re

from pydantic import Field, field_validator

from edgerd.bundle.manifest import Record
from edgerd.errors import InputError

PRECISIONS = ("fp32", "fp16", "int8")
"""The precisions of engines, slowest first."""
DLA_PRECISIONS = ("fp16", "int8")
"""The precisions that a deep learning accelerator computes in."""
OLDEST_VERSION = (10, 3)
"""The oldest version of TensorRT that is supported; JetPack 6.1 has it."""
OLDEST_CAPABILITY = (7, 5)
"""The lowest compute capability that TensorRT 10 and 11 support, and the first with INT8 tensor cores."""
NO_DLA_FROM, DLA_AGAIN_FROM = (10, 8), (11, 4, 1)
"""TensorRT 10.7 was the last 10.x with DLA, 11.4.1 is the next that has it on a Jetson ("Working with DLA", 11.4.1)."""
DLA_VERSIONS = "TensorRT up to 10.7 or from 11.4.1 on"
_AMPERE = (8, 0)

Batches = tuple[int, int, int]
"""Smallest, usual and largest number of tiles in one run; the engine is tuned for the usual one."""


class BuildOptions(Record):
    """How an engine is built; two with the same options, graph, TensorRT and GPU are interchangeable."""

    profile: Batches = (1, 1, 1)
    workspace_mib: int | None = Field(default=None, ge=1)
    """Memory that a layer may use beside its tensors; None for all of the GPU's, which is TensorRT's default."""
    opt_level: int | None = Field(default=None, ge=0, le=5)
    """How thoroughly the builder looks for fast kernels, 0 to 5; None for TensorRT's default, 3."""
    hardware_compatible: bool = False
    """The engine runs on every GPU from Ampere on, on the same platform, more slowly."""
    version_compatible: bool = False
    """The engine runs with later versions of TensorRT too, more slowly; the plan carries its own code for that."""
    strip: bool = False
    """The plan is without weights; they are taken from the graph when it is loaded."""
    dla_core: int | None = Field(default=None, ge=0)
    """Number of the deep learning accelerator that takes the layers it can run; None for the GPU alone.

    It needs a fixed number of tiles.
    """

    @field_validator("profile")
    @classmethod
    def _rising(cls, profile: Batches) -> Batches:
        if not 1 <= profile[0] <= profile[1] <= profile[2]:
            raise ValueError("MIN <= OPT <= MAX, all at least 1")
        return profile

    @property
    def flags(self) -> str:
        """The options as one types them, without those that have their default."""
        named = (("workspace", self.workspace_mib), ("opt-level", self.opt_level), ("dla-core", self.dla_core))
        words = [f"--{name} {value}" for name, value in named if value is not None]
        if self.profile != (1, 1, 1):
            words.append("--profile " + ":".join(map(str, self.profile)))
        switches = ("hardware_compatible", "version_compatible", "strip")
        words += ["--" + name.replace("_", "-") for name in switches if getattr(self, name)]
        return " ".join(words)


def batches_from(text: str) -> Batches:
    """Read "MIN:OPT:MAX", or one number for all three.

    Raises:
        InputError: It is something else.
    """
    match = re.fullmatch(r"(\d+)(?::(\d+):(\d+))?", text)
    if match:
        low = int(match[1])
        batches = (low, int(match[2] or low), int(match[3] or low))
        if 1 <= low <= batches[1] <= batches[2]:
            return batches
    raise InputError(
        f"{text!r} is not a profile.",
        expected="MIN:OPT:MAX, tiles in one run, 1 <= MIN <= OPT <= MAX",
        hint="For instance --profile 1:4:8, or --profile 4 for exactly four.",
    )


def refuse_impossible(options: BuildOptions, precision: str, capability: tuple[int, int] | None = None) -> None:
    """Refuse what TensorRT builds on no device, or not on one of this compute capability.

    Args:
        options: What the engine would be built with.
        precision: The engine's precision, or "auto".
        capability: The GPU's compute capability; None where it is not known yet.

    Raises:
        InputError: It cannot be built so.
    """
    smallest, _, largest = options.profile
    if options.dla_core is not None and precision not in (*DLA_PRECISIONS, "auto"):
        raise InputError(
            f"A DLA does not compute in {precision}.",
            expected=f"{' or '.join(DLA_PRECISIONS)} with --dla-core",
            hint="Add --precision fp16, or leave --dla-core out.",
        )
    if options.dla_core is not None and smallest != largest:
        raise InputError(
            f"A DLA always runs the same number of tiles, not {smallest} to {largest}.",
            expected="MIN, OPT and MAX of --profile all the same with --dla-core",
            hint=f"For instance --profile {largest}.",
        )
    if options.version_compatible and options.strip:
        raise InputError(
            "--version-compatible and --strip do not go together: the runtime that such an engine brings along cannot "
            "give it weights.",
            expected="one of the two",
            hint="Leave --strip out.",
        )
    if options.hardware_compatible and capability is not None and capability < _AMPERE:
        raise InputError(
            f"--hardware-compatible is for GPUs from Ampere on; this one is sm_{capability[0]}{capability[1]}.",
            expected="a GPU of compute capability 8.0 or later",
            hint="Leave --hardware-compatible out.",
        )
