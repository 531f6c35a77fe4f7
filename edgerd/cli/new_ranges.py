"""Range pictures from a folder, for the commands that make INT8 graphs."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import click

from edgerd.bundle.bundle import Bundle
from edgerd.calibration.new_ranges import UnsavedBundle, engines_of_older_graphs, with_range_pictures
from edgerd.calibration.range_pictures import range_pictures_from_folder, threshold_of
from edgerd.cli.console import quoted, say, warn
from edgerd.data.pictures import load_bundle_pictures
from edgerd.precision.preset import Preset
from edgerd.types import UInt8Array

ranges_option = click.option(
    "--ranges",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Find INT8 ranges from these pictures of good parts; they replace those in the bundle.",
)


def bundle_with_ranges(
    bundle: Bundle, folder: Path, preset: Preset | None, gate_pictures: Iterable[UInt8Array] = ()
) -> UnsavedBundle:
    """Take range pictures from a folder, and print what a person should know of them.

    Args:
        bundle: A calibrated bundle.
        folder: Pictures of good parts.
        preset: Has the number of pictures to take; None for `Preset()`.
        gate_pictures: Pictures that the gate judges on beside the bundle's held-out ones, each uint8 (T, H, W, 3).
            Ranges are found from neither.

    Returns:
        The bundle with the new range pictures, not saved yet.

    Raises:
        BundleError: The bundle is not calibrated.
        InputError: The folder does not hold enough pictures of good parts.
    """
    manifest, threshold = bundle.manifest, threshold_of(bundle)
    say(f"Looking for range pictures in {folder}.")
    held_out = [*load_bundle_pictures(bundle, manifest.holdout, manifest.preprocess), *gate_pictures]
    found = range_pictures_from_folder(bundle, folder, (preset or Preset()).n_pictures, held_out)
    for note in found.notes(threshold):
        warn(note)
    say(f"INT8 ranges are found from {len(found.names)} of its {found.n_found} pictures.")
    return with_range_pictures(bundle, found)


def say_what_became_of_older_graphs(before: Bundle, after: Bundle) -> None:
    """Name the typed graphs that left the bundle with the old ranges, and the engines that go on with one of them.

    Args:
        before: The bundle that `bundle_with_ranges` gave, or that was opened.
        after: The bundle that was saved.
    """
    dropped = before.dropped if isinstance(before, UnsavedBundle) else ()
    gone = [name for name in dropped if name not in after.manifest.files]
    if gone:
        say(
            f"Left out, since they were made from the old range pictures: {', '.join(gone)}. Graphs for other machines "
            f"are written again by edgerd quantize {quoted(after.path)}"
        )
    for engine in engines_of_older_graphs(after.manifest):
        runtime, precision = engine.split()
        warn(
            f"{engine} was built from an older graph and goes on with it. Build it again: edgerd build-engine "
            f"{quoted(after.path)} --runtime {runtime} --precision {precision}"
        )
