"""What to do on another device to get its engine there: engines are not portable, typed graphs are."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from shlex import quote

from pydantic import Field, ValidationError

from edgerd.building.typed_graph import typed_graph
from edgerd.bundle.bundle import Bundle
from edgerd.bundle.manifest import GRAPH_FILE, Record
from edgerd.errors import InputError
from edgerd.paths import is_file, why_missing
from edgerd.precision import tensorrt
from edgerd.runtimes.tensorrt.options import (
    DLA_AGAIN_FROM,
    DLA_PRECISIONS,
    DLA_VERSIONS,
    NO_DLA_FROM,
    OLDEST_CAPABILITY,
    OLDEST_VERSION,
    PRECISIONS,
    BuildOptions,
    refuse_impossible,
)

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_EXPECTED = "a TOML file with name, compute_capability and tensorrt; where they are known memory_gb and dla_cores"
_EXAMPLE = (
    'For instance name = "Orin NX", compute_capability = "8.7", tensorrt = "10.3.0", a line each; on the device '
    "`edgerd build-engine --runtime tensorrt --dry-run` prints these lines."
)


class Target(Record):
    """Another device, as its TOML file says."""

    name: str = Field(min_length=1)
    """What people call it: "line 3, Orin NX"."""
    compute_capability: str = Field(pattern=r"^\d+\.\d$")
    """The compute capability that NVIDIA states for its GPU: "8.7"."""
    tensorrt: str = Field(pattern=r"^\d+\.\d+(\.\d+)*$")
    """The version of TensorRT that is installed there: "10.3.0"."""
    memory_gb: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """The GPU's memory; on a Jetson all of the memory, which CPU and GPU share."""
    dla_cores: int = Field(default=0, ge=0)
    """How many deep learning accelerators it has."""


@dataclass(frozen=True)
class TargetSteps:
    """What has to be done on this machine and on the device.

    Attributes:
        bundle: The bundle with the typed graphs that the device needs.
        graphs: File names of these graphs.
        copy: Commands to type on this machine.
        there: Commands to type on the device.
        notes: What a person should know before.
    """

    bundle: Bundle
    graphs: tuple[str, ...]
    copy: tuple[str, ...]
    there: tuple[str, ...]
    notes: tuple[str, ...]


def load_target(file: Path) -> Target:
    """Read a device's properties.

    Raises:
        InputError: The file cannot be read, is not TOML, or says something else.
    """
    if not is_file(file):
        raise InputError(why_missing(file, "file"), expected=_EXPECTED, hint=_EXAMPLE)
    try:
        content = file.read_bytes()
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror}.", hint="Check its permissions.") from error
    try:
        return Target.model_validate(tomllib.loads(content.decode("utf-8-sig")))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise InputError(f"{file}: {where}: {first['msg']}.", expected=_EXPECTED, hint=_EXAMPLE) from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"{file} is not TOML: {error}.", expected=_EXPECTED, hint=_EXAMPLE) from error


def steps_for(bundle: Bundle, target: Target, precision: str, options: BuildOptions | None = None) -> TargetSteps:
    """Put the typed graphs that a device needs into a bundle, and say what to do with it.

    Args:
        bundle: A calibrated bundle; it is saved anew where a graph was missing.
        target: The device.
        precision: One of `PRECISIONS`, or "auto".
        options: What was given to `edgerd build-engine` and is to be given again on the device; None for the usual.

    Raises:
        InputError: The device cannot do what the options ask for.
        BundleError: A graph can neither be found nor made.
        MissingDependencyError: What makes typed graphs is not installed.
        StorageError: The bundle cannot be written.
    """
    options = options or BuildOptions()
    _check(target, precision, options)
    usual = PRECISIONS if options.dla_core is None else DLA_PRECISIONS
    precisions = usual if precision == "auto" else (precision,)
    graphs = [typed_graph(bundle, kind, tensorrt.FLAVOUR) for kind in precisions]
    new_files = {name: content for graph in graphs for name, content in graph.new_files.items()}
    if new_files:
        bundle = bundle.save_with(bundle.manifest, new_files)
    path = quote(str(bundle.path))
    name = quote(bundle.path.resolve().name)
    command = f"edgerd build-engine {name} --runtime tensorrt --precision {precision} {options.flags}".rstrip()
    return TargetSteps(
        bundle=bundle,
        graphs=tuple(dict.fromkeys([GRAPH_FILE, *(graph.file for graph in graphs)])),
        copy=(f"rsync -a {path}/ DEVICE:{name}/",),  # with every file that the manifest lists
        there=('pip install "edgerd[tensorrt]"', "edgerd doctor", command),
        notes=_notes(bundle, target),
    )


def _check(target: Target, precision: str, options: BuildOptions) -> None:
    if precision not in (*PRECISIONS, "auto"):
        raise InputError(
            f"TensorRT graphs have no {precision}.",
            expected=f"one of {', '.join(PRECISIONS)}",
            hint="Choose one with --precision.",
        )
    major, minor = (int(part) for part in target.compute_capability.split("."))
    if (major, minor) < OLDEST_CAPABILITY:
        raise InputError(
            f"{target.name} has compute capability {target.compute_capability}.",
            expected="7.5 or later, as TensorRT 10 and 11 need it",
            hint="Use --runtime onnxruntime there.",
        )
    refuse_impossible(options, precision, (major, minor))
    dla_core = options.dla_core
    if dla_core is not None and dla_core >= target.dla_cores:
        raise InputError(
            f"{target.name} has no DLA core {dla_core}: its file says {target.dla_cores}.",
            expected="--dla-core below that number",
            hint="Leave --dla-core out, or set dla_cores in the file.",
        )
    version = tuple(int(part) for part in target.tensorrt.split("."))
    if version < OLDEST_VERSION:
        raise InputError(
            f"{target.name} has TensorRT {target.tensorrt}.",
            expected="10.3 or later: JetPack 6.1 or later on a Jetson",
            hint="Update JetPack, or use --runtime onnxruntime there.",
        )
    if dla_core is not None and NO_DLA_FROM <= version < DLA_AGAIN_FROM:
        raise InputError(
            f"TensorRT {target.tensorrt} has no DLA.",
            expected=DLA_VERSIONS,
            hint="Leave --dla-core out to build for the GPU.",
        )


def _notes(bundle: Bundle, target: Target) -> tuple[str, ...]:
    size = f", {target.memory_gb:g} GB" if target.memory_gb else ""
    device = f"{target.name}: compute capability {target.compute_capability}, TensorRT {target.tensorrt}{size}"
    if bundle.manifest.holdout or bundle.manifest.ranges:
        return (device,)
    return (device, "The bundle has no pictures: add --calibration DATA there, the gate judges the engine on them.")
