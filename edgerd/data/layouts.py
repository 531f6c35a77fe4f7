"""Layouts of data folders: which files are pictures, which kind of part they show, and where their masks are."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from edgerd.data.no_folder import frames_command, is_video, no_folder
from edgerd.data.pictures import PICTURE_SUFFIXES
from edgerd.errors import DatasetError
from edgerd.paths import exists, is_file, is_folder, natural_key
from edgerd.types import GOOD

GOOD_NAMES = frozenset({GOOD, "ok", "normal"})
"""Names of folders of good parts: MVTec's `good`, BTAD's `ok`, VisA's `Normal`; compared in lower case."""
TRAIN, TEST, MASKS = "train", "test", "ground_truth"

LAYOUTS = "a folder of pictures of good parts, or MVTec's layout with train/good and test/<defect>"
_DOCUMENTS = frozenset({".csv", ".db", ".html", ".ini", ".json", ".md", ".pdf", ".txt", ".xml", ".yaml", ".yml"})
"""Suffixes of documents, which nobody expects to be used as pictures."""
ARCHIVE_FILE = "archive.json"
"""In folders of an archive whose pictures are no data: heatmaps, and parts of which nobody knows what they are."""
_OWN_FILES = ("run.json", "bundle.json", ARCHIVE_FILE)
"""Folders with one of these files were written by edgerd, and are not searched for pictures."""
_NAMED = 10
"""Folders with unused files that are named; the rest is counted."""


class OtherFolderError(DatasetError):
    """A folder without good pictures of its own, where folders below it hold pictures.

    Attributes:
        instead: The folder to name instead; None where there is no telling which.
    """

    def __init__(self, what: str, *, expected: str, hint: str, instead: Path | None) -> None:
        super().__init__(what, expected=expected, hint=hint)
        self.instead = instead


def is_good(name: str) -> bool:
    """Whether a folder of this name holds good parts."""
    return name.lower() in GOOD_NAMES


def entries(folder: Path) -> list[Path]:
    """The entries of a folder in natural order, without hidden ones; empty where there is no such folder.

    Raises:
        DatasetError: The folder cannot be read.
    """
    if not is_folder(folder):
        return []
    try:
        return sorted((entry for entry in folder.iterdir() if not entry.name.startswith(".")), key=natural_key)
    except OSError as error:
        raise DatasetError(
            f"{folder} cannot be read: {error.strerror}.", expected="a readable folder", hint="Check its permissions."
        ) from error


def pictures_in(folder: Path) -> tuple[Path, ...]:
    """The picture files directly in a folder, in natural order.

    A link that leads nowhere counts as a picture, so that reading it fails with an error instead of leaving it out.

    Raises:
        DatasetError: The folder cannot be read.
    """
    return tuple(entry for entry in entries(folder) if _is_picture(entry))


def all_pictures(root: Path) -> list[Path]:
    """The pictures in `root` and in all folders below it, folder by folder.

    Raises:
        DatasetError: A folder cannot be read.
    """
    return [entry for _, inside in _walk(root) for entry in inside if _is_picture(entry)]


def folders_with_pictures(root: Path) -> list[Path]:
    """The folders below `root` that hold pictures.

    Raises:
        DatasetError: A folder cannot be read.
    """
    return [folder for folder, inside in _walk(root) if folder != root and any(map(_is_picture, inside))]


def good_folder_of(root: Path) -> Path:
    """The folder with the good pictures of a data set: one in `train`, or `root` itself.

    `root` itself counts where pictures are directly in it, even if it also holds a folder called `test`.

    Raises:
        DatasetError: There is no such folder, or another layout.
    """
    if not is_folder(root):
        raise no_folder(root, LAYOUTS)
    good_folders = [entry for entry in entries(root / TRAIN) if is_good(entry.name) and is_folder(entry)]
    if len(good_folders) > 1:
        names = " and ".join(entry.name for entry in good_folders)
        raise DatasetError(
            f"{root / TRAIN} has the folders {names}, and both names are of good parts.",
            expected=f"one folder of good parts, {root / TRAIN / GOOD}",
            hint="Put all good pictures into it, and remove the other.",
        )
    if good_folders:
        return good_folders[0]
    if not pictures_in(root) and any(is_folder(root / name) for name in (TRAIN, TEST, MASKS)):
        inside = folders_with_pictures(root)
        if inside:
            what = f"There is no folder {root / TRAIN / GOOD}; there are pictures in {_listed(root, inside)}."
            raise _other_folder(what, root, inside)
        raise DatasetError(
            f"There is no folder {root / TRAIN / GOOD}.", expected=LAYOUTS, hint="Put the good pictures there."
        )
    return root


def data_set_around(folder: Path) -> Path | None:
    """The data set with test pictures that a folder is a part of, such as its `test`; None where it is part of none."""
    above = (folder.parent, folder.parent.parent)
    return next((root for root in above if root != folder and any(map(pictures_in, entries(root / TEST)))), None)


def too_few_pictures(folder: Path, n: int) -> DatasetError:
    """The error for a folder of good pictures that holds only `n`, 0 or 1; it names what there is besides."""
    inside = folders_with_pictures(folder)
    if inside:
        what = f"{folder} holds {n} pictures; there are more in its folders {_listed(folder, inside)}."
        return _other_folder(what, folder, inside)
    video = next(filter(is_video, entries(folder)), None)
    if video is not None:
        return DatasetError(
            f"{folder} holds {n} pictures, and a video, {video.name}.",
            expected=LAYOUTS,
            hint=f"{frames_command(str(video))} takes varied pictures out of it, then name DIR instead.",
        )
    if n == 1:
        return DatasetError(
            f"There is only one picture in {folder}.",
            expected="pictures of several good parts, 50 and more train well",
            hint="Add pictures of good parts.",
        )
    return DatasetError(
        f"There are no pictures in {folder}.",
        expected=f"{LAYOUTS}; files {', '.join(sorted(PICTURE_SUFFIXES))}",
        hint="Check the path, or put pictures of good parts there.",
    )


def _listed(folder: Path, inside: Sequence[Path]) -> str:
    """The names of folders below `folder`: the first few, then how many more there are."""
    names = ", ".join(str(entry.relative_to(folder)) for entry in inside[:5])
    return f"{names} and {len(inside) - 5} more" if len(inside) > 5 else names


def _other_folder(what: str, folder: Path, inside: Sequence[Path]) -> OtherFolderError:
    """The error with advice on what to name instead of `folder`: a folder, where it is the one possible choice."""
    sets = [entry for entry in entries(folder) if any(is_good(one.name) for one in entries(entry / TRAIN))]
    to_train_on = [one for one in inside if TEST not in (folder.name, one.relative_to(folder).parts[0])]
    good = [entry for entry in to_train_on if is_good(entry.name)]
    only = sets if len(sets) == 1 else good if len(good) == 1 and not sets else []
    if only:
        hint = f"Name {only[0]} instead."
    elif sets:
        hint = "Name one of the data sets instead."
    else:
        hint = "Name the folder that holds good parts, and only those."
    return OtherFolderError(what, expected=LAYOUTS, hint=hint, instead=only[0] if only else None)


def masks_of(folder: Path, pictures: Sequence[Path]) -> dict[Path, Path] | None:
    """The mask of each picture of a kind of defect; pictures without a mask are left out.

    The mask of `007.png` is `007_mask.png` (MVTec AD), `007.png` (BTAD, VisA), or all masks in the folder `007` (MVTec
    LOCO), with any suffix of a picture.

    Args:
        folder: Folder of the masks of this kind of defect.
        pictures: The pictures of this kind of defect.

    Returns:
        Picture to mask, or to the folder with its masks; None where the kind has no masks at all.

    Raises:
        DatasetError: A folder cannot be read.
    """
    files = {entry.stem: entry for entry in reversed(pictures_in(folder)) if is_file(entry)}
    folders = {entry.name: entry for entry in entries(folder) if pictures_in(entry)}
    if not pictures_in(folder) and not folders:
        return None
    places = {
        picture: files.get(f"{picture.stem}_mask") or files.get(picture.stem) or folders.get(picture.stem)
        for picture in pictures
    }
    return {picture: place for picture, place in places.items() if place is not None}


def unused_files(root: Path, used: Collection[Path]) -> tuple[str, ...]:
    """Files in a data folder that are not used: a phrase for each folder that has such files.

    Hidden names, documents such as `readme.txt`, and runs and bundles of edgerd are not mentioned.

    Args:
        root: The data folder.
        used: The files, and folders of masks, that are used.

    Raises:
        DatasetError: A folder cannot be read.
    """
    found = []
    for folder, inside in _walk(root):
        if folder in used:
            continue
        left = [entry for entry in inside if entry not in used and not is_folder(entry)]
        counts = Counter(_kind_of_file(entry) for entry in left if entry.suffix.lower() not in _DOCUMENTS)
        if counts:
            what = " and ".join(f"{n} {kind if n == 1 else kind + 's'}" for kind, n in counts.items())
            found.append(f"{what} in {folder}: not used")
    more = [f"Files in {len(found) - _NAMED} more folders: not used"] if len(found) > _NAMED else []
    return (*found[:_NAMED], *more)


def _kind_of_file(entry: Path) -> str:
    if not exists(entry):
        return "link that leads nowhere" if entry.is_symlink() else "file that cannot be read"
    return "picture" if _is_picture(entry) else f"{entry.suffix.lower() or 'other'} file"


def _is_picture(entry: Path) -> bool:
    return entry.suffix.lower() in PICTURE_SUFFIXES and (is_file(entry) or not exists(entry))


def _walk(root: Path) -> Iterator[tuple[Path, list[Path]]]:
    """`root` and each folder below it, with its entries; links are followed, and no folder comes twice."""
    seen: set[str] = set()
    todo = [root]
    while todo:
        folder = todo.pop()
        real = os.path.realpath(folder)
        if real in seen or (folder != root and any(is_file(folder / name) for name in _OWN_FILES)):
            continue
        seen.add(real)
        inside = entries(folder)
        yield folder, inside
        todo += [entry for entry in reversed(inside) if is_folder(entry)]
