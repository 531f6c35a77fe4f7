"""The student of `edge`: trained on stored features, with hard mining, in as many processes as there are cores.

The loss is RD4AD's, one cosine per picture and scale, with two additions: positions that are already right get a tenth
of the gradient (Guo et al., "Dinomaly", CVPR 2025, section 3.4; the share of them grows over the first half of
training), and the features are dropped out before the embedding, so that the student cannot copy them ("noisy
bottleneck", section 3.2 there).
"""

from __future__ import annotations

import math
import multiprocessing
import queue
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from edgerd.errors import StorageError, WeightsError
from edgerd.models.networks import cosine_maps
from edgerd.models.student import Student, make_student
from edgerd.models.teachers import make_teacher
from edgerd.training.device import autocast, deterministic, use_threads
from edgerd.training.features import FeatureStore
from edgerd.training.report import finite
from edgerd.training.tensor_file import write_tensors
from edgerd.types import Float32Array

LEARNING_RATE = 2e-3
_LAST_LEARNING_RATE = 2e-4
_WARM_UP_STEPS = 30
_WEIGHT_DECAY = 1e-5
_DROPOUT = 0.2
_EASY_GRADIENT = 0.1
"""What is left of the gradient at positions that are already right."""
_EASY_SHARE = 0.9
"""Of the positions, from the middle of training on; it grows from 0."""
_ROWS_AT_ONCE = 16
_POLL_S = 0.2


@dataclass(frozen=True)
class StudentJob:
    """One student to train, and what it should look at once it is trained.

    Attributes:
        name: For people: "fold 2 of 5".
        teacher: Name of the teacher, whose features are in `features`.
        student: Name of the student.
        finest: The first of the teacher's stages that it gives back; it sees all three.
        features: Folder of the stored features.
        rows: Tiles to train on.
        looks_at: Tiles whose maps are wanted; none for the student that is kept.
        steps: Batches to train on.
        batch_size: Tiles per batch.
        seed: Of weights and batches. Students of one run share it: they differ in their pictures alone.
        file: Where student and maps go, once it is done; as safetensors.
    """

    name: str
    teacher: str
    student: str
    finest: int
    features: Path
    rows: npt.NDArray[np.intp]
    looks_at: npt.NDArray[np.intp]
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
    """Train the student, look, and write the file.

    Args:
        job: What to do.
        device: Where to compute.
        on_step: Told the loss of each step, 0 to 4.
        should_stop: Asked after each step but the last.

    Returns:
        False where it was stopped; nothing is written then.

    Raises:
        WeightsError: The loss is not finite.
        StorageError: Disk full.
    """
    store = FeatureStore.open(job.features)
    student = _trained(job, store, device, on_step, should_stop)
    if student is None:
        return False
    content = {f"student.{key}": value for key, value in student.cpu().state_dict().items()}
    if len(job.looks_at):
        maps = student_maps(student, store, job.looks_at)
        content |= {f"map.{scale}": torch.from_numpy(one) for scale, one in enumerate(maps)}
    write_tensors(job.file, content, {}, "Free some space, then go on with --resume.")
    return True


@torch.no_grad()
def student_maps(student: Student, store: FeatureStore, rows: npt.NDArray[np.intp]) -> tuple[Float32Array, ...]:
    """1 - cosine of some tiles, per scale float32 (len(rows), h_k, w_k), finest first."""
    scales: list[list[Tensor]] = [[] for _ in range(student.finest, 3)]
    for some in store.batches(rows, _ROWS_AT_ONCE):
        features = store[some]
        for maps, found in zip(scales, cosine_maps(features[student.finest :], student(features)), strict=True):
            maps.append(found)
    return tuple(torch.cat(maps).numpy() for maps in scales)


def mined_loss(teacher: tuple[Tensor, ...], student: tuple[Tensor, ...], easy_share: float) -> Tensor:
    """RD4AD's loss, with less gradient where the student is right already.

    Args:
        teacher: Features, finest first.
        student: Their reconstruction.
        easy_share: Of the positions of the batch, those with the smallest distance, 0 to 1, per scale.

    Returns:
        Scalar, float32, 0 to 2 per scale; its value does not depend on the share.
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
    """A batch per step: the tiles in a fresh order again and again, cut into batches that are all of one size."""
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


def run_jobs(
    jobs: Sequence[StudentJob],
    n_processes: int,
    device: torch.device,
    on_step: Callable[[str, float], None] = lambda _, __: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> bool:
    """Run jobs, several at a time on a CPU; each writes its file.

    Args:
        jobs: What to do.
        n_processes: How many at a time; 1, and a GPU, run them in this process, one after another.
        device: Where to compute.
        on_step: Told the job's name and the loss of each step.
        should_stop: Asked all the time.

    Returns:
        False where it was stopped: jobs that were done have their files.

    Raises:
        As `run_job`.
    """
    if n_processes == 1 or device.type != "cpu" or len(jobs) < 2:
        return all(not should_stop() and run_job(job, device, partial(on_step, job.name), should_stop) for job in jobs)
    context = multiprocessing.get_context("spawn")
    todo, told, stop = context.Queue(), context.Queue(), context.Event()
    n_processes = min(n_processes, len(jobs))
    for index in [*range(len(jobs)), *[None] * n_processes]:
        todo.put(index)
    processes = [
        context.Process(target=_work, args=(list(jobs), todo, told, stop), daemon=True) for _ in range(n_processes)
    ]
    with _ignored_interrupts():
        for process in processes:
            process.start()
    try:
        return _listen(jobs, processes, told, stop, on_step, should_stop)
    finally:
        stop.set()
        for process in processes:
            process.join(timeout=10)
            if process.is_alive():
                process.terminate()


def _listen(
    jobs: Sequence[StudentJob],
    processes: Sequence[Any],
    told: Any,
    stop: Any,
    on_step: Callable[[str, float], None],
    should_stop: Callable[[], bool],
) -> bool:
    n_done = 0
    while n_done < len(jobs):
        if should_stop():
            stop.set()
            return False
        is_anyone_there = any(process.is_alive() for process in processes)
        try:
            kind, index, value = told.get(timeout=_POLL_S)
        except queue.Empty:
            if not is_anyone_there:
                raise WeightsError(
                    "The processes that train the students ended before they were done.",
                    expected="enough memory for them",
                    hint="Train with --threads 1, or go on with --resume.",
                ) from None
            continue
        if kind == "failed":
            raise value
        if kind == "done":
            n_done += 1
        else:
            on_step(jobs[index].name, value)
    return True


@contextmanager
def _ignored_interrupts() -> Iterator[None]:
    """Processes that are started inside ignore Ctrl-C from the first moment: it is for the one that started them."""
    if threading.current_thread() is not threading.main_thread():  # no other may say what a signal does
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _work(jobs: Sequence[StudentJob], todo: Any, told: Any, stop: Any) -> None:
    """One process: takes jobs until there are none. Ctrl-C is for the process that started it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    use_threads(1)
    while not stop.is_set() and (index := todo.get()) is not None:
        try:
            done = run_job(
                jobs[index],
                torch.device("cpu"),
                lambda loss, index=index: told.put(("step", index, loss)),  # type: ignore[misc]
                stop.is_set,
            )
        except (WeightsError, StorageError) as error:
            told.put(("failed", index, error))
            return
        if done:
            told.put(("done", index, 0.0))
