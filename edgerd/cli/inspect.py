"""`edgerd inspect`: judge single pictures."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from edgerd.bundle.bundle import Bundle
from edgerd.cli.console import counted, quoted, speaker, warn, write_json
from edgerd.cli.doubts import warn_of_doubts
from edgerd.cli.options import bundle_argument, json_option, precision_option, runtime_option, threads_option
from edgerd.cli.places import place
from edgerd.data.no_folder import is_video
from edgerd.data.pictures import read_picture, write_png
from edgerd.data.preprocess import tile_boxes
from edgerd.data.shapes import ShapeGuard
from edgerd.errors import InputError
from edgerd.evaluation.caption import captioned
from edgerd.inspection.inspector import Inspector
from edgerd.paths import is_folder
from edgerd.types import Inspection, UInt8Array


@click.command()
@bundle_argument
@click.argument("pictures", type=click.Path(path_type=Path), nargs=-1, required=True, metavar="PICTURE...")
@runtime_option
@precision_option
@threads_option
@click.option("--threshold", type=float, help="Use this threshold instead of the engine's own.")
@json_option
@click.option("--heatmaps", type=click.Path(path_type=Path), metavar="DIR", help="Write heatmaps to this folder.")
def inspect(
    bundle: Path,
    pictures: tuple[Path, ...],
    runtime: str | None,
    precision: str | None,
    threads: int,
    threshold: float | None,
    json_file: Path | None,
    heatmaps: Path | None,
) -> None:
    """Judge PICTUREs with BUNDLE: score, verdict, where the defects are.

    A picture that cannot be judged is named and left out; then the exit code is 2, once the others are done.
    """
    say = speaker(json_file)
    results: list[dict[str, Any]] = []
    opened = Bundle.open(bundle)
    names, shapes = _names(pictures), ShapeGuard(opened.manifest)
    with Inspector.open(
        opened, runtime=runtime, precision=precision, threshold=threshold, threads=threads
    ) as inspector:
        say(inspector.why)
        say(f"NG is a score above {inspector.threshold:.4f}.")
        if threshold is None:
            warn_of_doubts(opened, inspector.engine.key)
        for path, name in zip(pictures, names, strict=True):
            try:
                bgr = read_picture(path)
                inspection = inspector.inspect(bgr)
            except InputError as error:
                warn(error.what)
                continue
            shapes.see(bgr.shape[1], bgr.shape[0])
            results.append(_record(path, inspection))
            score = inspection.reason if inspection.score is None else f"{inspection.score:.4f}"
            say(f"{inspection.verdict.value:12} {score:8} {path}  {place(inspection.regions)}".rstrip())
            if heatmaps:
                _write_heatmap(heatmaps / f"{name}.png", bgr, inspection, opened)
    if heatmaps and results:
        say(f"{counted(len(results), 'heatmap')} in {heatmaps}")
    for line in shapes.warnings():
        warn(line)
    n_left_out = len(pictures) - len(results)
    if json_file:
        write_json(json_file, {"pictures": results, "n_left_out": n_left_out})
    if n_left_out:
        raise InputError(
            f"{n_left_out} of {len(pictures)} pictures could not be judged; each is named above.",
            expected="picture files that fit the bundle's preprocessing",
            hint=_hint(bundle, pictures),
        )


def _hint(bundle: Path, pictures: Sequence[Path]) -> str:
    for path in pictures:
        if is_folder(path) or is_video(path):
            kind = "folder" if is_folder(path) else "video"
            return f"edgerd run --camera {quoted(path)} --bundle {quoted(bundle)} judges a whole {kind}."
    return "Check the paths, copy the files again, or leave them out."


def _record(path: Path, inspection: Inspection) -> dict[str, Any]:
    return {
        "path": str(path),
        "score": inspection.score,
        "threshold": inspection.threshold,
        "verdict": inspection.verdict.value,
        "reason": inspection.reason,
        "regions": [region.to_dict() for region in inspection.regions],
    }


def _names(pictures: Sequence[Path]) -> list[str]:
    """A name for the heatmap of each picture: its folder's and its own, and a number where both are not enough.

    Test pictures are often called the same in each folder; with the folder's name, those of one do not replace those of
    another, also where each folder is inspected by a command of its own.
    """
    names: dict[str, str] = {}
    for path in pictures:
        folder = Path(os.path.abspath(path)).parent.name  # noqa: PTH100  links keep their names
        plain = f"{folder}_{path.stem}" if folder else path.stem
        candidates = (plain, *(f"{plain}-{number}" for number in range(2, len(pictures) + 1)))
        name = next(name for name in candidates if name.casefold() not in names)  # some file systems ignore case
        names[name.casefold()] = name
    return list(names.values())


def _write_heatmap(file: Path, bgr: UInt8Array, inspection: Inspection, bundle: Bundle) -> None:
    has_map = inspection.anomaly_map is not None
    tiles = tile_boxes(bgr.shape[0], bgr.shape[1], bundle.manifest.preprocess) if has_map else ()
    write_png(file, captioned(bgr, inspection, tiles=tiles))
