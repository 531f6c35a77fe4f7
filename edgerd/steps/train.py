"""`edgerd.train`: from a folder of good pictures to a run, with a line of progress now and then."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import ValidationError

from edgerd.bundle.manifest import PreprocessSpec, TileSpec
from edgerd.data.dataset import Dataset
from edgerd.data.preprocess import parse_region, parse_tiles
from edgerd.data.shapes import warning_of_mixed_shapes
from edgerd.errors import InputError
from edgerd.evaluation.good_pictures import write_good_pictures
from edgerd.runtimes.machine import usable_cores
from edgerd.steps.needs import need_torch

if TYPE_CHECKING:
    from edgerd.training.device import DeviceName
    from edgerd.training.methods import Method
    from edgerd.training.run import RunFolder, TrainingConfig
    from edgerd.training.step_report import StepReport

HOLDOUT = 0.1
"""Share of the pictures that `rd4ad` holds out unless another one is given."""
_LINE_EVERY_S = 10.0


def train(
    data: str | Path,
    out: str | Path,
    *,
    method: str = "edge",
    teacher: str = "lite0",
    teacher_weights: str | Path | None = None,
    student: str | None = None,
    image_size: int = 256,
    region: str | None = None,
    tiles: str | None = None,
    keep_aspect: Literal["crop", "letterbox"] | None = None,
    epochs: int | None = None,
    steps: int | None = None,
    batch_size: int = 16,
    cross_fit: int | None = None,
    holdout: float | None = None,
    seed: int = 0,
    device: DeviceName = "auto",
    threads: int | None = None,
    strict: bool = False,
    say: Callable[[str], None] = print,
    on_step: Callable[[StepReport], None] | None = None,
) -> RunFolder:
    """Train on pictures of good parts, as `edgerd train DATA -o OUT` does; the options are the command's.

    Interrupt it (in a notebook with the stop button) and what was learned up to the last checkpoint is kept:
    `edgerd train DATA -o OUT --resume` goes on.

    Args:
        data: A folder of pictures of good parts, or MVTec's layout (train/good).
        out: The run folder to create.
        method: "edge", "prototypes" (in seconds) or "rd4ad" (the paper's).
        teacher: "lite0" (built in), "resnet18", ..., or "timm:<model>".
        teacher_weights: A .safetensors or .pth file; None for the teacher's own.
        student: "light" or "full"; None for what suits the method.
        image_size: Side of the picture that the networks see, px; a multiple of 32.
        region: "x,y,w,h", the part of the picture to inspect, px; None for all of it.
        tiles: "RxC" or "RxC:overlap", for small defects on large parts; None for one tile.
        keep_aspect: For pictures that are not square: "crop" takes their centre, "letterbox" pads them; None stretches
            them.
        epochs: For "rd4ad": passes over the pictures; None for 200.
        steps: Batches that each student is trained on; None for the method's own number.
        batch_size: Pictures in a batch.
        cross_fit: For "edge": folds, each scored by a student that never saw it; None for 4.
        holdout: For "rd4ad": share of the pictures held out for the threshold, 0 to 1; None for 0.1.
        seed: Decides whatever is left to chance.
        device: "auto", "cpu" or "cuda".
        threads: CPU cores to use; None for all, for "rd4ad" one of two.
        strict: Stop at a picture that cannot be read instead of leaving it out.
        say: Told what happens, a line at a time; `print` unless another function is given.
        on_step: Told after each step, for a progress bar of your own; None to have `say` told every ten seconds.

    Returns:
        The run, for `edgerd.export`.

    Raises:
        MissingDependencyError: PyTorch is not installed, or it finds no GPU for device "cuda".
        DatasetError: There are too few pictures.
        InputError: An option cannot be used, or `out` is taken.
        WeightsError: The teacher's weights cannot be used.
        StorageError: Disk full.
    """
    need_torch()
    from edgerd.models.weights import load_teacher
    from edgerd.training.device import default_threads, torch_device, use_threads
    from edgerd.training.methods import make_method
    from edgerd.training.run import RunFolder
    from edgerd.training.run_files import only_trainer_of

    data, out, cores = Path(data), Path(out), usable_cores()
    torch_device(device)
    how = make_method(method)
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
    use_threads(1 if how.cross_fits else threads or default_threads(cores))
    with only_trainer_of(out, data):
        for line in Dataset.open_good(data).unused():
            say(f"warning: {line}")
        loaded = load_teacher(teacher, None if teacher_weights is None else Path(teacher_weights))
        run = RunFolder.prepare(out, data, config, strict=strict)
        record = run.record
        for file, reason in record.skipped.items():
            say(f"warning: left out {file}: {reason}")
        mixed = warning_of_mixed_shapes(record.sizes, config.preprocess)
        if mixed:
            say(f"warning: {mixed}")
        say(f"Training on {len(record.train)} pictures of good parts, on {torch_device(device)}.")
        how.train(run, loaded, device=device, processes=threads or cores, on_step=on_step or _lines_for(say), say=say)
        for name, score in suspicious_pictures(run) if how.cross_fits else ():
            say(f"warning: {name} scores {score:.2f}, far above the others; see {run.good_pictures_file}")
    say(f"Done: {out}")
    return run


def training_config(
    method: Method,
    *,
    teacher: str,
    student: str | None,
    preprocess: PreprocessSpec,
    epochs: int | None,
    steps: int | None,
    batch_size: int,
    cross_fit: int | None,
    holdout: float | None,
    seed: int,
) -> TrainingConfig:
    """The configuration of a new run; None stands for what suits the method.

    Raises:
        InputError: There is no such student, or a number is out of range.
    """
    from edgerd.models.student import student_info
    from edgerd.training.run import TrainingConfig

    student = student or method.student
    student_info(student)  # a typing error shows before minutes of reading pictures
    try:
        return TrainingConfig(
            teacher=teacher,
            student=student,
            method=method.name,
            preprocess=preprocess,
            epochs=epochs,
            steps=steps,
            batch_size=batch_size,
            holdout=None if method.cross_fits else HOLDOUT if holdout is None else holdout,
            cross_fit=TrainingConfig().cross_fit if cross_fit is None else cross_fit,
            seed=seed,
        )
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(map(str, first["loc"]))
        raise InputError(
            f"{name} {first['input']!r} cannot be used.",
            expected=first["msg"],
            hint="help(edgerd.train) says what each option means.",
        ) from error


def preprocess_spec(
    image_size: int, region: str | None, tiles: str | None, keep_aspect: Literal["crop", "letterbox"] | None = None
) -> PreprocessSpec:
    """The preprocessing of a new run.

    Args:
        image_size: Side of the picture that the networks see, px.
        region: "x,y,w,h", px; None for the whole picture.
        tiles: "RxC" or "RxC:overlap"; None for one tile.
        keep_aspect: "crop" or "letterbox"; None to stretch pictures that are not square.

    Raises:
        InputError: The image size is not a multiple of 32 between 32 and 4096.
        SpecError: Region or tiles are written otherwise.
    """
    try:
        return PreprocessSpec(
            height=image_size,
            width=image_size,
            region=parse_region(region) if region else None,
            tiles=parse_tiles(tiles) if tiles else TileSpec(rows=1, columns=1),
            aspect=keep_aspect or "stretch",
        )
    except ValidationError as error:
        raise InputError(
            f"--image-size {image_size} cannot be used.", expected="a multiple of 32 between 32 and 4096"
        ) from error


def refuse_others_options(method: Method, **given: float | None) -> None:
    """Refuse options that a method does not have: to ignore them silently would promise that they do something.

    Args:
        method: The method that is used.
        given: Name of an option to its value; None where it was not given.

    Raises:
        InputError: One was given that belongs to another method.
    """
    from edgerd.training.methods import METHODS

    for name, value in given.items():
        if value is not None and name not in method.options:
            other = next(one.name for one in METHODS.values() if name in one.options)
            raise InputError(
                f"{flag(name)} {value:g} is of no use to method {method.name}.",
                expected=", ".join(map(flag, method.options)) or "no number of steps",
                hint=f"Leave it out, or choose another method: --method {other}",
            )


def flag(name: str) -> str:
    """What the command line calls an option of `train`."""
    return f"--{name.replace('_', '-')}"


def suspicious_pictures(run: RunFolder) -> list[tuple[str, float]]:
    """The training pictures (name, score) that may not be good; a page that shows them is written into the run folder.

    Args:
        run: Trained by a method that scores the pictures it is trained on.

    Raises:
        StorageError: The page cannot be written.
    """
    from edgerd.training.checkpoint import Checkpoint

    record = Checkpoint.open(run.checkpoint_file).cross_fit
    if record is None:
        return []
    names, tiles, spec = run.record.train, run.training_tiles(), run.record.config.preprocess
    suspicious = write_good_pictures(
        run.good_pictures_file,
        names,
        record.scores,
        lambda index: tiles[index * spec.n_tiles : (index + 1) * spec.n_tiles],
        spec.tiles.columns,
    )
    return [(names[index], record.scores[index]) for index in suspicious]


def _lines_for(say: Callable[[str], None]) -> Callable[[StepReport], None]:
    """Tells `say` every ten seconds how far training is, and at its last step."""
    last_s = time.monotonic()

    def update(report: StepReport) -> None:
        nonlocal last_s
        done = report.progress.total_steps
        if time.monotonic() - last_s >= _LINE_EVERY_S or done == report.n_steps:
            last_s = time.monotonic()
            say(f"step {done} of {report.n_steps}, loss {report.loss:.4f}")

    return update
