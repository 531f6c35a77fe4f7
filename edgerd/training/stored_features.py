"""The teacher's features of many pictures, computed once and kept on disk while students are trained.

Pictures are not augmented, so their features never change: students read them in half precision from memory-mapped
files instead of running the teacher in each step. Prototypes are chosen from the same files.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from edgerd.errors import WeightsError
from edgerd.models.normalise import image_from_frames
from edgerd.models.teachers import Teacher
from edgerd.models.teachers.teacher import Features
from edgerd.storage import storage_errors
from edgerd.types import UInt8Array

_FILES = ("features_0.npy", "features_1.npy", "features_2.npy")
_TILES_AT_ONCE = 8
_LARGEST = 65504.0
"""The largest number of half precision; features of teachers are far smaller, some tens."""

Rows = slice | Sequence[int] | npt.NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class FeatureStore:
    """The three stages of every tile, in the pictures' order.

    Attributes:
        stages: float16 (n, c_k, h_k, w_k) each, memory-mapped, finest first.
    """

    stages: tuple[npt.NDArray[np.float16], ...]

    @classmethod
    def open(cls, folder: Path) -> FeatureStore:
        """Open the files that `compute_features` has written."""
        return cls(tuple(np.load(folder / name, mmap_mode="r") for name in _FILES))

    def __len__(self) -> int:
        return len(self.stages[0])

    def __getitem__(self, rows: Rows) -> Features:
        """The features of some tiles: three stages, finest first, float32 (m, c_k, h_k, w_k), on the CPU."""
        first, second, third = (torch.from_numpy(stage[rows].astype(np.float32)) for stage in self.stages)
        return first, second, third

    def batches(self, rows: npt.NDArray[np.intp], size: int) -> list[npt.NDArray[np.intp]]:
        """Split row numbers into consecutive batches of `size`; the last may be smaller."""
        return [rows[first : first + size] for first in range(0, len(rows), size)]


@torch.no_grad()
def compute_features(teacher: Teacher, tiles: UInt8Array, folder: Path) -> FeatureStore:
    """Run the teacher over tiles and store its features.

    Args:
        teacher: The teacher, on the device to compute on.
        tiles: uint8 (n, H, W, 3), BGR.
        folder: Folder for the files; an existing one is replaced.

    Raises:
        WeightsError: A feature is not finite.
        StorageError: Disk full.
    """
    device = next(teacher.parameters()).device
    with storage_errors(folder, "Free some space, then go on with --resume."), ExitStack() as stack:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        files = [stack.enter_context((folder / name).open("wb")) for name in _FILES]
        for first in range(0, len(tiles), _TILES_AT_ONCE):
            frames = torch.from_numpy(np.array(tiles[first : first + _TILES_AT_ONCE])).to(device)
            found: tuple[Tensor, ...] = teacher(image_from_frames(frames, teacher.info))
            _check_finite(found, first)
            for file, stage in zip(files, found, strict=True):
                if not first:
                    header = {"descr": "<f2", "fortran_order": False, "shape": (len(tiles), *stage.shape[1:])}
                    np.lib.format.write_array_header_1_0(file, header)
                # written, not memory-mapped: in mapped memory a full disk kills the process without an error
                file.write(stage.clamp(-_LARGEST, _LARGEST).half().cpu().numpy().astype("<f2").tobytes())
    return FeatureStore.open(folder)


def _check_finite(found: tuple[Tensor, ...], first: int) -> None:
    if not all(bool(stage.isfinite().all()) for stage in found):
        raise WeightsError(
            f"The teacher's features of pictures {first + 1} to {first + len(found[0])} are not finite.",
            expected="finite features",
            hint="Check the teacher weights.",
        )
