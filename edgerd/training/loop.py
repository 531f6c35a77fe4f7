"""Method `rd4ad`: the training loop of Deng & Li's official code, to be read from top to bottom."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edgerd.errors import WeightsError
from edgerd.models.normalise import image_from_frames
from edgerd.models.student import make_student
from edgerd.models.teachers import Teacher
from edgerd.paths import exists
from edgerd.storage import storage_errors
from edgerd.training.checkpoint import (
    Checkpoint,
    Progress,
    SaveTimer,
    keep_teacher_apart,
    remove_teacher_apart,
    save_checkpoint,
)
from edgerd.training.device import DeviceName, autocast, deterministic, torch_device
from edgerd.training.restore import restore
from edgerd.training.run import RunFolder
from edgerd.training.step_report import StepReport, finite

EPOCHS = 200


def rd4ad_optimiser(parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
    """Adam, 5e-3, betas (0.5, 0.999)."""
    return torch.optim.Adam(parameters, lr=5e-3, betas=(0.5, 0.999))


def global_cosine_loss(teacher: tuple[Tensor, ...], student: tuple[Tensor, ...]) -> Tensor:
    """Sum over scales of the batch mean of 1 - cos, one cosine per picture and scale over all channels and positions.

    This is the loss of the official code; the paper's, with one cosine per position, trains worse. It is 0 to 6, and
    float32 for features of any dtype: a cosine near 1 needs more than the 8 bits of bfloat16.
    """
    losses = [
        1.0 - F.cosine_similarity(t.flatten(1).float(), s.flatten(1).float(), dim=1).mean()
        for t, s in zip(teacher, student, strict=True)
    ]
    return torch.stack(losses).sum()


@deterministic()
def train(
    run: RunFolder,
    teacher: Teacher,
    *,
    device: DeviceName = "auto",
    processes: int = 1,  # noqa: ARG001  one student, one process
    on_step: Callable[[StepReport], None] = lambda _: None,
    say: Callable[[str], None] = lambda _: None,  # noqa: ARG001  there is nothing to say beside the steps
    should_stop: Callable[[], bool] = lambda: False,
) -> Progress:
    """Train a student until the run's epochs or steps are done; go on from its checkpoint where there is one.

    A run that was stopped and resumed gives the same weights, bit for bit, as one that was not (on the same machine
    with the same number of threads).

    Args:
        run: Prepared by `RunFolder.prepare`.
        teacher: Pretrained; moved to the device. Where there is a checkpoint, the teacher is filled from it.
        device: "auto" takes CUDA where there is a CUDA device.
        processes: Not used: there is only one student to train.
        on_step: Called after each step.
        say: Not used: `on_step` reports everything.
        should_stop: Asked after each step; where it is True, the checkpoint is written before returning.

    Returns:
        How far training is at the end.

    Raises:
        WeightsError: The loss is not finite, or the checkpoint cannot be used.
        InputError: The run's pictures cannot be read.
        MissingDependencyError: "cuda" without a CUDA device.
        StorageError: The checkpoint could not be written.
    """
    config, target = run.record.config, torch_device(device)

    torch.manual_seed(config.seed)
    student = make_student(teacher.info, config.student).train()
    progress = Progress()
    checkpoint = Checkpoint.open(run.checkpoint_file) if exists(run.checkpoint_file) else None
    if checkpoint:
        restore(teacher, student, checkpoint, run)
        progress = checkpoint.progress
    for network in (teacher.to(target), student.to(target)):
        if target.type == "cuda":
            torch.nn.utils.convert_conv2d_weight_memory_format(network, torch.channels_last)
    optimiser = rd4ad_optimiser(student.parameters())
    if checkpoint:
        _finish_save(run, checkpoint)
        optimiser.load_state_dict(optimiser.state_dict() | {"state": checkpoint.optimiser})

    tiles = run.training_tiles()
    steps_per_epoch = len(batches(len(tiles), config.batch_size, config.seed, epoch=0))
    n_steps = config.steps or (config.epochs or EPOCHS) * steps_per_epoch
    stop, saver = False, _Saver(run)
    while progress.total_steps < n_steps and not stop:
        for batch in batches(len(tiles), config.batch_size, config.seed, progress.epoch)[progress.step :]:
            image = image_from_frames(torch.from_numpy(tiles[batch]).to(target), teacher.info)
            with autocast(target):
                with torch.no_grad():
                    wanted = teacher(image)
                loss = global_cosine_loss(wanted, student(wanted))
            optimiser.zero_grad(set_to_none=True)
            torch.autograd.backward(loss)
            optimiser.step()
            progress = replace(progress, step=progress.step + 1, total_steps=progress.total_steps + 1)
            on_step(StepReport(progress, n_steps, steps_per_epoch, finite(loss, f"step {progress.total_steps}")))
            stop = should_stop()
            if stop or progress.total_steps >= n_steps:
                break
        if progress.step == steps_per_epoch:
            progress = replace(progress, epoch=progress.epoch + 1, step=0)
        saver.save(progress, student, teacher, optimiser, is_last=stop or progress.total_steps >= n_steps)
    return progress


class _Saver:
    """Writes a checkpoint every few minutes, with the teacher in a file of its own, and at the end a complete one."""

    def __init__(self, run: RunFolder) -> None:
        self._run = run
        self._timer = SaveTimer()
        self._teacher_sha256 = ""

    def save(
        self,
        progress: Progress,
        student: nn.Module,
        teacher: nn.Module,
        optimiser: torch.optim.Optimizer,
        *,
        is_last: bool,
    ) -> None:
        """Save if a checkpoint is due, or if it is the last one."""
        file = self._run.checkpoint_file
        if not (self._timer.is_due() or is_last):
            return
        if is_last:
            save_checkpoint(file, progress, student.state_dict(), teacher.state_dict(), optimiser)
            remove_teacher_apart(file)
        else:
            # the teacher does not change: it is written once
            self._teacher_sha256 = self._teacher_sha256 or keep_teacher_apart(file, teacher.state_dict())
            save_checkpoint(file, progress, student.state_dict(), self._teacher_sha256, optimiser)
        with storage_errors(self._run.tuned_file, "Remove it, then go on with --resume."):
            self._run.tuned_file.unlink(missing_ok=True)  # it began from weights that are now replaced


def _finish_save(run: RunFolder, checkpoint: Checkpoint) -> None:
    """Remove what a process that was killed right after a save had no time to remove."""
    remove_teacher_apart(run.checkpoint_file)
    if not exists(run.tuned_file):
        return
    with storage_errors(run.tuned_file, "Remove it, then go on with --resume."), suppress(WeightsError):
        if Checkpoint.open(run.tuned_file).progress.total_steps != checkpoint.progress.total_steps:
            run.tuned_file.unlink()


def batches(n: int, batch_size: int, seed: int, epoch: int) -> list[npt.NDArray[np.int64]]:
    """The batches of an epoch: the pictures in an order of its own, which is the same for the same seed and epoch.

    A last batch of one picture joins the one before it: BatchNorm's statistics of a single picture are too uncertain.

    Args:
        n: Number of pictures.
        batch_size: Pictures per batch; the last batch may have fewer, or one more.
        seed: The run's seed.
        epoch: Number of the epoch, from 0.

    Returns:
        int64 (pictures,) per batch: indices below `n`, each in exactly one batch.
    """
    order = np.random.default_rng([seed, epoch]).permutation(n)
    cuts = list(range(batch_size, n, batch_size))
    if batch_size > 1 and cuts and n - cuts[-1] == 1:
        cuts.pop()
    return list(np.split(order, cuts))
