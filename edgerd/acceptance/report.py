"""From an evaluation to its HTML report."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from pathlib import Path
from shlex import join

from edgerd import __version__
from edgerd.acceptance.evaluate import Evaluation
from edgerd.acceptance.training_pictures import warning_of_training_pictures
from edgerd.bundle.bundle import Bundle
from edgerd.bundle.manifest import ModelRecord
from edgerd.data.dataset import read_mask_for
from edgerd.data.pictures import read_picture
from edgerd.data.preprocess import tile_boxes
from edgerd.evaluation.report import ComparedRun, Example, ReportData, ReportPicture, write_report
from edgerd.runtimes.choose import OpenedEngine


def report_of(
    evaluation: Evaluation,
    bundle: Bundle,
    opened: OpenedEngine,
    data: Path,
    folder: Path,
    *,
    compared: Sequence[ComparedRun] = (),
    on_picture: Callable[[], None] = lambda: None,
) -> Path:
    """Write the report of an evaluation; returns its HTML file.

    Args:
        evaluation: What was found.
        bundle: The bundle that was evaluated.
        opened: Its engine.
        data: The folder of the data set.
        folder: The report's folder; made if it does not exist.
        compared: Other evaluations, shown beside this one.
        on_picture: Called once for each picture that is drawn.

    Raises:
        StorageError: The folder cannot be written.
        PictureError: A picture that was evaluated can no longer be read.
    """
    key = opened.engine.key
    engine = ["--runtime", key.runtime, "--precision", key.precision]
    others = [argument for run in compared for argument in ("--compare", str(run.file.absolute()))]
    where = str(bundle.path.absolute())
    report = ReportData(
        title=f"Evaluation of {bundle.path.name} on {data.name}",
        facts=_facts(bundle, opened, data),
        command=join(
            ["edgerd", "evaluate", where, str(data.absolute()), *engine, *others, "--report", str(folder.absolute())]
        ),
        run_options=join(["--bundle", where, *engine, "--camera", "URI"]),
        metrics=evaluation.metrics,
        pictures=[
            ReportPicture(str(picture.path.relative_to(data)), picture.defect, float(score))
            for picture, score in zip(evaluation.pictures, evaluation.scores, strict=True)
        ],
        example=lambda index: _example(evaluation, index, bundle),
        doubts=_doubts(evaluation),
        threshold=opened.threshold,
        this_run=(f"{bundle.path.name} (this report)", f"{key.runtime} {key.precision}"),
        compared=compared,
    )
    return write_report(folder, report, on_picture)


def _facts(bundle: Bundle, opened: OpenedEngine, data: Path) -> dict[str, str]:
    manifest, key = bundle.manifest, opened.engine.key
    training = manifest.training
    return {
        "Date": f"{datetime.now(timezone.utc):%Y-%m-%d %H:%M} UTC",
        "edgerd": __version__,
        "Data": str(data),
        "Bundle": str(bundle.path),
        "Bundle id": manifest.id,
        "Networks": networks_text(manifest.model),
        "Training": f"{training.method}, {training.n_train} pictures, {training.steps} steps",
        "Engine": f"{key.runtime} {key.runtime_version}, {key.precision}",
        "Device": key.device,
    }


def _doubts(evaluation: Evaluation) -> list[str]:
    doubts = []
    if evaluation.n_trained_on:
        doubts.append(warning_of_training_pictures(evaluation.n_trained_on, len(evaluation.pictures)))
    doubts += evaluation.warnings
    if evaluation.skipped:
        lines = [f"{file}: {reason}" for file, reason in evaluation.skipped.items()]
        doubts.append("\n".join(["Left out, since they cannot be read:", *lines]))
    return doubts


def _example(evaluation: Evaluation, index: int, bundle: Bundle) -> Example:
    picture = evaluation.pictures[index]
    bgr = read_picture(picture.path)
    return Example(
        picture=bgr,
        anomaly_map=evaluation.maps[index],
        mask=read_mask_for(picture, *bgr.shape[:2]) if picture.is_defective else None,
        tiles=tuple(tile_boxes(bgr.shape[0], bgr.shape[1], bundle.manifest.preprocess)),
    )


def networks_text(model: ModelRecord) -> str:
    """Which networks a graph holds, in a line."""
    parts = [model.teacher, *([f"student {model.student}"] if model.student else [])]
    parts += [f"{model.prototypes} prototypes"] if model.prototypes else []
    return ", ".join(parts + (["statistics of positions"] if model.positions else []))
