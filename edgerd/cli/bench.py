"""`edgerd bench`: milliseconds per frame, the engine's and everything around it."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import click
import cv2
import numpy as np

from edgerd.bundle.bundle import Bundle
from edgerd.bundle.manifest import RegionSpec
from edgerd.cameras.memory import MemoryCamera
from edgerd.cli.console import counted, print_latencies, speaker, warn, write_json
from edgerd.cli.doubts import warn_of_doubts
from edgerd.cli.main import INTERRUPTED
from edgerd.cli.options import (
    bundle_argument,
    device_options,
    json_option,
    precision_option,
    runtime_option,
    threads_option,
)
from edgerd.cli.progress import ProgressDisplay
from edgerd.data.aspect import without_padding
from edgerd.data.pictures import load_bundle_pictures
from edgerd.errors import InputError
from edgerd.inspection.gpu.options import DeviceOptions
from edgerd.inspection.inspector import Inspector
from edgerd.line.feed import Feed
from edgerd.line.line import Line
from edgerd.line.summary import Ended
from edgerd.types import UInt8Array


@click.command()
@bundle_argument
@runtime_option
@precision_option
@threads_option
@device_options
@click.option("--frame-size", default="1024x1024", show_default=True, metavar="WxH", help="Size of the frames, px.")
@click.option(
    "--max-frames", default=200, show_default=True, type=click.IntRange(1), help="How many frames to measure."
)
@json_option
def bench(
    bundle: Path,
    runtime: str | None,
    precision: str | None,
    threads: int,
    device: DeviceOptions,
    frame_size: str,
    max_frames: int,
    json_file: Path | None,
) -> None:
    """Measure BUNDLE's milliseconds per frame: a BGR frame in memory goes in, a verdict comes out.

    The frames are the bundle's own good pictures, enlarged, so that the time for a good part is measured.
    """
    say = speaker(json_file)
    opened, size = Bundle.open(bundle), _frame_size(frame_size)
    _check_region(opened.manifest.preprocess.region, *size)
    device = replace(device, profile=True)
    with Inspector.open(opened, runtime=runtime, precision=precision, threads=threads, device=device) as inspector:
        say(inspector.why)
        warn_of_doubts(opened, inspector.engine.key)
        frames = frames_of(opened, *size)
        # a line that does not renew itself: drawing would take time from what is measured
        with ProgressDisplay(ticks=False) as shown:
            shown.begin("warming up")
            inspector.warm_up()
            inspector.inspect(frames[0])  # slots and graphs are made for the first frame
            shown.begin(f"measuring {counted(max_frames, 'frame')}")
            (summary,) = Line([Feed(inspector, MemoryCamera(frames, max_frames))], profile=True).run()
    summary.raise_for_error()
    say(f"{counted(summary.frames, 'frame')} of {frame_size}, {counted(summary.threads, 'thread')}, {summary.device}")
    print_latencies(say, summary, with_capture=False)
    if summary.no_decision:
        were, are, their = ("was", "is", "its") if summary.no_decision == 1 else ("were", "are", "their")
        warn(
            f"{counted(summary.no_decision, 'frame')} {were} not judged and {are} not counted above: "
            f"{their} exposure is unlike the good pictures'."
        )
    if json_file:
        write_json(json_file, summary.to_json() | {"frame_size": frame_size})
    if summary.ended is Ended.INTERRUPTED:
        warn(f"Interrupted after {summary.frames} of {max_frames} frames.")
        raise click.exceptions.Exit(INTERRUPTED)


def frames_of(bundle: Bundle, width: int, height: int) -> list[UInt8Array]:
    """Up to eight good pictures of a bundle at the size of a camera's frame; where it has none, noise as bright.

    Returns:
        uint8 (height, width, 3) each.
    """
    spec, limits = bundle.manifest.preprocess, bundle.manifest.limits
    names = (bundle.manifest.holdout or bundle.manifest.ranges)[: 8 * spec.n_tiles]
    if names:
        pictures = [without_padding(tiles, spec)[0] for tiles in load_bundle_pictures(bundle, names, spec)]
    else:
        grey, deviation = (limits.mean_low + limits.mean_high) / 2, max(20.0, 4 * limits.contrast_low)
        noise = np.random.default_rng(0).normal(grey, deviation, (spec.height, spec.width, 1)).clip(0, 255)
        pictures = [noise.astype(np.uint8).repeat(3, axis=2)]
    return [_frame_of(picture, width, height, spec.region) for picture in pictures]


def _frame_of(picture: UInt8Array, width: int, height: int, region: RegionSpec | None) -> UInt8Array:
    """A picture at the frame's size; where only a region is inspected, the whole picture again inside it."""
    frame = np.ascontiguousarray(cv2.resize(picture, (width, height)), dtype=np.uint8)
    if region is not None:
        inside = cv2.resize(picture, (region.width, region.height))
        frame[region.y : region.y + region.height, region.x : region.x + region.width] = inside
    return frame


def _frame_size(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d+)x(\d+)", text)
    if match is None or not all(0 < int(side) <= 32768 for side in match.groups()):
        raise InputError(f"{text!r} is not a frame size.", expected="WIDTHxHEIGHT in pixels, such as 1920x1080")
    return int(match[1]), int(match[2])


def _check_region(region: RegionSpec | None, width: int, height: int) -> None:
    if region is not None and (region.x + region.width > width or region.y + region.height > height):
        raise InputError(
            f"The bundle's region {region} (x,y,width,height) does not fit a frame of {width}x{height} pixels.",
            expected="frames as large as the camera's",
            hint=f"--frame-size {region.x + region.width}x{region.y + region.height}, or larger",
        )
