"""Collect a calibration set: of all that a camera shows, the K most different good pictures."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from edgerd.bundle.bundle import Bundle
from edgerd.bundle.manifest import GRAPH_FILE, Record, ThresholdRecord
from edgerd.calibration.range_pictures import threshold_of
from edgerd.cameras import Camera, UnreadablePictureError, open_camera
from edgerd.data.aspect import without_padding
from edgerd.data.pictures import load_bundle_pictures, write_png
from edgerd.data.preprocess import bgr_from_frame, prepare
from edgerd.errors import CameraError, InputError
from edgerd.inspection.guards import exposure_reason
from edgerd.precision.features import FeatureReader, MostDifferent
from edgerd.precision.ranges import MIN_RANGE_PICTURES
from edgerd.runtimes.machine import usable_cores
from edgerd.storage import is_taken, storage_errors
from edgerd.types import Frame, UInt8Array

COLLECTED_FILE = "collected.json"
SUSPECTS_FOLDER = "suspects"
MAX_SUSPECTS = 50
"""Suspects that are written; a line with a fault must not fill the disk."""

_SAY_EVERY_S = 10.0


class CollectedPicture(Record):
    """A picture that was written."""

    file: str
    source: str
    """Camera or file it came from."""
    frame: int
    score: float


class Collected(Record):
    """`collected.json`: where the pictures of a folder came from."""

    bundle: str
    """Id of the bundle whose features told the pictures apart."""
    source: str
    threshold: float
    n_unusual: int
    """Kept pictures that score higher than any good one that the threshold was found from."""
    n_seen: int
    """Frames that were looked at."""
    n_same: int
    """Good frames that were not taken because others are as different."""
    left_out: dict[str, int]
    """Why frames could not be judged, and how many."""
    spacing: float | None
    """The smallest distance between two kept pictures; None for one."""
    pictures: tuple[CollectedPicture, ...]
    suspects: tuple[CollectedPicture, ...]
    """Above the threshold, in `suspects/`: at most `MAX_SUSPECTS`."""
    n_suspects: int
    """All of them."""


@dataclass
class _Collection:
    """What has been seen so far."""

    folder: Path
    kept: MostDifferent
    pictures: dict[int, CollectedPicture] = field(default_factory=dict)
    suspects: list[CollectedPicture] = field(default_factory=list)
    n_seen: int = 0
    n_same: int = 0
    n_suspects: int = 0
    left_out: dict[str, int] = field(default_factory=dict)

    def leave_out(self, reason: str) -> None:
        kind = reason.split(":")[0]
        self.left_out[kind] = self.left_out.get(kind, 0) + 1

    def suspect(self, frame: Frame, bgr: UInt8Array, score: float) -> None:
        self.n_suspects += 1
        if len(self.suspects) < MAX_SUSPECTS:
            file = f"{SUSPECTS_FOLDER}/{frame.number:06d}.png"
            write_png(self.folder / file, bgr)
            self.suspects.append(CollectedPicture(file=file, source=frame.source, frame=frame.number, score=score))

    def take(self, place: int, frame: Frame, bgr: UInt8Array, score: float) -> None:
        replaced = self.pictures.get(place)
        file = f"{frame.number:06d}.png"
        write_png(self.folder / file, bgr)
        self.pictures[place] = CollectedPicture(file=file, source=frame.source, frame=frame.number, score=score)
        if replaced:
            (self.folder / replaced.file).unlink(missing_ok=True)


def collect(
    bundle: Bundle,
    uri: str,
    folder: Path,
    n_pictures: int,
    minutes: float = 10.0,
    say: Callable[[str], None] = lambda _: None,
) -> Collected:
    """Watch a camera and keep the most different good frames.

    A frame is written when it is taken and removed when a more different one takes its place, so that an interrupted
    collection leaves what it had; in memory are the features of those kept. Frames that a run would not judge are left
    out, so are the bundle's held-out pictures, and those above its threshold, which are written apart to be looked at.

    Args:
        bundle: With a threshold.
        uri: Camera, video, or pictures.
        folder: Where the frames go, as PNG and whole; new or empty.
        n_pictures: How many to keep.
        minutes: How long a live camera is watched.
        say: Told how it goes, now and then.

    Raises:
        InputError: The folder holds something; or fewer than `MIN_RANGE_PICTURES` are wanted, or files gave fewer.
        CameraError: It does not open or was lost, or gave fewer.
        StorageError: Disk full or no permission.
    """
    if n_pictures < MIN_RANGE_PICTURES:
        raise InputError(
            f"{n_pictures} pictures are too few to find ranges from.", expected=f"{MIN_RANGE_PICTURES} at least"
        )
    with storage_errors(folder):
        taken = is_taken(folder)
    if taken:
        raise InputError(f"{folder} exists already.", expected="a new or empty folder", hint="Choose another with -o.")
    threshold, reader = threshold_of(bundle), FeatureReader(bundle.read(GRAPH_FILE), usable_cores())
    camera = open_camera(uri)
    found = _Collection(folder, MostDifferent(n_pictures))
    try:
        _watch(camera, bundle, reader, threshold.value, found, minutes, say)
    finally:
        camera.close()
        record = _record(found, bundle, camera.uri, threshold)
        with storage_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
            (folder / COLLECTED_FILE).write_text(record.model_dump_json(indent=2) + "\n", encoding="utf-8")
    if len(record.pictures) < MIN_RANGE_PICTURES:
        raise (CameraError if camera.live else InputError)(
            f"{camera.uri} gave {len(record.pictures)} different good pictures; {record.n_suspects} of "
            f"{record.n_seen} frames are above the threshold, {sum(record.left_out.values())} could not be judged.",
            expected=f"{MIN_RANGE_PICTURES} good ones at least",
            hint="Give more --minutes." if camera.live else "Choose a longer video or a folder with more pictures.",
        )
    return record


def _watch(
    camera: Camera,
    bundle: Bundle,
    reader: FeatureReader,
    threshold: float,
    found: _Collection,
    minutes: float,
    say: Callable[[str], None],
) -> None:
    spec = bundle.manifest.preprocess
    held_out = {picture.tobytes() for picture in load_bundle_pictures(bundle, bundle.manifest.holdout, spec)}
    start = said = time.monotonic()
    while not camera.live or time.monotonic() - start < minutes * 60.0:
        try:
            frame = camera.read()
        except UnreadablePictureError as error:
            found.n_seen += 1
            found.leave_out("unreadable")
            say(f"left out: {error.what}")
            continue
        if frame is None:
            return
        found.n_seen += 1
        bgr = bgr_from_frame(frame, spec)
        tiles = prepare(bgr, spec)
        reason = exposure_reason(without_padding(tiles, spec), bundle.manifest.limits)
        if reason:
            found.leave_out(reason)
            continue
        if tiles.tobytes() in held_out:
            found.leave_out("held out for gate and threshold")
            continue
        feature, score = reader.look(tiles)
        if score > threshold:
            found.suspect(frame, bgr, score)
            continue
        place = found.kept.offer(feature)
        if place is None:
            found.n_same += 1
        else:
            found.take(place, frame, bgr, score)
        if time.monotonic() - said > _SAY_EVERY_S:
            said = time.monotonic()
            say(f"{found.n_seen} frames seen, {len(found.pictures)} kept, {found.n_suspects} suspects")


def _record(found: _Collection, bundle: Bundle, source: str, threshold: ThresholdRecord) -> Collected:
    return Collected(
        bundle=bundle.manifest.id,
        source=source,
        threshold=threshold.value,
        n_unusual=sum(one.score > threshold.largest_score for one in found.pictures.values()),
        n_seen=found.n_seen,
        n_same=found.n_same,
        left_out=found.left_out,
        spacing=found.kept.spacing if len(found.pictures) > 1 else None,
        pictures=tuple(sorted(found.pictures.values(), key=lambda one: one.frame)),
        suspects=tuple(found.suspects),
        n_suspects=found.n_suspects,
    )
