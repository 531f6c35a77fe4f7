"""`edgerd train`: from a folder of good pictures to a run."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click
from click.core import ParameterSource

from edgerd.cli.console import counted, quoted, say, stop_on_interrupt, warn, warn_of_left_out
from edgerd.cli.main import INTERRUPTED
from edgerd.cli.options import FiniteRange
from edgerd.cli.progress import ProgressDisplay
from edgerd.cli.train_refusals import (
    good_pictures,
    refuse_changes,
    refuse_flags,
    refuse_other_pictures,
    resume_command,
)
from edgerd.cli.training_progress import TrainingProgress
from edgerd.data.shapes import warning_of_mixed_shapes
from edgerd.evaluation.threshold import FEW
from edgerd.paths import exists
from edgerd.runtimes.machine import usable_cores
from edgerd.steps.needs import need_torch
from edgerd.steps.train import preprocess_spec, refuse_others_options, suspicious_pictures, training_config

if TYPE_CHECKING:
    from edgerd.models.teachers import Teacher
    from edgerd.training.device import DeviceName
    from edgerd.training.methods import Method
    from edgerd.training.run import RunFolder

_NAMED = 10
"""How many suspicious good pictures are named one by one; the page shows all of them."""
_MEGABYTE = 1_000_000


@click.command()
@click.argument("data", type=click.Path(path_type=Path))
@click.option("-o", "--out", type=click.Path(path_type=Path), required=True, help="The run folder to create.")
@click.option(
    "--teacher",
    default="lite0",
    show_default=True,
    help="lite0 (built in), resnet18, resnet34, resnet50, wide_resnet50_2, or timm:<model>.",
)
@click.option("--teacher-weights", type=click.Path(path_type=Path), help="A .safetensors or .pth file to use.")
@click.option(
    "--student",
    help="light: half as wide, one block a stage. full: as wide as the teacher. By default what suits the method.",
)
@click.option(
    "--method",
    default="edge",
    show_default=True,
    help="edge: a student, and distances to prototypes of good parts. prototypes: those alone, in seconds. "
    "rd4ad: the paper's.",
)
@click.option("--image-size", default=256, show_default=True, help="Side of the picture the networks see, px.")
@click.option("--region", help="x,y,w,h: the part of the picture to inspect, px.")
@click.option("--tiles", help="RxC[:overlap]: cut the region into tiles, for small defects on large parts.")
@click.option(
    "--keep-aspect",
    type=click.Choice(["crop", "letterbox"]),
    help="For pictures that are not square. crop: take the centre. letterbox: take all, and pad it with grey, which is "
    "not inspected. Without it they are stretched.",
)
@click.option("--epochs", type=click.IntRange(1), help="For rd4ad: passes over the pictures; 200 by default.")
@click.option(
    "--steps", type=click.IntRange(1), help="Batches that each student is trained on; 200 by default for edge."
)
@click.option("--batch-size", default=16, show_default=True, type=click.IntRange(1), help="Pictures in a batch.")
@click.option(
    "--cross-fit",
    type=click.IntRange(2),
    help="For edge: parts that the pictures are split into. For each, a student that never saw it is trained, and "
    "scores it for the threshold; 4 by default.",
)
@click.option(
    "--holdout",
    type=FiniteRange(0, 1, min_open=True, max_open=True),
    help="For rd4ad: share of the pictures held out for the threshold; 0.1 by default, at least 8 pictures.",
)
@click.option(
    "--seed", default=0, show_default=True, type=click.IntRange(0), help="Decides whatever is left to chance."
)
@click.option(
    "--device",
    default="auto",
    show_default=True,
    type=click.Choice(["auto", "cpu", "cuda"]),
    help="auto: a GPU where PyTorch finds one.",
)
@click.option("--threads", type=click.IntRange(1), help="CPU cores to use. By default all; for rd4ad one of two.")
@click.option("--strict", is_flag=True, help="Stop at a picture that cannot be read instead of leaving it out.")
@click.option("--resume", is_flag=True, help="Continue the run in the folder.")
@click.option("--quantize", is_flag=True, help="With --resume: fine-tune the student for INT8, for --steps steps.")
@click.pass_context
def train(
    ctx: click.Context,
    data: Path,
    out: Path,
    teacher: str,
    teacher_weights: Path | None,
    student: str | None,
    method: str,
    image_size: int,
    region: str | None,
    tiles: str | None,
    keep_aspect: Literal["crop", "letterbox"] | None,
    epochs: int | None,
    steps: int | None,
    batch_size: int,
    cross_fit: int | None,
    holdout: float | None,
    seed: int,
    device: DeviceName,
    threads: int | None,
    strict: bool,
    resume: bool,
    quantize: bool,
) -> None:
    """Train on pictures of good parts.

    DATA is a folder of pictures of good parts, or MVTec's layout (train/good). Ctrl-C keeps what was learned: continue
    with --resume, or export it as it is. Good pictures that may not be good are named, and shown in
    RUN/good_pictures.html.
    """
    refuse_flags(data, out, resume=resume, quantize=quantize, epochs=epochs)
    need_torch()
    from edgerd.training.device import default_threads, torch_device, use_threads
    from edgerd.training.run import RunFolder
    from edgerd.training.run_files import only_trainer_of

    torch_device(device)
    run = RunFolder.open(out) if resume else None
    how = _method(ctx, method, run)
    use_threads(1 if how.cross_fits else threads or default_threads(usable_cores()))
    refuse_others_options(how, epochs=epochs, steps=steps, holdout=holdout, cross_fit=cross_fit)
    config = training_config(
        how,
        teacher=teacher,
        student=student,
        preprocess=preprocess_spec(image_size, region, tiles, keep_aspect),
        epochs=epochs,
        steps=steps,
        batch_size=batch_size,
        cross_fit=cross_fit,
        holdout=holdout,
        seed=seed,
    )
    processes = threads or usable_cores()
    with only_trainer_of(out, data):
        if resume:
            run = RunFolder.open(out)  # again: another training may have ended since
            refuse_changes(ctx, run, config)
            refuse_other_pictures(run, data)
            if quantize:
                _tune(run.tune_for(steps) if steps else run, device)
                return
            if epochs or steps:
                run = run.extend(epochs=epochs, steps=steps)
            loaded = _resumed_teacher(run, teacher_weights)
        else:
            for line in good_pictures(data, out).unused():  # before weights are fetched for pictures that are not there
                warn(line)
            loaded = _load_teacher(teacher, teacher_weights)
            run = RunFolder.prepare(out, data, config, strict=strict)
            _describe(run, how)
        _train(run, how, loaded, device, processes)


def _method(ctx: click.Context, name: str, run: RunFolder | None) -> Method:
    """The method that was typed; where none was, the one that the run has, or the default."""
    from edgerd.training.methods import make_method

    given = ctx.get_parameter_source("method") is ParameterSource.COMMANDLINE
    return make_method(name if given or not run else run.record.config.method)


def _train(run: RunFolder, method: Method, teacher: Teacher, device: DeviceName, processes: int) -> None:
    from edgerd.training.device import torch_device

    was_tuned = exists(run.tuned_file)
    say(f"Training on {torch_device(device)}; Ctrl-C keeps what was learned.")
    stop = threading.Event()
    with stop_on_interrupt(stop), TrainingProgress(stop) as shown:
        progress = method.train(
            run, teacher, device=device, processes=processes, on_step=shown.update, say=say, should_stop=stop.is_set
        )
    if was_tuned and not exists(run.tuned_file):
        warn(
            "the fine-tuning for INT8 belonged to the old weights and was removed. To repeat it: "
            f"{resume_command(run)} --quantize"
        )
    steps = counted(progress.total_steps, "step")
    if method.cross_fits:  # the bar has counted the steps of all students together
        n_students = min(run.record.config.cross_fit, len(run.record.train)) + 1
        done = f"{n_students} students, {steps} each"
    else:
        done = f"{counted(progress.epoch, 'epoch')}, {steps}"
    export = f"edgerd export {quoted(run.path)} -o BUNDLE"
    if stop.is_set():
        what = "; students that are done are kept" if method.cross_fits else f" after {done}"
        say(f"Stopped{what}. Continue with: {resume_command(run)}")
        raise click.exceptions.Exit(INTERRUPTED)
    if method.cross_fits:
        _warn_of_suspicious(run)
    if not method.has_student:
        say(f"Done. Next: {export}")
    elif shown.loss is None:
        longer = "--steps" if method.cross_fits else "--steps or --epochs"
        say(f"Nothing left to train: {done}. To train longer, raise {longer}.")
    else:
        say(f"Trained: {done}; last loss {shown.loss:.4f}. Next: {export}")


def _warn_of_suspicious(run: RunFolder) -> None:
    """Name the good pictures that may not be good, and say where they can be looked at."""
    suspicious = suspicious_pictures(run)
    for name, score in suspicious[:_NAMED]:
        warn(f"{name} scores {score:.2f}, far above the others: if it shows a defect, remove it and train again.")
    if len(suspicious) > _NAMED:
        warn(f"{len(suspicious) - _NAMED} more good pictures score far above the others.")
    if suspicious:
        say(f"Look at them, and read what to do, in {run.good_pictures_file}")


def _tune(run: RunFolder, device: DeviceName) -> None:
    from edgerd.training.device import torch_device
    from edgerd.training.quantized import tune

    say(f"Fine-tuning the student for INT8 on {torch_device(device)}; Ctrl-C keeps what was learned.")
    stop = threading.Event()
    with stop_on_interrupt(stop), TrainingProgress(stop) as shown:
        progress = tune(run, device=device, on_step=shown.update, should_stop=stop.is_set)
    done = counted(progress.tuning_steps, "step")
    if stop.is_set():
        say(f"Stopped after {done}. Continue with: {resume_command(run)} --quantize")
        raise click.exceptions.Exit(INTERRUPTED)
    if shown.loss is None:
        say(f"Nothing left to tune: {done}. To tune longer, raise --steps.")
        return
    say(
        f"Tuned: {done}; last loss {shown.loss:.4f}. Next: edgerd export {quoted(run.path)} -o BUNDLE, then "
        "edgerd build-engine BUNDLE --precision int8"
    )
    say(f"{run.tuned_file} is exported from now on. To go back to the student from before, remove it.")


def _load_teacher(name: str, weights: Path | None) -> Teacher:
    from edgerd.models.weights import load_teacher

    with ExitStack() as stack:
        display: ProgressDisplay | None = None

        def update(done: int, total: int | None) -> None:
            nonlocal display
            if display is None:  # the first bytes; weights that are here already show nothing
                display = stack.enter_context(ProgressDisplay())
                display.begin(f"fetching the weights of {name}", unit="MB")
            display.update(done // _MEGABYTE, None if total is None else -(-total // _MEGABYTE))

        return load_teacher(name, weights, update)


def _resumed_teacher(run: RunFolder, weights: Path | None) -> Teacher:
    """The teacher of a run that goes on: from its checkpoint, or loaded anew where none was written yet."""
    from edgerd.models.teachers import make_teacher

    name = run.record.config.teacher
    return make_teacher(name) if exists(run.checkpoint_file) else _load_teacher(name, weights)


def _describe(run: RunFolder, method: Method) -> None:
    record = run.record
    warn_of_left_out(record.skipped)
    mixed = warning_of_mixed_shapes(record.sizes, record.config.preprocess)
    if mixed:
        warn(mixed)
    left_out = f", {len(record.skipped)} left out (--strict stops at the first)" if record.skipped else ""
    if not method.cross_fits:
        say(f"{len(record.train)} pictures to train on, {len(record.holdout)} held out for the threshold{left_out}.")
        return
    say(f"{len(record.train)} pictures of good parts{left_out}; all are trained on, and all count for the threshold.")
    if len(record.train) < FEW:
        warn(
            f"{counted(len(record.train), 'picture')} cannot settle a false-alarm rate of 1 %: that takes "
            f"{FEW}. The threshold will be extrapolated; edgerd calibrate BUNDLE DATA adds pictures "
            "later."
        )
