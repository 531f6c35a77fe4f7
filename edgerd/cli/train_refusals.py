"""What `edgerd train` refuses before it trains: options that have no effect, and a run that began otherwise."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from edgerd.cli.console import quoted
from edgerd.data.dataset import Dataset
from edgerd.data.layouts import OtherFolderError
from edgerd.errors import DatasetError, InputError
from edgerd.steps.train import flag

if TYPE_CHECKING:
    from edgerd.training.run import RunFolder, TrainingConfig

_FIXED = ("teacher", "student", "method", "batch_size", "holdout", "cross_fit", "seed")
"""Settings that a run keeps when it is resumed, beside its preprocessing."""


def refuse_flags(data: Path, out: Path, *, resume: bool, quantize: bool, epochs: int | None) -> None:
    """Refuse --quantize without a student that can be tuned, or with a number of epochs.

    Raises:
        InputError: The options do not go together.
    """
    if not quantize or (resume and epochs is None):
        return
    command = f"edgerd train {quoted(data)} -o {quoted(out)}"
    if not resume:
        raise InputError(
            "--quantize needs a student that is already trained.",
            expected="a run with a checkpoint, and --resume",
            hint=f"{command}, then the same command with --resume --quantize",
        )
    raise InputError(
        f"--epochs {epochs} cannot be used with --quantize: the fine-tune is counted in steps.",
        expected="--steps, or neither",
        hint=f"{command} --resume --quantize --steps 100",
    )


def good_pictures(data: Path, out: Path) -> Dataset:
    """The good pictures to train on; where they lie in a folder of `data`, the error has the command that names it.

    Raises:
        DatasetError: They cannot be trained on.
    """
    try:
        return Dataset.open_good(data)
    except OtherFolderError as error:
        if error.instead is None:
            raise
        command = f"edgerd train {quoted(error.instead)} -o {quoted(out)}"
        raise DatasetError(error.what, expected=error.expected, hint=command) from error


def refuse_other_pictures(run: RunFolder, data: Path) -> None:
    """Refuse to go on with a run on other pictures than it was started with.

    Raises:
        DatasetError: The pictures are not the same.
    """
    if not run.is_of(data):
        raise DatasetError(
            f"The pictures in {data} are not those that {run.path} was started with.",
            expected="the same pictures",
            hint=f"edgerd train {quoted(data)} -o ANOTHER_RUN",
        )


def refuse_changes(ctx: click.Context, run: RunFolder, given: TrainingConfig) -> None:
    """Refuse settings that differ from those that a run was started with; typing the same ones again is fine.

    Args:
        ctx: Knows which options were typed.
        run: The run that goes on.
        given: What the options say.

    Raises:
        InputError: A setting was typed that is another.
    """
    began, spec, new = run.record.config, run.record.config.preprocess, given.preprocess
    fixed = {
        **{name: (getattr(began, name), getattr(given, name)) for name in _FIXED},
        "image_size": (spec.height, new.height),
        "region": (spec.region, new.region),
        "tiles": (spec.tiles, new.tiles),
        "keep_aspect": (spec.aspect, new.aspect),
    }
    for name, (before, now) in fixed.items():
        if ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE and now != before:
            raise InputError(
                f"{flag(name)} {now} cannot be used: {run.path} was started with {before}.",
                expected="the settings that the run was started with",
                hint=f"{resume_command(run)}, with --epochs or --steps to train longer",
            )


def resume_command(run: RunFolder) -> str:
    """The command that goes on with a run, as one types it."""
    return f"edgerd train {quoted(Path(run.record.data))} -o {quoted(run.path)} --resume"
