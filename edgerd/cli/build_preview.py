"""What `edgerd build-engine` prints instead of building: a dry run, or the commands for another device."""

from __future__ import annotations

from edgerd.building.engine import combinations
from edgerd.building.target import load_target, steps_for
from edgerd.building.typed_graph import typed_graph
from edgerd.bundle.bundle import Bundle
from edgerd.cli.build_progress import runtimes_for
from edgerd.cli.console import say
from edgerd.cli.tensorrt_options import TensorRtChoice
from edgerd.errors import BundleError, MissingDependencyError
from edgerd.runtimes.tensorrt.runtime import TensorRt


def print_dry_run(bundle: Bundle, runtime: str, precision: str, choice: TensorRtChoice) -> None:
    """Print what would be built.

    Args:
        bundle: The bundle that it would be built for.
        runtime: An entry of `RUNTIMES`, or "auto".
        precision: A precision, or "auto".
        choice: The options for TensorRT.

    Raises:
        InputError: This machine does not run the precision.
        MissingDependencyError: The runtime, or what makes its graph, is not installed.
        BundleError: The graph cannot be made, or not read.
        DeviceError: TensorRT does not start.
    """
    with runtimes_for(choice) as (runtime_of, _):
        for name, kind in combinations(runtime, precision, runtime_of):
            made = runtime_of(name)
            try:
                graph = typed_graph(bundle, kind, made.probe().int8_flavour)
            except (BundleError, MissingDependencyError) as error:
                if precision != "auto":
                    raise
                say(f"{name} {kind}: would be left out. {error.what}")
                continue
            origin = "which would be made" if graph.file in graph.new_files else "from the bundle"
            say(f"{name} {kind}: from {graph.file}, {origin}")
            for line in made.dry_run(graph.content, kind) if isinstance(made, TensorRt) else ():
                say(f"  {line}")
        described = runtime_of(TensorRt.name)
        if isinstance(described, TensorRt) and described.probe().usable:
            say("This device, as a file for --target on another machine:")
            for line in described.target_lines():
                say(f"  {line}")
    say("Nothing was built.")


def print_target(bundle: Bundle, precision: str, choice: TensorRtChoice) -> None:
    """Print the commands that get an engine built on another device; nothing where the choice names no device.

    Args:
        bundle: The bundle that goes to the device; typed graphs that it lacks are added to it.
        precision: A precision, or "auto".
        choice: The options for TensorRT, with the device's file.

    Raises:
        InputError: The file cannot be used, or the device cannot do what the options ask for.
        BundleError: A graph can neither be found nor made.
        MissingDependencyError: What makes typed graphs is not installed.
        StorageError: The bundle cannot be written.
    """
    if choice.target is None:
        return
    steps = steps_for(bundle, load_target(choice.target), precision, choice.options)
    for line in steps.notes:
        say(line)
    say("Graphs in the bundle, ready to copy:")
    for name in steps.graphs:
        record = steps.bundle.manifest.files[name]
        say(f"  {name}  {record.n_bytes / 1e6:.1f} MB  sha256 {record.sha256[:16]}...")
    for heading, commands in (("Here:", steps.copy), ("On the device:", steps.there)):
        say(heading)
        for command in commands:
            say(f"  {command}")
