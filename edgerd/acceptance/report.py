"""From an evaluation to its HTML report."""

from __future__ import annotations

from pathlib import Path

from edgerd import __version__
from edgerd.acceptance.evaluate import Evaluation
from edgerd.bundle.bundle import Bundle
from edgerd.bundle.manifest import ModelRecord
from edgerd.data.dataset import read_mask_for
from edgerd.data.pictures import read_picture
from edgerd.data.preprocess import tile_boxes
from edgerd.evaluation.report import Example, ReportData, hardest_pictures, write_report
from edgerd.runtimes.choose import OpenedEngine


def report_of(evaluation: Evaluation, bundle: Bundle, opened: OpenedEngine, data: Path, folder: Path) -> Path:
    """Write the report of an evaluation; returns its HTML file.

    Raises:
        StorageError: The folder cannot be written.
    """
    defects = [picture.defect for picture in evaluation.pictures]
    lowest, highest = hardest_pictures(evaluation.scores, defects)
    manifest, key = bundle.manifest, opened.engine.key
    training = manifest.training
    facts = {
        "Data": str(data),
        "Bundle": f"{bundle.path}, {manifest.id[:16]}",
        "Networks": networks_text(manifest.model),
        "Training": f"{training.method}, {training.n_train} pictures, {training.steps} steps",
        "Engine": f"{key.runtime} {key.runtime_version}, {key.precision}",
        "Device": key.device,
        "edgerd": __version__,
    }
    report = ReportData(
        title=f"Evaluation of {bundle.path.name} on {data.name}",
        facts=facts,
        metrics=evaluation.metrics,
        scores=evaluation.scores,
        defects=defects,
        threshold=opened.threshold,
        lowest_defective=[_example(evaluation, index, bundle, data) for index in lowest],
        highest_good=[_example(evaluation, index, bundle, data) for index in highest],
    )
    return write_report(folder, report)


def _example(evaluation: Evaluation, index: int, bundle: Bundle, data: Path) -> Example:
    picture = evaluation.pictures[index]
    bgr = read_picture(picture.path)
    return Example(
        name=str(picture.path.relative_to(data)),
        defect=picture.defect,
        score=float(evaluation.scores[index]),
        picture=bgr,
        anomaly_map=evaluation.maps[index],
        mask=read_mask_for(picture, *bgr.shape[:2]) if picture.is_defective else None,
        tiles=tile_boxes(bgr.shape[0], bgr.shape[1], bundle.manifest.preprocess),
    )


def networks_text(model: ModelRecord) -> str:
    """Which networks a graph holds, in a line."""
    parts = [model.teacher, *([f"student {model.student}"] if model.student else [])]
    parts += [f"{model.prototypes} prototypes"] if model.prototypes else []
    return ", ".join(parts + (["statistics of positions"] if model.positions else []))
