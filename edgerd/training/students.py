"""The students of method `edge`: trained on stored features, with hard mining.

The loss is RD4AD's, one cosine per picture and scale, with two additions from Guo et al., "Dinomaly" (CVPR 2025).
Positions that are reconstructed well get a tenth of the gradient (section 3.4; the share of these positions grows over
the first half of training). And the features pass through dropout before the embedding, so that the student cannot
copy them ("noisy bottleneck", section 3.2).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from edgerd.models.networks import cosine_maps
from edgerd.models.student import Student, make_student
from edgerd.models.teachers import make_teacher
from edgerd.training.device import autocast, deterministic
from edgerd.training.step_report import finite
from edgerd.training.stored_features import FeatureStore
from edgerd.training.tensor_file import write_tensors
from edgerd.types import Float32Array

LEARNING_RATE = 2e-3
_LAST_LEARNING_RATE = 2e-4
_WARM_UP_STEPS = 30
_WEIGHT_DECAY = 1e-5
_DROPOUT = 0.2
_EASY_GRADIENT = 0.1
"""The part of the gradient that easy positions get, those that are reconstructed well."""
_EASY_SHARE = 0.9
"""Share of positions that count as easy: it grows from 0 to this until the middle of training."""
_ROWS_AT_ONCE = 16


@dataclass(frozen=True)
class StudentJob:
    """One student to train, and the tiles that it makes maps of once it is trained.

    Attributes:
        name: Name for people: "fold 2 of 5".
        teacher: Name of the teacher, whose features are in `features`.
        student: Name of the student in `STUDENTS`.
        finest: Index of the finest of the teacher's stages that the student reconstructs; it sees all three.
        features: Folder of the stored features.
        rows: Row numbers of the tiles to train on.
        map_rows: Row numbers of the tiles to make maps of; none for the student that is kept.
        steps: Batches to train on.
        batch_size: Tiles per batch.
        seed: Seed of weights and batches. The students of a run share it, so that they differ in their pictures alone.
        file: The safetensors file that student and maps are written to in the end.
    """

    name: str
    teacher: str
    student: str
    finest: int
    features: Path
    rows: npt.NDArray[np.intp]
    map_rows: npt.NDArray[np.intp]
    steps: int
    batch_size: int
    seed: int
    file: Path


@deterministic()
def run_job(
    job: StudentJob,
    device: torch.device,
    on_step: Callable[[float], None] = lambda _: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> bool:
    """Train the student, make its maps, and write the file.

    Args:
        job: What to do.
        device: The device to compute on.
        on_step: Called with the loss of each step, 0 to 2 per scale.
        should_stop: Asked after each step but the last.

    Returns:
        Whether the job is done; False where it was stopped, and nothing is written then.

    Raises:
        WeightsError: The loss is not finite.
        StorageError: Disk full.
    """
    store = FeatureStore.open(job.features)
    student = _trained(job, store, device, on_step, should_stop)
    if student is None:
        return False
    content = {f"student.{key}": value for key, value in student.cpu().state_dict().items()}
    if len(job.map_rows):
        maps = student_maps(student, store, job.map_rows)
        content |= {f"map.{scale}": torch.from_numpy(one) for scale, one in enumerate(maps)}
    write_tensors(job.file, content, {}, "Free some space, then go on with --resume.")
    return True


@torch.no_grad()
def student_maps(student: Student, store: FeatureStore, rows: npt.NDArray[np.intp]) -> tuple[Float32Array, ...]:
    """The student's maps of some tiles, 1 - cosine: per scale float32 (len(rows), h_k, w_k), finest first."""
    scales: list[list[Tensor]] = [[] for _ in range(student.finest, 3)]
    for some in store.batches(rows, _ROWS_AT_ONCE):
        features = store[some]
        for maps, found in zip(scales, cosine_maps(features[student.finest :], student(features)), strict=True):
            maps.append(found)
    return tuple(torch.cat(maps).numpy() for maps in scales)


def mined_loss(teacher: tuple[Tensor, ...], student: tuple[Tensor, ...], easy_share: float) -> Tensor:
    """RD4AD's loss, with less gradient where the student's reconstruction is good already.

    Args:
        teacher: Features, finest first, each (N, c_k, h_k, w_k).
        student: Their reconstruction, in the same shapes.
        easy_share: Share of the batch's positions at each scale, those with the smallest distance, whose gradient is
            reduced; 0 to 1.

    Returns:
        A scalar, float32, 0 to 2 per scale; `easy_share` changes its gradient, not its value.
    """
    losses = []
    for wanted, given in zip(teacher, student, strict=True):
        wanted, given = wanted.float(), given.float()
        if easy_share > 0:
            distance = 1 - F.cosine_similarity(wanted, given.detach(), dim=1)
            n_easy = max(1, int(easy_share * distance.numel()))
            limit = distance.flatten().kthvalue(n_easy).values
            weight = torch.where(distance <= limit, _EASY_GRADIENT, 1.0)[:, None]
            given = weight * given + (1 - weight) * given.detach()
        losses.append(1 - F.cosine_similarity(wanted.flatten(1), given.flatten(1), dim=1).mean())
    return torch.stack(losses).sum()


def _trained(
    job: StudentJob,
    store: FeatureStore,
    device: torch.device,
    on_step: Callable[[float], None],
    should_stop: Callable[[], bool],
) -> Student | None:
    torch.manual_seed(job.seed)
    student = make_student(make_teacher(job.teacher).info, job.student, job.finest).to(device).train()
    optimiser = torch.optim.AdamW(student.parameters(), LEARNING_RATE, weight_decay=_WEIGHT_DECAY)
    for step, rows in enumerate(_batches(job)):
        for group in optimiser.param_groups:
            group["lr"] = _learning_rate(step, job.steps)
        first, second, third = (stage.to(device) for stage in store[rows])
        seen = F.dropout(first, _DROPOUT), F.dropout(second, _DROPOUT), F.dropout(third, _DROPOUT)
        wanted = (first, second, third)[job.finest :]
        with autocast(device):
            given = student(seen)
        loss = mined_loss(wanted, given, min(_EASY_SHARE, 2 * _EASY_SHARE * step / job.steps))
        optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        optimiser.step()
        on_step(finite(loss, f"step {step + 1} of {job.name}"))
        if step + 1 < job.steps and should_stop():
            return None
    return student.eval()


def _batches(job: StudentJob) -> list[npt.NDArray[np.intp]]:
    """The rows of each step's batch: all tiles in one random order after another, cut into batches of equal size."""
    rng = np.random.default_rng(job.seed)
    size = min(job.batch_size, len(job.rows))
    n_orders = -(-job.steps * size // len(job.rows))
    order = np.concatenate([rng.permutation(job.rows) for _ in range(n_orders)])
    return list(order[: job.steps * size].reshape(job.steps, size))


def _learning_rate(step: int, n_steps: int) -> float:
    """A linear warm-up, then a half cosine down to a tenth."""
    cosine = 0.5 * (1 + math.cos(math.pi * step / n_steps))
    falling = _LAST_LEARNING_RATE + (LEARNING_RATE - _LAST_LEARNING_RATE) * cosine
    return falling * min(1.0, (step + 1) / min(_WARM_UP_STEPS, n_steps))
