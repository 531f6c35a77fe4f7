"""The products, behind one protocol: a frame in memory goes in, what the product says of it comes out."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from edgerd.inspection.inspector import Inspector
from edgerd.types import UInt8Array, Verdict
from peer.anomalib_training import SIZE, TRAINED
from peer.torchvision_operators import declare_missing_operators

ANOMALIB_NAMES = {"patchcore": "PatchCore", "reverse_distillation": "Reverse Distillation"}


@dataclass(frozen=True)
class Judgement:
    """What a product says of a frame.

    Attributes:
        score: As the product gives it; None where it gives none.
        is_defective: At the product's own threshold; None where it does not decide.
    """

    score: float | None
    is_defective: bool | None


class Product(Protocol):
    """Something that judges frames.

    Attributes:
        name: As tables print it.
        precision: Likewise.
        learned_from: Likewise: how many pictures.
    """

    name: str
    precision: str
    learned_from: str

    def frame(self, bgr: UInt8Array) -> UInt8Array:
        """The same picture in the order of colours that the product takes; outside every clock."""

    def judge(self, frame: UInt8Array) -> Judgement:
        """Whole frame to verdict, uint8 (h, w, 3) as `frame` gives it."""


class EdgerdProduct:
    """A bundle behind edgerd's `Inspector`."""

    def __init__(self, name: str, bundle: Path, runtime: str | None, precision: str | None, threads: int) -> None:
        self._inspector = Inspector.open(bundle, runtime=runtime, precision=precision, threads=threads)
        self.name = f"edgerd, {name}"
        key = self._inspector.engine.key
        self.precision = f"{key.runtime} {key.precision}"
        manifest = self._inspector.bundle.manifest
        settled_by = manifest.threshold.n_good if manifest.threshold else 0
        self.learned_from = f"{manifest.training.n_train} good; threshold: {settled_by} good"

    def frame(self, bgr: UInt8Array) -> UInt8Array:
        """BGR, as OpenCV reads it."""
        return bgr

    def judge(self, frame: UInt8Array) -> Judgement:
        """One `Inspector.inspect`."""
        inspection = self._inspector.inspect(frame)
        undecided = inspection.verdict is Verdict.NO_DECISION
        return Judgement(inspection.score, None if undecided else inspection.verdict is Verdict.NG)


def export_errors(folder: Path) -> dict[str, str]:
    """What anomalib's exports failed with, by export; those that did not are not in it."""
    errors: dict[str, str] = json.loads((folder / TRAINED).read_text())["errors"]
    return errors


class AnomalibProduct:
    """An OpenVINO model of anomalib's behind its own `OpenVINOInferencer`."""

    def __init__(self, model: str, folder: Path, export: str, threads: int) -> None:
        self.model, self.export = model, export
        self._is_resized = export not in ("default", "int8")
        declare_missing_operators()
        from anomalib.deploy import OpenVINOInferencer

        file = folder / export / "weights" / "openvino" / "model.xml"
        self._inferencer = OpenVINOInferencer(file, device="CPU", config={"INFERENCE_NUM_THREADS": threads})
        self.name = f"anomalib {ANOMALIB_NAMES[model]}{', resized first' if self._is_resized else ''}"
        hint = self._inferencer.model.get_property("INFERENCE_PRECISION_HINT").get_type_name()
        self.precision = f"openvino {'int8 and ' if 'int8' in export else ''}{ {'bf16': 'bf16', 'f32': 'fp32'}[hint] }"
        trained = json.loads((folder / TRAINED).read_text())
        good, synthetic = trained["n_validation_good"], trained["n_validation_synthetic"]
        self.learned_from = f"{trained['n_train']} good; threshold: {good} good, {synthetic} synthetic"

    def frame(self, bgr: UInt8Array) -> UInt8Array:
        """RGB."""
        return np.ascontiguousarray(bgr[:, :, ::-1])

    def judge(self, frame: UInt8Array) -> Judgement:
        """One `OpenVINOInferencer.predict`, after OpenCV's resize where the export wants the network's size."""
        if self._is_resized:
            frame = cv2.resize(frame, SIZE, interpolation=cv2.INTER_AREA)
        prediction = self._inferencer.predict(frame)
        return Judgement(float(prediction.pred_score.item()), bool(prediction.pred_label.item()))
