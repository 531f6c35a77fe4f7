"""A checkpoint: one safetensors file with the networks and the optimiser, replaced as a whole.

The file's metadata holds how far training is, the scores of cross-fitting where there are any, and a hash over both
and the tensors. Nothing is pickled. While training goes on, the teacher may be in a file beside the checkpoint, so that
it is not written again with every checkpoint, which then holds its hash.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from shlex import quote

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from edgerd.bundle.manifest import CrossFitRecord
from edgerd.errors import WeightsError
from edgerd.models.fusion import RD4AD_FUSION, Fusion
from edgerd.models.weights import check_finite, tensors_sha256
from edgerd.paths import exists, is_file, why_missing
from edgerd.training.tensor_file import write_tensors

_HASH = "sha256"
_CROSS_FIT = "cross_fit"
_SCALES = "scales"
_FUSION = "fusion"
_TEACHER_SHA256 = "teacher_sha256"
_SAVE_EVERY_S = 300.0
_TEACHER_FILE = "teacher.safetensors"
_GO_ON = "Free some space, then go on with --resume; the last checkpoint is unchanged."


@dataclass(frozen=True)
class Progress:
    """How far training is.

    Attributes:
        epoch: Full epochs that are done.
        step: Steps that are done of the next epoch.
        total_steps: Steps that are done in all.
        tuning_steps: Steps that are done of a fine-tune for INT8, after all of those.
    """

    epoch: int = 0
    step: int = 0
    total_steps: int = 0
    tuning_steps: int = 0


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint holds; tensors on the CPU.

    Attributes:
        progress: How far training is.
        student: The student's state; empty where there is no student.
        teacher: The teacher's state.
        optimiser: The optimiser's state of each parameter, by the parameter's index; empty where training does not go
            on from this checkpoint.
        prototypes: The prototypes' state; empty where there are none.
        positions: The state of the position statistics; empty where there are none.
        fusion: Weights of the maps, and how the score is taken.
        cross_fit: Scores of the training pictures, each by networks that never saw it; None where there are none.
        scales: Scale and zero point of each activation that a fine-tune for INT8 rounds, float64 (n, 2); None without
            a fine-tune.
    """

    progress: Progress
    student: dict[str, Tensor]
    teacher: dict[str, Tensor]
    optimiser: dict[int, dict[str, Tensor]]
    prototypes: dict[str, Tensor]
    positions: dict[str, Tensor]
    fusion: Fusion
    cross_fit: CrossFitRecord | None = None
    scales: Tensor | None = None

    @classmethod
    def open(cls, file: Path) -> Checkpoint:
        """Read a checkpoint.

        Raises:
            WeightsError: It is missing, damaged, or holds NaN or infinity.
        """
        if not is_file(file):
            raise WeightsError(
                why_missing(file, "checkpoint"),
                expected="a run that has trained for an epoch or was stopped",
                hint=f"edgerd train DATA -o {quote(str(file.parent))} --resume",
            )
        metadata, tensors = _read(file)
        if metadata.pop(_HASH, None) != _sha256(metadata, tensors):
            raise _unreadable(file, "it was changed, or is no checkpoint")
        teacher_sha256 = metadata.pop(_TEACHER_SHA256, None)
        if teacher_sha256 is not None:
            kept = file.with_name(_TEACHER_FILE)
            _, apart = _read(kept)
            if tensors_sha256(apart) != teacher_sha256:
                raise _unreadable(kept, f"it is not the teacher of {file.name}")
            tensors |= {f"teacher.{key}": value for key, value in apart.items()}
        check_finite(tensors, str(file))
        optimiser: dict[int, dict[str, Tensor]] = {}
        for key, tensor in _under("optimiser.", tensors).items():
            index, name = key.split(".", 1)
            optimiser.setdefault(int(index), {})[name] = tensor
        cross_fit = metadata.pop(_CROSS_FIT, None)
        progress = Progress(**{key: int(value) for key, value in metadata.items()})
        fusion = RD4AD_FUSION
        if _FUSION in tensors:
            *weights, score_share = tensors[_FUSION].tolist()
            fusion = Fusion(tuple(weights), score_share)
        student, teacher, prototypes, positions = (
            _under(f"{part}.", tensors) for part in ("student", "teacher", "prototypes", "positions")
        )
        return cls(
            progress,
            student,
            teacher,
            optimiser,
            prototypes,
            positions,
            fusion,
            CrossFitRecord.model_validate_json(cross_fit) if cross_fit else None,
            tensors.get(_SCALES),
        )


class SaveTimer:
    """Says when a checkpoint is due: at once, then five minutes after the last one.

    To save more often would wear out flash memory, and a power cut would cost minutes of work all the same.
    """

    def __init__(self) -> None:
        self._last: float | None = None

    def is_due(self) -> bool:
        """Whether to save now. The caller must save where it is True: the next five minutes begin then."""
        now = time.monotonic()
        if self._last is not None and now - self._last < _SAVE_EVERY_S:
            return False
        self._last = now
        return True


def keep_teacher_apart(checkpoint_file: Path, teacher: Mapping[str, Tensor]) -> str:
    """Write a teacher beside the checkpoints of a training.

    Args:
        checkpoint_file: Where the checkpoints go.
        teacher: The teacher's state.

    Returns:
        Its hash, which `save_checkpoint` takes in place of the state.

    Raises:
        StorageError: Disk full or no permission.
    """
    plain = _on_cpu(teacher)
    write_tensors(checkpoint_file.with_name(_TEACHER_FILE), plain, {}, _GO_ON)
    return tensors_sha256(plain)


def remove_teacher_apart(checkpoint_file: Path) -> None:
    """Remove the teacher beside a checkpoint that has it in itself; one that the checkpoint names stays.

    A file that cannot be removed does no harm, and is tried again when the training goes on.

    Raises:
        WeightsError: The checkpoint is damaged.
    """
    kept = checkpoint_file.with_name(_TEACHER_FILE)
    if exists(kept) and _TEACHER_SHA256 not in _metadata(checkpoint_file):
        with suppress(OSError):
            kept.unlink()


def save_checkpoint(
    file: Path,
    progress: Progress,
    student: Mapping[str, Tensor],
    teacher: Mapping[str, Tensor] | str,
    optimiser: torch.optim.Optimizer | None = None,
    scales: Tensor | None = None,
    *,
    prototypes: Mapping[str, Tensor] | None = None,
    positions: Mapping[str, Tensor] | None = None,
    fusion: Fusion | None = None,
    cross_fit: CrossFitRecord | None = None,
) -> None:
    """Write a checkpoint atomically. What is None is left out.

    Args:
        file: The checkpoint's file.
        progress: How far training is.
        student: The student's state; empty where there is no student.
        teacher: The teacher's state, or the hash of the one that `keep_teacher_apart` has written.
        optimiser: The optimiser to go on with.
        scales: float64 (n, 2), as `Checkpoint.scales`.
        prototypes: The prototypes' state.
        positions: The state of the position statistics.
        fusion: Weights of the maps; RD4AD's where it is None.
        cross_fit: Scores of the training pictures.

    Raises:
        StorageError: Disk full or no permission; the checkpoint before it is still there.
    """
    tensors = {f"student.{key}": value for key, value in student.items()}
    if not isinstance(teacher, str):
        tensors |= {f"teacher.{key}": value for key, value in teacher.items()}
    tensors |= {f"prototypes.{key}": value for key, value in (prototypes or {}).items()}
    tensors |= {f"positions.{key}": value for key, value in (positions or {}).items()}
    if fusion is not None:
        tensors[_FUSION] = torch.tensor([*fusion.weights, fusion.score_share], dtype=torch.float64)
    for index, state in optimiser.state_dict()["state"].items() if optimiser else ():
        tensors |= {f"optimiser.{index}.{key}": value for key, value in state.items()}
    if scales is not None:
        tensors[_SCALES] = scales
    plain = _on_cpu(tensors)
    metadata = {key: str(value) for key, value in asdict(progress).items()}
    if isinstance(teacher, str):
        metadata[_TEACHER_SHA256] = teacher
    if cross_fit is not None:
        metadata[_CROSS_FIT] = cross_fit.model_dump_json()
    write_tensors(file, plain, metadata | {_HASH: _sha256(metadata, plain)}, _GO_ON)


def _on_cpu(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {key: value.detach().cpu().contiguous() for key, value in tensors.items()}


def _read(file: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    try:
        with safe_open(file, framework="pt") as handle:
            tensors = {key: handle.get_tensor(key) for key in handle.keys()}  # noqa: SIM118  not a mapping
            return dict(handle.metadata() or {}), tensors
    except (OSError, SafetensorError) as error:
        raise _unreadable(file, str(error)) from error


def _metadata(file: Path) -> dict[str, str]:
    try:
        with safe_open(file, framework="pt") as handle:
            return dict(handle.metadata() or {})
    except (OSError, SafetensorError) as error:
        raise _unreadable(file, str(error)) from error


def _sha256(metadata: Mapping[str, str], tensors: Mapping[str, Tensor]) -> str:
    """Tells a damaged checkpoint from a whole one; hashing is faster than writing."""
    return hashlib.sha256(f"{sorted(metadata.items())} {tensors_sha256(tensors)}".encode()).hexdigest()


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}


def _unreadable(file: Path, reason: str) -> WeightsError:
    return WeightsError(
        f"{file} cannot be read as a checkpoint: {reason}.",
        expected="a checkpoint that edgerd train has written",
        hint=f"Remove it and train from the start: edgerd train DATA -o {quote(str(file.parent))} --resume",
    )
