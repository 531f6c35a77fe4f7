"""Settings of `edgerd train`, and errors for those that do not fit each other, the method, or the resumed run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from edgerd.bundle.manifest import PreprocessSpec, TileSpec
from edgerd.cli.console import quoted
from edgerd.errors import DatasetError, InputError

if TYPE_CHECKING:
    from edgerd.training.methods import Method
    from edgerd.training.run import RunFolder, TrainingConfig

_FIXED = ("teacher", "student", "method", "batch_size", "holdout", "cross_fit", "seed")
"""Settings that a run keeps when it is resumed, beside its preprocessing."""


def preprocessing(image_size: int, region: str | None, tiles: str | None) -> PreprocessSpec:
    """The preprocessing that the options name.

    Raises:
        InputError: The image size cannot be used.
        SpecError: Region or tiles are not written as they must be.
    """
    from pydantic import ValidationError

    from edgerd.data.preprocess import parse_region, parse_tiles

    try:
        return PreprocessSpec(
            height=image_size,
            width=image_size,
            region=parse_region(region) if region else None,
            tiles=parse_tiles(tiles) if tiles else TileSpec(rows=1, columns=1),
        )
    except ValidationError as error:
        raise InputError(
            f"--image-size {image_size} cannot be used.", expected="a multiple of 32 between 32 and 4096"
        ) from error


def refuse_other_pictures(run: RunFolder, data: Path) -> None:
    """Raise DatasetError where a folder does not hold the pictures that a run was started with."""
    if not run.is_of(data):
        raise DatasetError(
            f"The pictures in {data} are not those that {run.path} was started with.",
            expected="the same pictures",
            hint=f"edgerd train {quoted(data)} -o ANOTHER_RUN",
        )


def refuse_flags(data: Path, out: Path, *, resume: bool, quantize: bool, epochs: int | None) -> None:
    """Raise InputError for `--quantize` without `--resume`, or with `--epochs`."""
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


def refuse_changes(ctx: click.Context, run: RunFolder, given: TrainingConfig) -> None:
    """Raise InputError where a resumed run is given other settings than it was started with.

    Only options that were typed count; the same command again, with --resume, is accepted.
    """
    began, spec, new = run.record.config, run.record.config.preprocess, given.preprocess
    fixed = {
        **{name: (getattr(began, name), getattr(given, name)) for name in _FIXED},
        "image_size": (spec.height, new.height),
        "region": (spec.region, new.region),
        "tiles": (spec.tiles, new.tiles),
    }
    for name, (before, now) in fixed.items():
        if ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE and now != before:
            raise InputError(
                f"{_flag(name)} {now} cannot be used: {run.path} was started with {before}.",
                expected="the settings that the run was started with",
                hint=f"{resume_command(run)}, with --epochs or --steps to train longer",
            )


def resume_command(run: RunFolder) -> str:
    """The command that goes on with a run."""
    return f"edgerd train {quoted(Path(run.record.data))} -o {quoted(run.path)} --resume"


def refuse_options_of_other_methods(method: Method, **given: float | None) -> None:
    """Raise InputError for an option that the method does not use; None stands for an option that was not given."""
    from edgerd.training.methods import METHODS

    for name, value in given.items():
        if value is not None and name not in method.options:
            other = next(one.name for one in METHODS.values() if name in one.options)
            raise InputError(
                f"{_flag(name)} {value:g} is of no use to method {method.name}.",
                expected=", ".join(map(_flag, method.options)) or "no number of steps",
                hint=f"Leave it out, or choose another method: --method {other}",
            )


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"
