"""A checkpoint: one safetensors file with student, teacher and optimiser, replaced as a whole.

Metadata of the file holds where training stood. Nothing is pickled.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from edgerd.errors import StorageError, WeightsError
from edgerd.models.weights import check_finite


@dataclass(frozen=True)
class Progress:
    """Where training stands: `epoch` full ones are done, and `step` steps of the next; `total_steps` in all."""

    epoch: int = 0
    step: int = 0
    total_steps: int = 0


def save_checkpoint(
    file: Path,
    progress: Progress,
    student: Mapping[str, Tensor],
    teacher: Mapping[str, Tensor],
    optimiser: torch.optim.Optimizer,
) -> None:
    """Write a checkpoint atomically.

    Raises:
        StorageError: Disk full or no permission; the checkpoint before it is still there.
    """
    tensors = {f"student.{key}": value for key, value in student.items()}
    tensors |= {f"teacher.{key}": value for key, value in teacher.items()}
    for index, state in optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser.{index}.{key}": value for key, value in state.items()}
    plain = {key: value.detach().cpu().contiguous() for key, value in tensors.items()}
    part = file.with_name(f".{file.name}.partial")
    try:
        save_file(plain, part, metadata={key: str(value) for key, value in asdict(progress).items()})
        with part.open("rb") as handle:
            os.fsync(handle.fileno())
        part.replace(file)
    except (OSError, SafetensorError) as error:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        full = getattr(error, "errno", None) == errno.ENOSPC or "No space left" in str(error)
        raise StorageError(
            f"{file} could not be written: {'the disk is full' if full else error}.",
            expected=f"{sum(v.nbytes for v in plain.values()) / 1e6:.0f} MB of space",
            hint="Free some space, then go on with --resume; the last checkpoint is unchanged.",
        ) from error


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint holds; tensors on the CPU."""

    progress: Progress
    student: dict[str, Tensor]
    teacher: dict[str, Tensor]
    optimiser: dict[int, dict[str, Tensor]]

    @classmethod
    def open(cls, file: Path) -> Checkpoint:
        """Read a checkpoint.

        Raises:
            WeightsError: It is missing, damaged, or holds NaN or infinity.
        """
        try:
            with safe_open(file, framework="pt") as handle:
                metadata = handle.metadata()
                tensors = {key: handle.get_tensor(key) for key in handle.keys()}  # noqa: SIM118  not a mapping
            progress = Progress(**{key: int(value) for key, value in metadata.items()})
        except (OSError, SafetensorError, TypeError, ValueError, AttributeError) as error:
            raise WeightsError(
                f"{file} cannot be read as a checkpoint: {error}",
                expected="a checkpoint that edgerd train has written",
                hint="edgerd train DATA -o RUN",
            ) from error
        check_finite(tensors, str(file))
        optimiser: dict[int, dict[str, Tensor]] = {}
        for key, tensor in _under("optimiser.", tensors).items():
            index, name = key.split(".", 1)
            optimiser.setdefault(int(index), {})[name] = tensor
        return cls(progress, _under("student.", tensors), _under("teacher.", tensors), optimiser)


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
