"""Pictures that INT8 ranges are found from: looked through, sorted, and what is wrong with some of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from shlex import quote

import numpy as np

from edgerd.bundle.bundle import Bundle
from edgerd.bundle.manifest import GRAPH_FILE, ThresholdRecord
from edgerd.data.aspect import without_padding
from edgerd.data.dataset import Dataset
from edgerd.data.pictures import load_bundle_pictures, read_picture
from edgerd.data.prepared import SkippedPicture
from edgerd.data.preprocess import prepare
from edgerd.data.shapes import ShapeGuard
from edgerd.errors import BundleError, DatasetError, PictureError, SpecError
from edgerd.inspection.guards import exposure_reason
from edgerd.precision.features import FeatureReader, farthest_first
from edgerd.precision.ranges import MIN_RANGE_PICTURES, USUAL_PICTURES
from edgerd.runtimes.machine import usable_cores
from edgerd.types import Float32Array, UInt8Array

_NAMED = 5
"""How many pictures a message names; it counts the others."""
_HELD_OUT = "gate and threshold are judged on them"


@dataclass(frozen=True)
class Suspect:
    """A picture among good ones whose score is high: it shows a defect, or a new kind of good part."""

    name: str
    score: float


@dataclass(frozen=True, eq=False)
class RangePictures:
    """Pictures to find ranges from, and those that were left out.

    Attributes:
        names: Files, or names in the bundle.
        pictures: uint8 (n, T, H, W, 3), BGR, at graph size.
        features: float32 (n, d), see `edgerd.precision.features`.
        suspects: Pictures that score above the bundle's threshold; they are not among `pictures`.
        unusual: Those in `pictures` that score above every good one that the threshold was found from.
        skipped: Pictures that cannot be read, or are exposed as no good one is; they are not among `pictures`.
        held_out: Pictures that gate and threshold are judged on; they are not among `pictures`.
        unused: What else lies in the folder, a sentence for each folder in it.
        n_found: All that were there.
        sizes: (width, height) in pixels to how many pictures have it; empty for those of the bundle.
        odd_sizes: The names of pictures whose size is not the most frequent one.
        warnings: What a person must know of the pictures' aspect ratios, a sentence or two each.
    """

    names: tuple[str, ...]
    pictures: UInt8Array
    features: Float32Array
    suspects: tuple[Suspect, ...] = ()
    unusual: tuple[Suspect, ...] = ()
    skipped: tuple[SkippedPicture, ...] = ()
    held_out: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()
    n_found: int = 0
    sizes: tuple[tuple[tuple[int, int], int], ...] = ()
    odd_sizes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    def notes(self, threshold: ThresholdRecord) -> tuple[str, ...]:
        """What a person should know about the set, a line each.

        Args:
            threshold: The bundle's.
        """
        notes = [*self.unused, *self.warnings]
        if self.suspects:
            notes.append(
                f"{len(self.suspects)} of {self.n_found} pictures have scores above the threshold "
                f"{threshold.value:.3f} and are left out; they may show defects: {_some(_with_scores(self.suspects))}"
            )
        if self.unusual:
            notes.append(
                f"{len(self.unusual)} of {self.n_found} pictures score higher than any of the {threshold.n_good} good "
                f"ones that the threshold was found from ({threshold.largest_score:.3f}); look at them: "
                f"{_some(_with_scores(self.unusual))}"
            )
        if self.skipped:
            reasons = [f"{one.path}: {one.reason}" for one in self.skipped]
            notes.append(f"{len(reasons)} of {self.n_found} pictures cannot be used: {_some(reasons)}")
        if self.held_out:
            notes.append(f"{len(self.held_out)} of {self.n_found} pictures are left out: {_HELD_OUT}.")
        if self.odd_sizes:
            (width, height), n = self.sizes[0]
            notes.append(
                f"{len(self.odd_sizes)} pictures are not {width}x{height} as the other {n} are; they were prepared all "
                f"the same, so check that they come from this line: {_some(self.odd_sizes)}"
            )
        return tuple(notes)


def range_pictures_from_folder(
    bundle: Bundle,
    folder: Path,
    n: int | None = USUAL_PICTURES,
    held_out: Iterable[UInt8Array] = (),
) -> RangePictures:
    """The most different good pictures of a folder, by the bundle's own features.

    Args:
        bundle: With a threshold; pictures above it are left out and named.
        folder: Good pictures; or a data set in MVTec's layout, whose training pictures are taken.
        n: How many at most; None for all.
        held_out: Pictures, prepared, uint8 (T, H, W, 3), that are left out where the folder has them too.

    Raises:
        DatasetError: It is empty, or fewer than `MIN_RANGE_PICTURES` of its pictures can be used.
        SpecError: Region or tiles do not fit a picture.
        BundleError: The bundle has no threshold.
    """
    spec, threshold = bundle.manifest.preprocess, threshold_of(bundle)
    reader = FeatureReader(bundle.read(GRAPH_FILE), usable_cores())
    dataset, not_these = Dataset.open_good(folder), {picture.tobytes() for picture in held_out}
    paths = dataset.train_good
    kept_back: list[str] = []
    good: list[tuple[Path, Float32Array, float]] = []
    suspects, skipped, sizes, shapes = [], [], {}, ShapeGuard(bundle.manifest)
    for path in paths:
        try:
            frame = read_picture(path)
            tiles = prepare(frame, spec)
        except PictureError as error:
            skipped.append(SkippedPicture(path, error.what))
            continue
        except SpecError as error:
            raise SpecError(f"{path}: {error.what}", expected=error.expected, hint=error.hint) from error
        if tiles.tobytes() in not_these:
            kept_back.append(str(path))
            continue
        sizes[path] = (frame.shape[1], frame.shape[0])
        shapes.see(*sizes[path])
        feature, score = reader.look(tiles)
        reason = exposure_reason(without_padding(tiles, spec), bundle.manifest.limits)
        if reason:
            skipped.append(SkippedPicture(path, reason))
        elif score > threshold.value:
            suspects.append(Suspect(str(path), score))
        else:
            good.append((path, feature, score))
    if len(good) < MIN_RANGE_PICTURES:
        raise _too_few(folder, len(paths), len(good), suspects, skipped, len(kept_back))
    features = np.stack([feature for _, feature, _ in good])
    chosen = sorted(farthest_first(features, len(good) if n is None else n))
    counted = tuple(Counter(sizes.values()).most_common())
    return RangePictures(
        names=tuple(str(good[index][0]) for index in chosen),
        pictures=np.stack([prepare(read_picture(good[index][0]), spec) for index in chosen]),
        features=features[chosen],
        suspects=_worst_first(suspects),
        unusual=_unusual([Suspect(str(good[index][0]), good[index][2]) for index in chosen], threshold),
        skipped=tuple(skipped),
        held_out=tuple(kept_back),
        unused=dataset.unused(),
        n_found=len(paths),
        sizes=counted,
        odd_sizes=tuple(f"{p} ({w}x{h})" for p, (w, h) in sizes.items() if (w, h) != counted[0][0]),
        warnings=shapes.warnings(),
    )


def range_pictures_of(bundle: Bundle, names: Sequence[str]) -> RangePictures:
    """Pictures that travel in the bundle: `Manifest.ranges` or `Manifest.holdout`.

    Args:
        bundle: With a threshold.
        names: As the manifest lists them, one per tile.

    Raises:
        BundleError: It has fewer than `MIN_RANGE_PICTURES` of them, or no threshold.
    """
    spec, threshold = bundle.manifest.preprocess, threshold_of(bundle)
    if len(names) < MIN_RANGE_PICTURES * spec.n_tiles:
        raise BundleError(
            f"{bundle.path} holds {len(names) // spec.n_tiles} such pictures.",
            expected=f"{MIN_RANGE_PICTURES} at least, as edgerd export puts them there",
            hint=f"Export again without --no-pictures: edgerd export RUN -o {quote(str(bundle.path))}",
        )
    pictures = load_bundle_pictures(bundle, names, spec)
    reader = FeatureReader(bundle.read(GRAPH_FILE), usable_cores())
    looks = [reader.look(tiles) for tiles in pictures]
    first_tiles = names[:: spec.n_tiles]
    scored = [Suspect(name, score) for name, (_, score) in zip(first_tiles, looks, strict=True)]
    good = [index for index, one in enumerate(scored) if one.score <= threshold.value]
    return RangePictures(
        names=tuple(first_tiles[index] for index in good),
        pictures=pictures[good],
        features=np.stack([feature for feature, _ in looks])[good],
        suspects=_worst_first([one for one in scored if one.score > threshold.value]),
        unusual=_unusual([scored[index] for index in good], threshold),
        n_found=len(pictures),
    )


def threshold_of(bundle: Bundle) -> ThresholdRecord:
    """The FP32 graph's threshold.

    Raises:
        BundleError: The bundle is not calibrated.
    """
    if bundle.manifest.threshold is None:
        raise BundleError(
            f"{bundle.path} has no threshold yet, so that defects among the pictures cannot be told.",
            hint=f"edgerd calibrate {quote(str(bundle.path))}",
        )
    return bundle.manifest.threshold


def _worst_first(scored: Sequence[Suspect]) -> tuple[Suspect, ...]:
    return tuple(sorted(scored, key=lambda one: -one.score))


def _unusual(good: Sequence[Suspect], threshold: ThresholdRecord) -> tuple[Suspect, ...]:
    return _worst_first([one for one in good if one.score > threshold.largest_score])


def _with_scores(scored: Sequence[Suspect]) -> list[str]:
    return [f"{one.name} ({one.score:.3f})" for one in scored]


def _too_few(
    folder: Path,
    n_found: int,
    n_good: int,
    suspects: Sequence[Suspect],
    skipped: Sequence[SkippedPicture],
    n_held_out: int,
) -> DatasetError:
    reasons = []
    if suspects:
        reasons.append(
            f"{len(suspects)} are above the threshold and may show defects: {_some([s.name for s in suspects])}"
        )
    if skipped:
        reasons.append(f"{len(skipped)} cannot be used: {_some([f'{s.path}: {s.reason}' for s in skipped])}")
    if n_held_out:
        reasons.append(f"{n_held_out} are not for ranges: {_HELD_OUT}")
    return DatasetError(
        f"{folder} holds {n_found} pictures, of which {n_good} can be used to find INT8 ranges from."
        + "".join(f" {reason}." for reason in reasons),
        expected=f"{MIN_RANGE_PICTURES} pictures of good parts at least; {USUAL_PICTURES} are usual",
        hint="Add pictures of good parts: python calibration/collect.py BUNDLE CAMERA -o FOLDER",
    )


def _some(names: Sequence[str]) -> str:
    more = len(names) - _NAMED
    return "; ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")
