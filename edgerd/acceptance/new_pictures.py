"""Good pictures for the threshold that training never saw: from a folder, or from a line that makes good parts."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from shlex import quote

import numpy as np

from edgerd.acceptance.training_pictures import training_pictures
from edgerd.bundle.bundle import Bundle
from edgerd.cameras import Camera, open_camera
from edgerd.cameras.protocol import early_end
from edgerd.cameras.watching import Watch
from edgerd.data.aspect import without_padding
from edgerd.data.dataset import Dataset, fingerprint
from edgerd.data.pictures import load_bundle_pictures, picture_sha256
from edgerd.data.prepared import read_prepared
from edgerd.data.preprocess import bgr_from_frame, prepare
from edgerd.data.shapes import ShapeGuard
from edgerd.errors import CameraError, DatasetError
from edgerd.inspection.guards import exposure_reason, frame_size
from edgerd.types import UInt8Array

MIN_THRESHOLD_PICTURES = 8


class TrainedOnError(DatasetError):
    """Good pictures that the student was trained on: their scores are lower than those of new parts."""


@dataclass(frozen=True, eq=False)
class NewPictures:
    """Good pictures that the bundle does not have yet.

    Attributes:
        pictures: uint8 (n, T, H, W, 3), BGR, at graph size, no two alike.
        names: Where each came from, for people.
        warnings: What a person must know of them, a sentence or two each.
    """

    pictures: UInt8Array
    names: tuple[str, ...]
    warnings: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.names)


def pictures_from_folder(
    bundle: Bundle, data: Path, say: Callable[[str], None] = lambda _: None, *, replace: bool = False
) -> NewPictures:
    """Read good pictures from a folder; none where the bundle has all of them already.

    Args:
        bundle: Says how pictures are prepared, and which it has already.
        data: The folder; or a data set in MVTec's layout, whose training pictures are taken.
        say: Told what is left out, a line at a time: what cannot be read, and what the bundle has already.
        replace: Whether they take the place of those that were added earlier, which then do not count as there.

    Raises:
        TrainedOnError: The student was trained on them, or on some that the bundle cannot tell from the others: their
            scores are too low.
        DatasetError: None can be used.
    """
    dataset = Dataset.open_good(data)
    read = read_prepared(dataset.train_good, bundle.manifest.preprocess)
    if fingerprint(read.paths, data) == bundle.manifest.training.data_fingerprint:
        raise _trained_on(bundle, str(data))
    for line in dataset.unused():
        say(line)
    for skipped in read.skipped:
        say(f"left out: {skipped.reason}")
    new = _new_ones(bundle, read.pictures, [str(path) for path in read.paths], str(data), say, replace)
    shapes = ShapeGuard(bundle.manifest)
    for width, height in read.sizes:
        shapes.see(width, height)
    return dataclasses.replace(new, warnings=shapes.warnings())


def pictures_from_camera(
    bundle: Bundle,
    uri: str,
    minutes: float,
    n_wanted: int,
    say: Callable[[str], None] = lambda _: None,
    *,
    replace: bool = False,
) -> NewPictures:
    """Collect good pictures from a line that makes good parts, spread evenly over time.

    Neighbouring frames are nearly the same, and the threshold's promise needs exchangeable pictures: of the time given,
    `n_wanted` frames are taken evenly spread, fewer where frames were rejected for a while; of files, every frame is
    taken until there are enough. A frame that a run would not judge (black, badly exposed, unreadable) is not taken,
    nor one that is there already.

    Args:
        bundle: Says how pictures are prepared, and which it has already.
        uri: The camera, a video, or a folder of pictures.
        minutes: How long a live camera is watched.
        n_wanted: How many pictures.
        say: Told how many there are, now and then.
        replace: As for `pictures_from_folder`.

    Raises:
        CameraError: It does not open, or gave too few pictures.
        TrainedOnError: It is a folder with pictures the student was trained on.
    """
    camera = open_camera(uri)
    interval_s = minutes * 60.0 / n_wanted if camera.live else 0.0
    watch = Watch(camera, interval_s, minutes=minutes, say=say)
    found = _Found(ShapeGuard(bundle.manifest))
    try:
        found.collect(watch, camera.uri, bundle, n_wanted, say)
    finally:
        camera.close()
    found.say_what_is_left_out(watch, camera, say)
    if len(found.taken) < MIN_THRESHOLD_PICTURES:
        raise CameraError(
            f"{camera.uri} gave {len(found.taken)} different pictures that can be judged.",
            expected=f"{MIN_THRESHOLD_PICTURES} at least",
            hint="Give more --minutes." if camera.live else "Choose a longer video or a folder with more pictures.",
        )
    new = _new_ones(bundle, np.stack(found.taken), found.names, camera.uri, say, replace)
    return dataclasses.replace(new, warnings=found.shapes.warnings())


@dataclass
class _Found:
    """What a camera gave so far.

    Attributes:
        shapes: Has seen the size of each picture that was taken.
        taken: Pictures at graph size, uint8 (T, H, W, 3), BGR, no two alike.
        names: Where each came from, for people.
    """

    shapes: ShapeGuard
    taken: list[UInt8Array] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    _seen: set[str] = field(default_factory=set)
    _n_badly_exposed: int = 0

    def collect(self, watch: Watch, uri: str, bundle: Bundle, n_wanted: int, say: Callable[[str], None]) -> None:
        """Take what can be judged, until there are enough pictures, the time is over, or the camera ends."""
        spec = bundle.manifest.preprocess
        for frame in watch.due_frames():
            tiles = prepare(bgr_from_frame(frame, spec), spec)
            if exposure_reason(without_padding(tiles, spec), bundle.manifest.limits):
                self._n_badly_exposed += 1
            elif (digest := picture_sha256(tiles)) not in self._seen:
                self._seen.add(digest)
                self.taken.append(tiles)
                self.shapes.see(*frame_size(frame))
                is_file = frame.source != uri
                self.names.append(frame.source if is_file else f"frame {frame.number} of {uri}")
                watch.took()
                if len(self.taken) % 10 == 0:
                    say(f"{len(self.taken)} of {n_wanted} pictures")
                if len(self.taken) == n_wanted:
                    return

    def say_what_is_left_out(self, watch: Watch, camera: Camera, say: Callable[[str], None]) -> None:
        """A line for each reason, with its count."""
        for n_left_out, why in (
            (watch.n_damaged, "could not be read, or arrived damaged"),
            (self._n_badly_exposed, "were black or badly exposed"),
        ):
            if n_left_out:
                say(f"left out: {n_left_out} of {watch.n_read} frames {why}.")
        if watch.has_ended and (warning := early_end(camera, watch.n_read)):
            say(f"left out: {warning}")


def _new_ones(
    bundle: Bundle, pictures: UInt8Array, names: list[str], source: str, say: Callable[[str], None], replace: bool
) -> NewPictures:
    """Leave out pictures that training saw, that INT8 ranges are found from, or that the bundle has already.

    The bundle recognises its training pictures, whatever their files are called. Where it lists only some of them, a
    set that holds one of these may hold others that it does not list, so that the whole set is refused.
    """
    manifest = bundle.manifest
    stays = [name for name in manifest.holdout if not (replace and name in manifest.added)]
    trained_on = training_pictures(bundle)
    for_ranges, have = (
        {picture_sha256(picture) for picture in load_bundle_pictures(bundle, listed, manifest.preprocess)}
        for listed in (manifest.ranges, stays)
    )
    found = [picture_sha256(picture) for picture in pictures]
    first = {digest: index for index, digest in reversed(list(enumerate(found)))}
    known = have | for_ranges | trained_on
    new = [index for index, digest in enumerate(found) if first[digest] == index and digest not in known]
    n_trained_on, n_have, n_for_ranges = (
        sum(digest in those for digest in found) for those in (trained_on, have, for_ranges - trained_on)
    )
    if n_trained_on and (not new or len(trained_on) < manifest.training.n_train):
        raise _trained_on(bundle, source)
    if n_for_ranges == len(found):
        raise DatasetError(
            f"{source} holds no good picture that can be read and that nothing was found from before.",
            expected="pictures of good parts that training never saw",
            hint="Add some.",
        )
    of = f"of {len(found)} pictures in {source}"
    if n_trained_on:
        say(f"left out: {n_trained_on} {of}, training saw them.")
    if n_for_ranges:
        say(f"left out: {n_for_ranges} {of}, INT8 ranges are found from them.")
    if n_have:
        say(f"{n_have} {of} are in {bundle.path} already.")
    return NewPictures(pictures[new], tuple(names[index] for index in new))


def _trained_on(bundle: Bundle, source: str) -> TrainedOnError:
    path, manifest = quote(str(bundle.path)), bundle.manifest
    own = f"edgerd calibrate {path} uses the good ones that it has"
    has_some = manifest.holdout or manifest.scores_alone
    return TrainedOnError(
        f"{source} holds pictures this bundle was trained on; their scores are lower than those of new parts.",
        expected="good pictures that training never saw",
        hint=own if has_some else f"Take others; the bundle has none of its own. {other_pictures(bundle)}",
    )


def other_pictures(bundle: Bundle) -> str:
    """What to type where a bundle has no good pictures."""
    path = quote(str(bundle.path))
    return f"edgerd calibrate {path} DATA, or --from-camera URI, with good parts that training never saw"
