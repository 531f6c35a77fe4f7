"""The training loop of reverse distillation, read from top to bottom."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from edgerd.errors import WeightsError
from edgerd.models.normalise import image_from_frames
from edgerd.models.student import Student, make_student
from edgerd.models.teachers import Teacher, make_teacher
from edgerd.models.weights import fill
from edgerd.training.checkpoint import Checkpoint, Progress, save_checkpoint
from edgerd.training.device import DeviceName, autocast, deterministic, torch_device
from edgerd.training.methods import make_method
from edgerd.training.run import RECORD_FILE, RunFolder


@dataclass(frozen=True)
class StepReport:
    """Told after each step: where training stands, of how many steps, and the loss of this one (0 to 6)."""

    progress: Progress
    n_steps: int
    steps_per_epoch: int
    loss: float


@deterministic()
def train(
    run: RunFolder,
    teacher: Teacher,
    *,
    device: DeviceName = "auto",
    on_step: Callable[[StepReport], None] = lambda _: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Progress:
    """Train a student until the run's epochs or steps are done; go on from its checkpoint where there is one.

    A run that was stopped and resumed gives the same weights, bit for bit, as one that was not (on the same machine
    with as many threads).

    Args:
        run: Prepared by `RunFolder.prepare`.
        teacher: Pretrained; moved to the device. Where there is a checkpoint it gets the weights from there.
        device: "auto" takes CUDA where it is.
        on_step: Told after each step.
        should_stop: Asked after each step; the checkpoint is written before returning.

    Returns:
        Where training stands at the end.

    Raises:
        WeightsError: The loss is not finite, or the checkpoint cannot be used.
        InputError: The run's pictures cannot be read.
        MissingDependencyError: "cuda" without a CUDA device.
        StorageError: The checkpoint could not be written.
    """
    config, method = run.record.config, make_method(run.record.config.method)
    target = torch_device(device)

    torch.manual_seed(config.seed)
    student = make_student(teacher.info, config.student).train()
    progress = Progress()
    checkpoint = Checkpoint.open(run.checkpoint_file) if run.checkpoint_file.exists() else None
    if checkpoint:
        _restore(teacher, student, checkpoint, run.checkpoint_file, run)
        progress = checkpoint.progress
    for network in (teacher.to(target), student.to(target)):
        if target.type == "cuda":
            torch.nn.utils.convert_conv2d_weight_memory_format(network, torch.channels_last)
    optimiser = method.optimiser(student.parameters())
    if checkpoint:
        optimiser.load_state_dict(optimiser.state_dict() | {"state": checkpoint.optimiser})

    tiles = run.training_tiles()
    steps_per_epoch = len(batches(len(tiles), config.batch_size, config.seed, epoch=0))
    n_steps = config.steps or (config.epochs or method.epochs) * steps_per_epoch
    stop = False
    while progress.total_steps < n_steps and not stop:
        for batch in batches(len(tiles), config.batch_size, config.seed, progress.epoch)[progress.step :]:
            image = image_from_frames(torch.from_numpy(tiles[batch]).to(target), teacher.info)
            with autocast(target):
                with torch.no_grad():
                    wanted = teacher(image)
                loss = method.loss(wanted, student(wanted))
            optimiser.zero_grad(set_to_none=True)
            torch.autograd.backward(loss)
            optimiser.step()
            progress = replace(progress, step=progress.step + 1, total_steps=progress.total_steps + 1)
            on_step(StepReport(progress, n_steps, steps_per_epoch, finite(loss, progress)))
            stop = should_stop()
            if stop or progress.total_steps >= n_steps:
                break
        if progress.step == steps_per_epoch:
            progress = replace(progress, epoch=progress.epoch + 1, step=0)
        run.tuned_file.unlink(missing_ok=True)  # it began from weights that are now replaced
        save_checkpoint(run.checkpoint_file, progress, student.state_dict(), teacher.state_dict(), optimiser)
    return progress


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


def networks_of(run: RunFolder) -> tuple[Teacher, Student, Progress]:
    """The networks of a run's newest checkpoint, in eval mode on the CPU: the one tuned for INT8 where there is one.

    Raises:
        WeightsError: There is no checkpoint, or it is damaged, not finite, or another run's.
    """
    checkpoint = Checkpoint.open(run.newest_checkpoint_file)
    return (*networks_in(checkpoint, run), checkpoint.progress)


def networks_in(checkpoint: Checkpoint, run: RunFolder) -> tuple[Teacher, Student]:
    """The networks of a run's newest checkpoint, once it is read, in eval mode on the CPU.

    Raises:
        WeightsError: It is another run's.
    """
    teacher = make_teacher(run.record.config.teacher)
    student = make_student(teacher.info, run.record.config.student)
    _restore(teacher, student, checkpoint, run.newest_checkpoint_file, run)
    return teacher, student.eval()


def _restore(teacher: Teacher, student: Student, checkpoint: Checkpoint, file: Path, run: RunFolder) -> None:
    fill(teacher, checkpoint.teacher, str(file))
    try:
        student.load_state_dict(checkpoint.student)
    except RuntimeError as error:
        raise WeightsError(
            f"{file} holds another student than {run.path / RECORD_FILE} names.",
            expected=f"the student {run.record.config.student!r} of the teacher {run.record.config.teacher!r}",
            hint="Put back the checkpoint of this run, or train again into another folder.",
        ) from error


def finite(loss: Tensor, progress: Progress) -> float:
    """A step's loss as a number.

    Raises:
        WeightsError: It is NaN or infinite.
    """
    value = float(loss.detach())
    if not np.isfinite(value):
        raise WeightsError(
            f"The loss became {value} at step {progress.total_steps}.",
            expected="a finite loss",
            hint="Check the teacher weights, then train again with another --seed.",
        )
    return value
