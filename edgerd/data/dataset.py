"""Data sets on disk: which pictures there are, and which are set aside.

Two layouts: MVTec AD's (Bergmann et al., CVPR 2019),

    train/good/*.png                            good parts
    test/good/*.png  test/<defect>/*.png        parts to evaluate on
    ground_truth/<defect>/<name>_mask.png       where a part is defective; a kind of defect may have none at all

or just a folder of pictures of good parts. Files and folders whose name starts with a dot are ignored, and so are files
that are no pictures; links are followed. Names are in natural order: 2.png comes before 10.png.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edgerd.data.pictures import PICTURE_SUFFIXES, read_mask
from edgerd.data.prepared import PreparedPictures, SkippedPicture, picture_limits, read_prepared
from edgerd.errors import DatasetError, PictureError

__all__ = [
    "Dataset",
    "PreparedPictures",
    "SkippedPicture",
    "TestPicture",
    "fingerprint",
    "picture_limits",
    "read_mask_for",
    "read_prepared",
    "split_holdout",
]

GOOD = "good"
MIN_TRAINING_PICTURES = 8
MIN_HOLDOUT_PICTURES = 8

_LAYOUTS = "a folder of pictures of good parts, or MVTec's layout with train/good and test/<defect>"


@dataclass(frozen=True, slots=True)
class TestPicture:
    """A picture to evaluate on.

    Attributes:
        path: The file.
        defect: Kind of defect, the name of its folder; "good" for a good part.
        mask_path: Where it is defective; None for a good part, and where its kind has no masks.
    """

    __test__ = False  # not a test class, whatever pytest reads into the name

    path: Path
    defect: str
    mask_path: Path | None = None

    @property
    def is_defective(self) -> bool:
        """Whether the part is to be found NG."""
        return self.defect != GOOD


@dataclass(frozen=True, slots=True)
class Dataset:
    """The files of a data set.

    Attributes:
        root: Its folder.
        train_good: Pictures of good parts, for training and for the threshold.
        test: Pictures to evaluate on, kind by kind; empty for a plain folder.
    """

    root: Path
    train_good: tuple[Path, ...]
    test: tuple[TestPicture, ...] = ()

    @classmethod
    def open(cls, root: Path) -> Dataset:
        """Find the pictures of a data set, without decoding them.

        Args:
            root: Its folder.

        Raises:
            DatasetError: No such folder, another layout, fewer than two good pictures, a mask that is missing, or a
                defective picture that is among the good ones as well.
        """
        if not root.is_dir():
            raise DatasetError(f"There is no folder {root}.", expected=_LAYOUTS, hint="Check the path.")
        is_mvtec = any((root / name).is_dir() for name in ("train", "test", "ground_truth"))
        good_folder = root / "train" / GOOD if is_mvtec else root
        train_good = _pictures_in(good_folder)
        if len(train_good) < 2:
            raise _too_few_pictures(good_folder, len(train_good))
        test = _test_pictures(root) if is_mvtec else ()
        _refuse_defects_among(train_good, test)
        return cls(root, train_good, test)


def read_mask_for(picture: TestPicture, height: int, width: int) -> npt.NDArray[np.bool_] | None:
    """Read where a test picture is defective.

    Args:
        picture: The test picture.
        height: Its height in pixels.
        width: Its width.

    Returns:
        bool (height, width), all False for a good part; None for a defective one whose kind has no masks.

    Raises:
        PictureError: The mask cannot be read, or has another size than the picture.
    """
    if not picture.is_defective:
        return np.zeros((height, width), np.bool_)
    if picture.mask_path is None:
        return None
    mask = read_mask(picture.mask_path)
    if mask.shape != (height, width):
        raise PictureError(
            f"The mask {picture.mask_path} is {mask.shape[1]}x{mask.shape[0]} pixels, "
            f"its picture {picture.path} {width}x{height}.",
            expected="a mask of the picture's size",
            hint="Save the mask again at the picture's size.",
        )
    return mask


def split_holdout(
    paths: Sequence[Path], fraction: float | None, seed: int
) -> tuple[tuple[Path, ...], tuple[Path, ...]]:
    """Set good pictures aside for the threshold.

    Args:
        paths: Good pictures.
        fraction: Part of them to hold out, above 0 and below 1; 8 pictures are held out at least. None for none.
        seed: Same seed and same number of pictures, same choice.

    Returns:
        Pictures to train on and pictures held out, both in the order of `paths`.

    Raises:
        DatasetError: Fewer than 8 pictures would remain to train on.
    """
    if fraction is None:
        if len(paths) < MIN_TRAINING_PICTURES:
            raise DatasetError(
                f"{len(paths)} good pictures are too few to train on.",
                expected=f"{MIN_TRAINING_PICTURES} at least; 50 and more train well",
                hint="Add pictures of good parts.",
            )
        return tuple(paths), ()
    n_holdout = max(MIN_HOLDOUT_PICTURES, math.ceil(fraction * len(paths)))
    if len(paths) - n_holdout < MIN_TRAINING_PICTURES:
        raise DatasetError(
            f"{len(paths)} good pictures are too few: {n_holdout} are held out for the threshold.",
            expected=f"at least {MIN_TRAINING_PICTURES} left to train on, so "
            f"{MIN_TRAINING_PICTURES + MIN_HOLDOUT_PICTURES} at least; 50 and more train well",
            hint="Add pictures of good parts, or hold out a smaller part with --holdout.",
        )
    chosen = set(np.random.default_rng(seed).permutation(len(paths))[:n_holdout].tolist())
    train = tuple(path for index, path in enumerate(paths) if index not in chosen)
    return train, tuple(path for index, path in enumerate(paths) if index in chosen)


def fingerprint(paths: Iterable[Path], root: Path) -> str:
    """Hash over the names and contents of pictures.

    Args:
        paths: Files under `root`, in any order.
        root: Names count from here, so that a copy elsewhere has the same fingerprint.

    Returns:
        SHA-256, 64 hex digits.

    Raises:
        DatasetError: A file cannot be read any more.
    """
    lines = sorted(f"{_sha256(path)} {path.relative_to(root).as_posix()}\n" for path in paths)
    return hashlib.sha256("".join(lines).encode(errors="surrogateescape")).hexdigest()


def _natural(path: Path) -> tuple[list[str | int], str]:
    """Sort key; the name itself decides between 1.png and 01.png."""
    pieces = re.split(r"([0-9]+)", path.name)
    return [int(piece) if index % 2 else piece for index, piece in enumerate(pieces)], path.name


def _entries(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    try:
        return sorted((entry for entry in folder.iterdir() if not entry.name.startswith(".")), key=_natural)
    except OSError as error:
        raise DatasetError(
            f"{folder} cannot be read: {error.strerror}.", expected="a readable folder", hint="Check its permissions."
        ) from error


def _pictures_in(folder: Path) -> tuple[Path, ...]:
    return tuple(file for file in _entries(folder) if file.suffix.lower() in PICTURE_SUFFIXES and file.is_file())


def _too_few_pictures(folder: Path, n: int) -> DatasetError:
    inside = [entry for entry in _entries(folder) if _pictures_in(entry) or (entry / "train" / GOOD).is_dir()]
    if not folder.is_dir():
        return DatasetError(f"There is no folder {folder}.", expected=_LAYOUTS, hint="Put the good pictures there.")
    if inside:
        names = ", ".join(entry.name for entry in inside[:5])
        good = next((entry for entry in inside if entry.name.lower() in (GOOD, "ok")), inside[0])
        return DatasetError(
            f"{folder} holds {n} pictures; there are more in its folders {names}.",
            expected=_LAYOUTS,
            hint=f"Name that folder itself, for example {good}.",
        )
    if n == 1:
        return DatasetError(
            f"There is only one picture in {folder}.",
            expected="pictures of several good parts, 50 and more train well",
            hint="Add pictures of good parts.",
        )
    return DatasetError(
        f"There are no pictures in {folder}.",
        expected=f"{_LAYOUTS}; files {', '.join(sorted(PICTURE_SUFFIXES))}",
        hint="Check the path, or put pictures of good parts there.",
    )


def _test_pictures(root: Path) -> tuple[TestPicture, ...]:
    test = root / "test"
    if _pictures_in(test):
        raise DatasetError(
            f"{test} holds pictures of no kind.",
            expected="a folder per kind: test/good, test/<defect>",
            hint=f"Move the good ones to {test / GOOD}, the others to a folder named after their defect.",
        )
    found: list[TestPicture] = []
    for folder in _entries(test):
        pictures = _pictures_in(folder)
        masks = {} if folder.name == GOOD else _masks_of(root, folder.name, pictures)
        found += [TestPicture(path, folder.name, masks.get(path)) for path in pictures]
    return tuple(found)


def _masks_of(root: Path, defect: str, pictures: Sequence[Path]) -> dict[Path, Path]:
    """Each picture's mask; none where the kind has no masks at all."""
    folder = root / "ground_truth" / defect
    if not _pictures_in(folder):
        return {}
    masks = {picture: folder / f"{picture.stem}_mask.png" for picture in pictures}
    for picture, mask in masks.items():
        if not mask.is_file():
            raise DatasetError(
                f"{picture} has no mask {mask}.",
                expected=f"a mask for every picture of {defect!r}, or for none",
                hint=f"Add it, or remove {folder} to evaluate {defect!r} without masks.",
            )
    return masks


def _refuse_defects_among(good: Sequence[Path], test: Sequence[TestPicture]) -> None:
    """Find pictures that are in train/good and among the defective ones; only files of one size need comparing."""
    by_size: dict[int, list[Path]] = {}
    for path in good:
        by_size.setdefault(path.stat().st_size, []).append(path)
    hashed: dict[int, dict[str, Path]] = {}
    for picture in test:
        size = picture.path.stat().st_size
        if not picture.is_defective or size not in by_size:
            continue
        if size not in hashed:
            hashed[size] = {_sha256(path): path for path in by_size[size]}
        twin = hashed[size].get(_sha256(picture.path))
        if twin is not None:
            raise DatasetError(
                f"{twin} is the same picture as {picture.path}, a {picture.defect!r} defect.",
                expected="only good parts in train/good",
                hint=f"Remove {twin}, and look through its neighbours.",
            )


def _sha256(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise DatasetError(
            f"{path} cannot be read: {error.strerror}.", expected="a picture file", hint="Check its permissions."
        ) from error
