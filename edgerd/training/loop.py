"""RD4AD: Deng & Li's training loop, read from top to bottom, as the official code trains."""

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
from edgerd.training.report import StepReport, finite
from edgerd.training.restore import restore
from edgerd.training.run import RunFolder

Features = tuple[Tensor, ...]

EPOCHS = 200


def rd4ad_optimiser(parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
    """Adam, 5e-3, betas (0.5, 0.999)."""
    return torch.optim.Adam(parameters, lr=5e-3, betas=(0.5, 0.999))


def global_cosine_loss(teacher: Features, student: Features) -> Tensor:
    """Sum over scales of the batch mean of 1 - cos, one cosine per picture and scale over all channels and positions.

    The official code's form; the paper's, one cosine per position, trains worse. Range 0 to 6, float32 whatever the
    features are: bfloat16 has 8 bits, and a cosine near 1 needs more.
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
    say: Callable[[str], None] = lambda _: None,  # noqa: ARG001  its steps say it all
    should_stop: Callable[[], bool] = lambda: False,
) -> Progress:
    """Train a student until the run's epochs or steps are done; go on from its checkpoint where there is one.

    A run that was stopped and resumed gives the same weights, bit for bit, as one that was not (on the same machine
    with as many threads).

    Args:
        run: Prepared by `RunFolder.prepare`.
        teacher: Pretrained; moved to the device. Where there is a checkpoint it gets the weights from there.
        device: "auto" takes CUDA where it is.
        processes: Of no use here: there is one student.
        on_step: Told after each step.
        say: Told nothing.
        should_stop: Asked after each step; the checkpoint is written before returning.

    Returns:
        Where training stands at the end.

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
    """Writes checkpoints as rarely as it may: when minutes have passed, and at the end, then in one file as a whole."""

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
        """Save where it is time to; always where `is_last`."""
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
    """Which pictures make up each batch of an epoch: a fresh order, the same whenever it is asked for again.

    A last batch of one picture joins the one before it: what BatchNorm takes from a single picture is too uncertain.

    Args:
        n: How many pictures there are.
        batch_size: Pictures per batch; the last may have fewer, or one more.
        seed: Of the run.
        epoch: From 0.

    Returns:
        Indices below `n`, each in exactly one batch.
    """
    order = np.random.default_rng([seed, epoch]).permutation(n)
    cuts = list(range(batch_size, n, batch_size))
    if batch_size > 1 and cuts and n - cuts[-1] == 1:
        cuts.pop()
    return list(np.split(order, cuts))
