"""What blocks in high precision are worth: one engine after another, measured where it will run."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from edgerd.acceptance.gate import Budget, compare
from edgerd.acceptance.gate_pictures import GatePictures
from edgerd.acceptance.outputs import Labels, Outputs
from edgerd.building.candidates import GraphSource, Standard, outputs_of
from edgerd.bundle.bundle import Bundle
from edgerd.bundle.manifest import Record, ThresholdRecord
from edgerd.data.pictures import load_bundle_pictures
from edgerd.errors import BundleError
from edgerd.evaluation.metrics import image_auroc
from edgerd.runtimes import load_runtime
from edgerd.runtimes.choose import open_engine
from edgerd.runtimes.protocol import Engine

MAX_LABELLED = 64
"""Most labelled pictures that a search decides on: for each block the engine runs on all of them."""
_WARM_UP, _TIMED = 3, 20


class Measured(Record):
    """An assignment of precisions: the INT8 engine with some blocks in high precision."""

    high_precision: tuple[str, ...]
    """The blocks, sorted."""
    relative_time: float
    """Shortest time of a picture, as a part of the all-INT8 engine's, measured in turns with it."""
    score_error: float
    """Standard deviation of the score's difference from FP32, as a part of that of FP32's scores of good pictures."""
    max_map_error: float
    """Largest difference of two maps."""
    auroc_drop: float | None
    """How much image AUROC falls; None without labelled pictures of good and of defective parts."""
    failures: tuple[str, ...]
    """The checks of the gate that fail on the pictures it was measured on."""

    @property
    def passed(self) -> bool:
        """Whether the gate would let it through."""
        return not self.failures


def deciding_pictures(
    bundle: Bundle, labelled: GatePictures | None, threshold: ThresholdRecord, budget: Budget
) -> Standard:
    """Run the FP32 graph on what assignments are measured on: other pictures than those of threshold and gate.

    Args:
        bundle: A bundle with range pictures. The search decides on those, and on defects that are pasted into them.
        labelled: The search's part of the labelled pictures, from `split_labelled`; None where there are none.
        threshold: The FP32 graph's, as it stands in the bundle.
        budget: How far an engine may be from the FP32 graph; the gate has the same.

    Raises:
        BundleError: The bundle was exported without pictures.
    """
    manifest = bundle.manifest
    if not manifest.ranges:
        raise BundleError(
            f"{bundle.path} has no pictures to look for a precision on.",
            expected="range pictures, as edgerd export puts them into the bundle",
            hint="Export again without --no-pictures, or name a precision: --precision int8",
        )
    good = load_bundle_pictures(bundle, manifest.ranges, manifest.preprocess)
    padded = manifest.preprocess.aspect == "letterbox"
    pictures = (
        GatePictures(good, 0, padded=padded) if labelled is None else replace(labelled, good=good, n_never_seen=0)
    )
    with open_engine(bundle, "onnxruntime", "fp32") as opened:
        return Standard(pictures, outputs_of(opened.engine, pictures), threshold, budget)


def split_labelled(pictures: GatePictures) -> tuple[GatePictures, GatePictures]:
    """Split labelled pictures: some for the search, spread over the kinds of defects, and the rest for the gate.

    Good and defective ones are split separately, so that both parts have both. Where there is only one, the gate has
    it.

    Returns:
        The search's pictures, and the gate's.
    """
    defects, is_good = np.array(pictures.labels.defects), pictures.labels.is_good
    step = max(2, int(np.ceil(len(defects) / (MAX_LABELLED - 2))))
    is_deciding = np.zeros(len(defects), np.bool_)
    for alike in (np.flatnonzero(is_good), np.flatnonzero(~is_good)):
        by_kind = alike[np.argsort(defects[alike], kind="stable")]
        is_deciding[by_kind[1::step]] = True
    return _those(pictures, is_deciding), _those(pictures, ~is_deciding)


def _those(pictures: GatePictures, wanted: npt.NDArray[np.bool_]) -> GatePictures:
    if pictures.labelled is None:
        raise ValueError("there are no labelled pictures")
    indices = np.flatnonzero(wanted)
    labels = Labels(
        tuple(pictures.labels.defects[k] for k in indices), tuple(pictures.labels.masks[k] for k in indices)
    )
    return replace(pictures, labelled=pictures.labelled[indices], labels=labels)


class Sensitivity:
    """Builds and measures assignments of one runtime; the all-INT8 engine stays open, so that times are relative to it.

    Attributes:
        runtime: An entry of `RUNTIMES`.
        graph_sha256: Hash of the all-INT8 graph.
    """

    def __init__(self, runtime: str, graph_of: GraphSource, deciding: Standard) -> None:
        self.runtime = runtime
        self._graph_of = graph_of
        self._deciding = deciding
        self._all_int8 = self._engine(())
        self.graph_sha256 = self._all_int8.key.graph_sha256

    def measure(self, high_precision: tuple[str, ...]) -> Measured:
        """Build the engine with these blocks in high precision, and measure it."""
        standard = self._deciding
        engine = self._engine(high_precision)
        try:
            relative_time = self._relative_time(engine)
            given = outputs_of(engine, standard.pictures)
        finally:
            engine.close()
        gate = compare(given, standard.reference, standard.threshold, standard.budget)
        differences = [
            np.abs(ours.anomaly_map - wanted.anomaly_map).max()
            for ours, wanted in zip(given.pasted, standard.reference.pasted, strict=True)
        ]
        pasted_error = float(np.max(differences))
        failures = list(gate.failures)
        # NaN is above every budget
        if not pasted_error <= standard.budget.max_map_error:
            failures.append(f"maps differ by {pasted_error:.4f} where defects are pasted")
        return Measured(
            high_precision=high_precision,
            relative_time=relative_time,
            score_error=_score_error(given, standard.reference) if gate.finite else -1.0,
            max_map_error=max(gate.max_map_error, pasted_error) if gate.finite else -1.0,
            auroc_drop=_auroc_drop(given, standard.reference) if gate.finite else None,
            failures=tuple(failures),
        )

    def close(self) -> None:
        """Free the all-INT8 engine."""
        self._all_int8.close()

    def _engine(self, high_precision: tuple[str, ...]) -> Engine:
        runtime = load_runtime(self.runtime)
        graph = self._graph_of("int8", runtime.probe().int8_flavour, high_precision)
        return runtime.load(graph.content, runtime.key("int8", graph.sha256), {})

    def _relative_time(self, engine: Engine) -> float:
        tiles = self._deciding.pictures.good[0]
        times: dict[str, list[float]] = {"this": [], "all": []}
        for _ in range(_WARM_UP + _TIMED):
            for name, each in (("this", engine), ("all", self._all_int8)):
                start = time.perf_counter()
                each.infer(tiles)
                times[name].append(time.perf_counter() - start)
        # The shortest times were disturbed least; a median would take a busy moment for a slow block.
        this, all_int8 = (min(taken[_WARM_UP:]) for taken in times.values())
        return this / all_int8


def _score_error(given: Outputs, reference: Outputs) -> float:
    ours, wanted = (np.append(each.scores, each.pasted_scores) for each in (given, reference))
    spread = float(np.std(reference.scores[: len(reference.good)]))
    return float(np.std(ours - wanted)) / max(spread, 1e-12)


def _auroc_drop(given: Outputs, reference: Outputs) -> float | None:
    is_defective = ~given.labels.is_good
    if not is_defective.any() or is_defective.all():
        return None
    ours, wanted = (image_auroc(each.scores[len(each.good) :], is_defective) for each in (given, reference))
    return wanted - ours
