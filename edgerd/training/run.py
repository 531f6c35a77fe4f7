"""A run folder: what is trained, on what, and how far it is.

    run.json                  the record: configuration, pictures used, held out and skipped
    train.npy, holdout.npy    the prepared pictures, uint8 (n, T, H, W, 3)
    checkpoint.safetensors    student, teacher, optimiser

Pictures are prepared once; training, resuming and exporting then read the same bytes, whatever becomes of the folder of
pictures.
"""

from __future__ import annotations

import contextlib
import errno
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import Field, ValidationError

from edgerd import __version__
from edgerd.data.dataset import Dataset, fingerprint, split_holdout
from edgerd.data.prepared import read_prepared
from edgerd.errors import InputError, StorageError
from edgerd.manifest import PictureLimits, PreprocessSpec, Record
from edgerd.types import UInt8Array

RECORD_FILE = "run.json"


class TrainingConfig(Record):
    """Everything that decides what training gives."""

    teacher: str = "resnet18"
    student: str = "full"
    method: str = "rd4ad"
    preprocess: PreprocessSpec = PreprocessSpec()
    epochs: int | None = Field(default=None, ge=1)
    """None for the method's own number."""
    steps: int | None = Field(default=None, ge=1)
    """Ends training where it is set, whatever `epochs` says."""
    batch_size: int = Field(default=16, ge=1)
    holdout: float = Field(default=0.1, gt=0.0, lt=1.0)
    """Part of the good pictures kept for the threshold; 8 at least."""
    seed: int = Field(default=0, ge=0)


class RunRecord(Record):
    """`run.json`."""

    edgerd_version: str
    config: TrainingConfig
    data: str
    data_fingerprint: str
    limits: PictureLimits
    train: tuple[str, ...]
    holdout: tuple[str, ...]
    skipped: dict[str, str] = Field(default_factory=dict)
    """Pictures that could not be read, and why."""


@dataclass(frozen=True)
class RunFolder:
    """A run folder on disk."""

    path: Path
    record: RunRecord

    @property
    def checkpoint_file(self) -> Path:
        """Where the checkpoint is, or will be."""
        return self.path / "checkpoint.safetensors"

    @classmethod
    def prepare(cls, path: Path, data: Path, config: TrainingConfig, *, strict: bool = False) -> RunFolder:
        """Read the good pictures of a data set, split them, and start a run folder.

        Args:
            path: The folder; must be free or empty.
            data: MVTec layout or a folder of good pictures.
            config: What to train.
            strict: Stop at the first picture that cannot be read instead of leaving it out.

        Raises:
            DatasetError: Too few pictures, or defects among the good ones.
            PictureError: A picture cannot be read, with `strict`.
            InputError: `path` is taken.
            StorageError: Disk full.
        """
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise InputError(
                f"{path} is not empty.",
                expected="a new folder for the run",
                hint=f"edgerd train {data} -o {path} --resume goes on with a run; or choose another name with -o.",
            )
        dataset = Dataset.open(data)
        prepared = read_prepared(dataset.train_good, config.preprocess, strict=strict)
        order = {file: index for index, file in enumerate(prepared.paths)}
        train, holdout = split_holdout(prepared.paths, config.holdout, config.seed)
        record = RunRecord(
            edgerd_version=__version__,
            config=config,
            data=str(data),
            data_fingerprint=fingerprint(prepared.paths, data),
            limits=prepared.limits,
            train=tuple(str(file) for file in train),
            holdout=tuple(str(file) for file in holdout),
            skipped={str(picture.path): picture.reason for picture in prepared.skipped},
        )
        with _storage_errors(path):
            path.mkdir(parents=True, exist_ok=True)
            for name, files in (("train", train), ("holdout", holdout)):
                np.save(path / f"{name}.npy", prepared.pictures[[order[file] for file in files]])
            (path / RECORD_FILE).write_text(record.model_dump_json(indent=2) + "\n")
        return cls(path, record)

    @classmethod
    def open(cls, path: Path) -> RunFolder:
        """Open a run that `prepare` has started.

        Raises:
            InputError: There is no run at `path`.
        """
        try:
            record = RunRecord.model_validate(json.loads((path / RECORD_FILE).read_bytes()))
        except (OSError, ValueError, ValidationError) as error:
            raise InputError(
                f"There is no run at {path}.",
                expected=f"a folder with a {RECORD_FILE}",
                hint=f"edgerd train DATA -o {path}",
            ) from error
        return cls(path, record)

    def is_of(self, data: Path) -> bool:
        """Whether a folder holds the pictures the run was started with."""
        readable = [path for path in Dataset.open(data).train_good if str(path) not in self.record.skipped]
        return fingerprint(readable, data) == self.record.data_fingerprint

    def extend(self, *, epochs: int | None = None, steps: int | None = None) -> RunFolder:
        """The same run with more epochs or steps to do."""
        config = self.record.config.model_copy(update={"epochs": epochs, "steps": steps})
        record = self.record.model_copy(update={"config": config})
        with _storage_errors(self.path):
            (self.path / RECORD_FILE).write_text(record.model_dump_json(indent=2) + "\n")
        return RunFolder(self.path, record)

    def training_tiles(self) -> UInt8Array:
        """The training pictures' tiles, uint8 (n * T, H, W, 3), memory-mapped."""
        pictures = np.load(self.path / "train.npy", mmap_mode="r")
        tiles: UInt8Array = pictures.reshape(-1, *pictures.shape[2:])
        return tiles

    def holdout_pictures(self) -> UInt8Array:
        """The held-out good pictures, uint8 (n, T, H, W, 3)."""
        pictures: UInt8Array = np.load(self.path / "holdout.npy")
        return pictures

    def range_pictures(self, n: int) -> UInt8Array:
        """`n` training pictures spread evenly, uint8 (n, T, H, W, 3): what quantisation takes its ranges from."""
        pictures = np.load(self.path / "train.npy", mmap_mode="r")
        chosen = np.unique(np.linspace(0, len(pictures) - 1, min(n, len(pictures))).round().astype(int))
        return np.ascontiguousarray(pictures[chosen])


@contextlib.contextmanager
def _storage_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = "the disk is full" if error.errno in (errno.ENOSPC, errno.EDQUOT) else error.strerror or str(error)
        raise StorageError(
            f"{path} could not be written: {reason}.", hint="Free some space, then train again."
        ) from error
