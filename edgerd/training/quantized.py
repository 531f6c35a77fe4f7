"""Quantization-aware fine-tune: a trained student adapts to 8 bits; the teacher stays as it is.

Teacher and student compute as they will in INT8 (`edgerd.models.fake_quantize`), and the student is trained further
with its method's loss, at a low learning rate that falls to zero. The result is a student with FP32 weights, which is
exported like any other, and which loses less when it is quantized. The checkpoint it began from is not changed.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from edgerd.errors import InputError, WeightsError
from edgerd.models.fake_quantize import Traced
from edgerd.models.normalise import image_from_frames
from edgerd.models.teachers import TeacherInfo
from edgerd.precision.flavours import FLAVOURS
from edgerd.precision.ranges import N_BINS, TensorRange, histogram
from edgerd.precision.scales import activation_scale
from edgerd.training.checkpoint import Checkpoint, Progress, SaveTimer, save_checkpoint
from edgerd.training.device import DeviceName, deterministic, torch_device
from edgerd.training.loop import batches, global_cosine_loss, rd4ad_optimiser
from edgerd.training.methods import make_method
from edgerd.training.restore import networks_in
from edgerd.training.run import RunFolder
from edgerd.training.step_report import StepReport, finite
from edgerd.types import UInt8Array

DEFAULT_STEPS = 40
LEARNING_RATE = 2e-4
"""Learning rate of the first step; it moves a trained student's weights by a few 8-bit levels at most."""
_TILES_AT_ONCE = 4


@deterministic()
def tune(
    run: RunFolder,
    *,
    device: DeviceName = "auto",
    on_step: Callable[[StepReport], None] = lambda _: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Progress:
    """Fine-tune a run's student for INT8 until the run's tuning steps are done; go on where an earlier call stopped.

    The scales of the activations are found once, on the training pictures that the export will take them from, and
    then kept. A fine-tune that was stopped and resumed gives the same weights, bit for bit, as one that was not.

    Args:
        run: A run with a checkpoint.
        device: "auto" takes CUDA where there is a CUDA device; computes in float32 on either.
        on_step: Called after each step; its progress counts the steps of this fine-tune alone.
        should_stop: Asked after each step; where it is True, the tuned checkpoint is written before returning.

    Returns:
        How far training is at the end.

    Raises:
        WeightsError: There is no checkpoint, it cannot be used, or the loss is not finite.
        InputError: The run's pictures cannot be read, or its method is another than rd4ad.
        MissingDependencyError: "cuda" without a CUDA device.
        StorageError: The tuned checkpoint could not be written.
    """
    config, target = run.record.config, torch_device(device)
    if make_method(config.method).cross_fits:
        raise InputError(
            f"A run of method {config.method!r} cannot be fine-tuned for INT8: its threshold comes from students that "
            "are gone, and would not be right for another one.",
            expected="a run of method rd4ad",
            hint="edgerd build-engine BUNDLE --max-auroc-drop 0.002 finds out which blocks can be INT8 as they are.",
        )
    checkpoint = Checkpoint.open(run.newest_checkpoint_file)
    networks = networks_in(checkpoint, run)
    if networks.student is None:
        raise WeightsError(f"{run.newest_checkpoint_file} holds no student.", hint="Train again into another folder.")
    teacher, student = networks.teacher.to(target), networks.student.to(target)
    traced, progress, scales = Traced(teacher, student), checkpoint.progress, checkpoint.scales
    optimiser = rd4ad_optimiser(student.parameters())
    if scales is None:
        scales = activation_scales(traced, run.range_pictures(), teacher.info, target)
    else:
        optimiser.load_state_dict(optimiser.state_dict() | {"state": checkpoint.optimiser})

    tiles = run.training_tiles()
    steps_per_epoch = len(batches(len(tiles), config.batch_size, config.seed, epoch=0))
    n_steps = config.tuning_steps or DEFAULT_STEPS
    stop, timer = False, SaveTimer()
    while progress.tuning_steps < n_steps and not stop:
        epoch, first = divmod(progress.tuning_steps, steps_per_epoch)
        order = batches(len(tiles), config.batch_size, config.seed, progress.epoch + 1 + epoch)
        for step, batch in enumerate(order[first:], first + 1):
            for group in optimiser.param_groups:
                group["lr"] = _learning_rate(progress.tuning_steps, n_steps)
            image = image_from_frames(torch.from_numpy(tiles[batch]).to(target), teacher.info)
            loss = global_cosine_loss(*traced.rounded_features(image, scales))
            optimiser.zero_grad(set_to_none=True)
            torch.autograd.backward(loss)
            optimiser.step()
            progress = replace(progress, tuning_steps=progress.tuning_steps + 1)
            shown = Progress(epoch, step, progress.tuning_steps)
            on_step(StepReport(shown, n_steps, steps_per_epoch, finite(loss, f"step {shown.total_steps}")))
            stop = should_stop()
            if stop or progress.tuning_steps >= n_steps:
                break
        if timer.is_due() or stop or progress.tuning_steps >= n_steps:
            save_checkpoint(run.tuned_file, progress, student.state_dict(), teacher.state_dict(), optimiser, scales)
    return progress


def activation_scales(traced: Traced, pictures: UInt8Array, info: TeacherInfo, device: torch.device) -> Tensor:
    """The activations' scales, chosen from real pictures by the same rule as those of the exported INT8 graph.

    Args:
        traced: Teacher and student, on `device`.
        pictures: Good pictures, uint8 (n, T, H, W, 3), BGR.
        info: The teacher's description.
        device: The device to compute on.

    Returns:
        float64 (len(traced.activations), 2): scale and zero point, 0 to 255; on the CPU.
    """
    tiles = pictures.reshape(-1, *pictures.shape[2:])
    extremes = dict.fromkeys(traced.activations, (math.inf, -math.inf))
    counts = {name: np.zeros(N_BINS, np.int64) for name in traced.activations}

    def widen(name: str, value: Tensor) -> None:
        low, high = extremes[name]
        extremes[name] = min(low, float(value.min())), max(high, float(value.max()))

    def count(name: str, value: Tensor) -> None:
        counts[name] += histogram(value.cpu().numpy(), *extremes[name])

    for watch in (widen, count):
        for first in range(0, len(tiles), _TILES_AT_ONCE):
            frames = torch.from_numpy(tiles[first : first + _TILES_AT_ONCE]).to(device)
            traced.features(image_from_frames(frames, info), watch)
    found = []
    for name, (low, high) in extremes.items():
        tensor_range = TensorRange(low=low, high=high, counts=tuple(counts[name].tolist()))
        scale = activation_scale(tensor_range, FLAVOURS["u8s8"])
        found.append((float(scale.scale), float(scale.zero_point)))
    return torch.tensor(found, dtype=torch.float64)


def _learning_rate(step: int, n_steps: int) -> float:
    """A half cosine from `LEARNING_RATE` to almost 0."""
    return LEARNING_RATE * 0.5 * (1 + math.cos(math.pi * step / n_steps))
