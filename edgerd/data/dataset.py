"""Data sets on disk: their pictures, and those of them that are held out.

Two layouts: MVTec AD's (Bergmann et al., CVPR 2019),

    train/good/*.png                            good parts
    test/good/*.png  test/<defect>/*.png        parts to evaluate on
    ground_truth/<defect>/<name>_mask.png       where a part is defective; a kind of defect may have none at all

or just a folder of pictures of good parts. In MVTec's layout `ok` and `normal` are understood for `good` (BTAD, VisA),
and masks may be named like their picture, or be several in a folder named like it (MVTec LOCO). Files and folders whose
name starts with a dot are ignored; links are followed. Whatever else is there and is not used is named by
`Dataset.unused`. Names are in natural order: 2.png comes before 10.png.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgerd.data.layouts import (
    LAYOUTS,
    MASKS,
    TEST,
    TRAIN,
    entries,
    good_folder_of,
    is_good,
    masks_of,
    pictures_in,
    too_few_pictures,
    unused_files,
)
from edgerd.data.no_folder import no_folder
from edgerd.data.pictures import read_mask
from edgerd.errors import DatasetError, PictureError
from edgerd.paths import is_file, is_folder
from edgerd.types import GOOD, BoolArray

MIN_TRAINING_PICTURES = 8
MIN_HOLDOUT_PICTURES = 8


@dataclass(frozen=True, slots=True)
class TestPicture:
    """A picture to evaluate on.

    Attributes:
        path: The file.
        defect: Kind of defect, which is the name of its folder; "good" for a good part.
        mask_path: The mask of the defect, or a folder with several masks that count together. None for a good part,
            and where its kind of defect has no masks.
    """

    __test__ = False  # not a test class, whatever pytest reads into the name

    path: Path
    defect: str
    mask_path: Path | None = None

    @property
    def is_defective(self) -> bool:
        """Whether the part has a defect."""
        return self.defect != GOOD


@dataclass(frozen=True, slots=True)
class Dataset:
    """The files of a data set.

    Attributes:
        root: Its folder.
        train_good: Pictures of good parts, for training and for the threshold.
        test: Pictures to evaluate on, kind by kind; empty for a plain folder.
        good_beside_test: Where only the test pictures are needed, the good ones in a folder `good` beside `test`, which
            somebody names to train on.
    """

    root: Path
    train_good: tuple[Path, ...]
    test: tuple[TestPicture, ...] = ()
    good_beside_test: tuple[Path, ...] = ()

    @classmethod
    def open(cls, root: Path) -> Dataset:
        """Find the pictures of a data set, without decoding them.

        Args:
            root: Its folder.

        Raises:
            DatasetError: No such folder, another layout, fewer than two good pictures, a mask that is missing, or a
                defective picture that is among the good ones as well.
        """
        dataset = cls.open_good(root)
        _refuse_missing_masks(root, dataset.test)
        return dataset

    @classmethod
    def open_good(cls, root: Path) -> Dataset:
        """Find the pictures of a data set of which only the good ones are needed: masks may be missing.

        Args:
            root: Its folder.

        Raises:
            DatasetError: No such folder, another layout, fewer than two good pictures, or a defective picture that is
                among the good ones as well.
        """
        good_folder = good_folder_of(root)
        train_good = pictures_in(good_folder)
        if len(train_good) < 2:
            raise too_few_pictures(good_folder, len(train_good))
        test = () if good_folder == root else _test_pictures(root)
        _refuse_defects_among(train_good, test)
        return cls(root, train_good, test)

    @classmethod
    def open_labelled(cls, root: Path) -> Dataset:
        """Find the pictures of a data set of which only the test pictures are needed: there may be no others.

        Args:
            root: Its folder. `test` is empty where it holds no test pictures.

        Raises:
            DatasetError: No such folder, test pictures outside the folders of their kinds, or a mask that is missing.
        """
        if not is_folder(root):
            raise no_folder(root, LAYOUTS)
        in_train, beside = (
            tuple(file for entry in entries(folder) if is_good(entry.name) for file in pictures_in(entry))
            for folder in (root / TRAIN, root)
        )
        test = _test_pictures(root)
        _refuse_missing_masks(root, test)
        return cls(root, in_train, test, beside if test else ())

    def unused(self) -> tuple[str, ...]:
        """Files in the data folder that are not used: a phrase for each folder that has such files.

        Raises:
            DatasetError: A folder cannot be read.
        """
        masks = {picture.mask_path for picture in self.test if picture.mask_path is not None}
        tested = (picture.path for picture in self.test)
        return unused_files(self.root, {*self.train_good, *self.good_beside_test, *tested, *masks})


def read_mask_for(picture: TestPicture, height: int, width: int) -> BoolArray | None:
    """Read the mask of a test picture, or its masks as one.

    Args:
        picture: The test picture.
        height: Height of the picture in pixels.
        width: Width of the picture in pixels.

    Returns:
        bool (height, width), all False for a good part; None for a defective one whose kind has no masks.

    Raises:
        PictureError: The mask cannot be read, or has another size than the picture.
    """
    if not picture.is_defective:
        return np.zeros((height, width), np.bool_)
    if picture.mask_path is None:
        return None
    defective = np.zeros((height, width), np.bool_)
    for file in pictures_in(picture.mask_path) or (picture.mask_path,):
        mask = read_mask(file)
        if mask.shape != (height, width):
            raise PictureError(
                f"The mask {file} is {mask.shape[1]}x{mask.shape[0]} pixels, "
                f"its picture {picture.path} {width}x{height}.",
                expected="a mask of the picture's size",
                hint="Save the mask again at the picture's size.",
            )
        defective |= mask
    return defective


def split_holdout(
    paths: Sequence[Path], fraction: float | None, seed: int
) -> tuple[tuple[Path, ...], tuple[Path, ...]]:
    """Hold out good pictures for the threshold.

    Args:
        paths: Good pictures.
        fraction: Share of them to hold out, above 0 and below 1; at least 8 pictures are held out. None to hold out
            none.
        seed: The same seed and number of pictures give the same choice.

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
        root: Names are relative to this folder, so that a copy of it has the same fingerprint.

    Returns:
        SHA-256, 64 hex digits.

    Raises:
        DatasetError: A file cannot be read.
    """
    lines = sorted(f"{_sha256(path)} {path.relative_to(root).as_posix()}\n" for path in paths)
    return hashlib.sha256("".join(lines).encode(errors="surrogateescape")).hexdigest()


def _test_pictures(root: Path) -> tuple[TestPicture, ...]:
    test = root / TEST
    if pictures_in(test) and pictures_in(root):
        return ()  # a plain folder of pictures that happens to hold a folder called "test"
    if pictures_in(test):
        raise DatasetError(
            f"{test} holds pictures of no kind.",
            expected="a folder per kind: test/good, test/<defect>",
            hint=f"Move the good ones to {test / GOOD}, the others to a folder named after their defect.",
        )
    found: list[TestPicture] = []
    for folder in entries(test):
        pictures = pictures_in(folder)
        if is_good(folder.name):
            found += [TestPicture(path, GOOD) for path in pictures]
            continue
        masks = masks_of(root / MASKS / folder.name, pictures) or {}
        found += [TestPicture(path, folder.name, masks.get(path)) for path in pictures]
    return tuple(found)


def _refuse_missing_masks(root: Path, test: Sequence[TestPicture]) -> None:
    """A kind of defect must have masks for all of its pictures or for none, or pixel metrics would leave some out."""
    for picture in test:
        if not picture.is_defective or picture.mask_path is not None:
            continue
        folder = root / MASKS / picture.defect
        if masks_of(folder, ()) is not None:
            raise DatasetError(
                f"{picture.path} has no mask {folder / f'{picture.path.stem}_mask.png'}.",
                expected=f"a mask for every picture of {picture.defect!r}, or for none; named so, like the picture, or "
                "several in a folder named like it",
                hint=f"Add it, or remove {folder} to evaluate {picture.defect!r} without masks.",
            )


def _refuse_defects_among(good: Sequence[Path], test: Sequence[TestPicture]) -> None:
    """Refuse pictures that are both in train/good and among the defective ones.

    Files are compared by hash, but only with files of their own size.
    """
    by_size: dict[int, list[Path]] = {}
    for path in filter(is_file, good):
        by_size.setdefault(path.stat().st_size, []).append(path)
    hashed: dict[int, dict[str, Path]] = {}
    for picture in test:
        if not picture.is_defective or not is_file(picture.path):
            continue
        size = picture.path.stat().st_size
        if size not in by_size:
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
