"""A run folder: what is trained, on what, and how far it is.

    run.json                  the record: configuration, pictures used, held out and skipped
    train.npy, holdout.npy    the prepared pictures, uint8 (n, T, H, W, 3)
    good_pictures.html        training pictures that may not be good, where there are such
    checkpoint.safetensors    the networks, the optimiser, scores of training pictures by models that never saw them
    teacher.safetensors       the teacher, while a training goes on that saves often
    tuned.safetensors         the same after a fine-tune for INT8, where there was one

Pictures are prepared once; training, resuming and exporting then read the same bytes, whatever becomes of the folder of
pictures.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from shlex import quote

import numpy as np
from pydantic import Field

from edgerd import __version__
from edgerd.bundle.manifest import PictureLimits, PictureSize, PreprocessSpec, Record
from edgerd.data.dataset import Dataset, fingerprint, split_holdout
from edgerd.data.pictures import picture_sha256
from edgerd.data.prepared import read_prepared
from edgerd.data.shapes import counted_sizes
from edgerd.errors import InputError, SpecError
from edgerd.paths import exists
from edgerd.precision.ranges import USUAL_PICTURES
from edgerd.storage import replaced_file, storage_errors
from edgerd.training.run_files import HOLDOUT_FILE, RECORD_FILE, TRAIN_FILE, refuse_taken, write_run
from edgerd.types import UInt8Array


class TrainingConfig(Record):
    """Everything that decides what training gives."""

    teacher: str = "lite0"
    student: str = "light"
    method: str = "edge"
    preprocess: PreprocessSpec = PreprocessSpec()
    epochs: int | None = Field(default=None, ge=1)
    """None for the method's own number."""
    steps: int | None = Field(default=None, ge=1)
    """Ends training where it is set, whatever `epochs` says."""
    tuning_steps: int | None = Field(default=None, ge=1)
    """Of the fine-tune for INT8; None where none was asked for."""
    batch_size: int = Field(default=16, ge=1)
    holdout: float | None = Field(default=None, gt=0.0, lt=1.0)
    """Part of the good pictures kept for the threshold, 8 at least; None to train on all of them."""
    cross_fit: int = Field(default=4, ge=2)
    """Folds of the pictures, where all of them are trained on: each is looked at by a student that never saw it."""
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
    sizes: tuple[PictureSize, ...] = ()
    """The sizes of the good pictures, the most common first. Runs of older versions list none."""


@dataclass(frozen=True)
class RunFolder:
    """A run folder on disk."""

    path: Path
    record: RunRecord

    @property
    def checkpoint_file(self) -> Path:
        """Where the checkpoint is, or will be."""
        return self.path / "checkpoint.safetensors"

    @property
    def tuned_file(self) -> Path:
        """Where the checkpoint of a fine-tune for INT8 is, or will be."""
        return self.path / "tuned.safetensors"

    @property
    def good_pictures_file(self) -> Path:
        """Where the page about suspicious training pictures is, or will be; there is none without such pictures."""
        return self.path / "good_pictures.html"

    @property
    def newest_checkpoint_file(self) -> Path:
        """The checkpoint to export or to tune: the tuned one where there is one."""
        return self.tuned_file if exists(self.tuned_file) else self.checkpoint_file

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
            SpecError: Region or tiles do not fit a picture, or the batch is too small for the picture size.
            StorageError: Disk full; nothing is left at `path`.
        """
        refuse_taken(path, data)
        _refuse_single_values(config)
        dataset = Dataset.open_good(data)
        prepared = read_prepared(dataset.train_good, config.preprocess, strict=strict)
        order = {file: index for index, file in enumerate(prepared.paths)}
        train, holdout = split_holdout(prepared.paths, config.holdout, config.seed)
        record = RunRecord(
            edgerd_version=__version__,
            config=config,
            data=_as_text(data),
            data_fingerprint=fingerprint(prepared.paths, data),
            limits=prepared.limits,
            train=tuple(_as_text(file) for file in train),
            holdout=tuple(_as_text(file) for file in holdout),
            skipped={_as_text(picture.path): _as_text(picture.reason) for picture in prepared.skipped},
            sizes=counted_sizes(prepared.sizes),
        )
        pictures = {TRAIN_FILE: train, HOLDOUT_FILE: holdout}
        write_run(
            path,
            _as_json(record),
            {name: prepared.pictures[[order[file] for file in pictures[name]]] for name in pictures},
        )
        return cls(path, record)

    @classmethod
    def open(cls, path: Path) -> RunFolder:
        """Open a run that `prepare` has started.

        Raises:
            InputError: There is no run at `path`, or its record is damaged.
        """
        file = path / RECORD_FILE
        try:
            record = RunRecord.model_validate(json.loads(file.read_bytes()))
        except (FileNotFoundError, NotADirectoryError) as error:
            raise InputError(
                f"There is no run at {path}.",
                expected=f"a folder with a {RECORD_FILE}",
                hint=f"edgerd train DATA -o {quote(str(path))}",
            ) from error
        except OSError as error:
            raise InputError(
                f"{file} cannot be read: {error.strerror}.", hint="Check its permissions, and the disk."
            ) from error
        except ValueError as error:
            raise InputError(
                f"{file} cannot be read: {_first_line(error)}.",
                expected="a record that this version of edgerd train has written",
                hint="Train again into another folder.",
            ) from error
        return cls(path, record)

    def is_of(self, data: Path) -> bool:
        """Whether a folder holds the pictures the run was started with; those that were skipped do not count."""
        skipped = {str(Path(file).relative_to(self.record.data)) for file in self.record.skipped}
        used = [file for file in Dataset.open_good(data).train_good if _as_text(file.relative_to(data)) not in skipped]
        return fingerprint(used, data) == self.record.data_fingerprint

    def extend(self, *, epochs: int | None = None, steps: int | None = None) -> RunFolder:
        """The same run with another number of epochs or steps to do in all; what is done counts.

        Raises:
            StorageError: Disk full; the record is unchanged.
        """
        return self._with_config(epochs=epochs, steps=steps)

    def tune_for(self, steps: int) -> RunFolder:
        """The same run with so many steps of a fine-tune for INT8 to do in all; what is done counts.

        Raises:
            StorageError: Disk full; the record is unchanged.
        """
        return self._with_config(tuning_steps=steps)

    def _with_config(self, **changes: int | None) -> RunFolder:
        config = self.record.config.model_copy(update=changes)
        record = self.record.model_copy(update={"config": config})
        with storage_errors(self.path), replaced_file(self.path / RECORD_FILE) as part:
            part.write_text(_as_json(record), encoding="utf-8")
        return RunFolder(self.path, record)

    def training_tiles(self) -> UInt8Array:
        """The training pictures' tiles, uint8 (n * T, H, W, 3), memory-mapped.

        Raises:
            InputError: They are missing or damaged.
        """
        pictures = self._pictures(TRAIN_FILE)
        return pictures.reshape(-1, *pictures.shape[2:])

    def holdout_pictures(self) -> UInt8Array:
        """The held-out good pictures, uint8 (n, T, H, W, 3).

        Raises:
            InputError: They are missing or damaged.
        """
        return np.array(self._pictures(HOLDOUT_FILE))

    def range_pictures(self, n: int = USUAL_PICTURES) -> UInt8Array:
        """Up to `n` training pictures spread evenly, uint8 (n, T, H, W, 3): what quantization takes its ranges from.

        Raises:
            InputError: They are missing or damaged.
        """
        pictures = self._pictures(TRAIN_FILE)
        chosen = np.unique(np.linspace(0, len(pictures) - 1, min(n, len(pictures))).round().astype(int))
        return np.ascontiguousarray(pictures[chosen])

    def training_pictures_sha256(self) -> frozenset[str]:
        """By what each training picture is known (`edgerd.data.pictures.picture_sha256`), whatever its file is called.

        Raises:
            InputError: They are missing or damaged.
        """
        return frozenset(picture_sha256(picture) for picture in self._pictures(TRAIN_FILE))

    def _pictures(self, name: str) -> UInt8Array:
        file = self.path / name
        try:
            pictures: UInt8Array = np.load(file, mmap_mode="r")
        except (OSError, ValueError, EOFError) as error:
            raise InputError(
                f"{file} cannot be read: {_first_line(error)}.",
                expected="the prepared pictures that edgerd train has written",
                hint=f"edgerd train {quote(self.record.data)} -o ANOTHER_RUN",
            ) from error
        return pictures


def _refuse_single_values(config: TrainingConfig) -> None:
    """The embedding of a 32 px picture is one position: BatchNorm has no statistics of a single value."""
    spec = config.preprocess
    if config.batch_size == 1 and spec.height == spec.width == 32:
        raise SpecError(
            "Pictures of 32x32 px cannot be trained on one at a time.",
            expected="a batch of 2 at least, or larger pictures",
            hint="--batch-size 16, or --image-size 64",
        )


def _as_json(record: RunRecord) -> str:
    return record.model_dump_json(indent=2) + "\n"


def _as_text(path: Path | str) -> str:
    """A path as JSON can hold it: a byte that is no UTF-8 is written as its escape."""
    return str(path).encode(errors="backslashreplace").decode()


def _first_line(error: Exception) -> str:
    return (getattr(error, "strerror", None) or str(error)).partition("\n")[0]
