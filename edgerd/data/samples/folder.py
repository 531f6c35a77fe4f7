"""A data set of sample parts on disk, laid out like MVTec AD."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from pathlib import Path

from edgerd.data.pictures import write_png
from edgerd.data.samples.render import defects_of, render
from edgerd.data.samples.seeds import Stream, part_seed
from edgerd.errors import DatasetError
from edgerd.storage import is_taken, storage_errors


def write_dataset(
    root: Path,
    kind: str,
    n_train: int = 60,
    n_test_good: int = 20,
    n_per_defect: int = 8,
    size: int = 256,
    seed: int = 0,
) -> Path:
    """Write pictures of one kind of part.

        ROOT/train/good/000.png
        ROOT/test/good/000.png    ROOT/test/scratch/000.png    ...
        ROOT/ground_truth/scratch/000_mask.png                 ...

    Args:
        root: Folder for it; made if it is not there.
        kind: One of `KINDS`.
        n_train: Good pictures to train on.
        n_test_good: Good pictures to test with.
        n_per_defect: Defective pictures to test with, of each defect the kind can have.
        size: Width and height in pixels, 64 to 1024.
        seed: Every seed is another set of parts.

    Returns:
        `root`.

    Raises:
        InputError: There is no such kind, or the seed cannot be used.
        SpecError: The size is out of range.
        DatasetError: `root` holds something already; two sets must not mix.
        StorageError: The disk is full, or the folder cannot be written.
    """
    defects = defects_of(kind)
    with storage_errors(root, "Choose another folder."):
        taken = is_taken(root)
    if taken:
        raise DatasetError(
            f"{root} is not empty.", expected="a free name or an empty folder", hint="Choose another folder."
        )
    seeds = (part_seed(Stream.DATASET, seed, index) for index in count())
    _write_parts(root, "train", kind, None, n_train, size, seeds)
    _write_parts(root, "test", kind, None, n_test_good, size, seeds)
    for defect in defects:
        _write_parts(root, "test", kind, defect, n_per_defect, size, seeds)
    return root


def _write_parts(
    root: Path, subset: str, kind: str, defect: str | None, n_parts: int, size: int, seeds: Iterator[int]
) -> None:
    for index in range(n_parts):
        part = render(kind, next(seeds), defect, size)
        write_png(root / subset / (defect or "good") / f"{index:03d}.png", part.picture)
        if defect is not None:
            write_png(root / "ground_truth" / defect / f"{index:03d}_mask.png", part.mask)
