"""`edgerd.build_engine`: a faster engine, checked against the FP32 graph, installed in the bundle."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from edgerd.acceptance.gate_pictures import gate_pictures
from edgerd.building.engine import build_engine as build
from edgerd.building.listener import BuildListener
from edgerd.bundle.bundle import Bundle

if TYPE_CHECKING:
    from edgerd.building.candidates import Candidate, LeftOut
    from edgerd.building.listener import BuildStep
    from edgerd.building.sensitivity import Measured


def build_engine(
    bundle: str | Path | Bundle,
    *,
    runtime: str = "auto",
    precision: str = "auto",
    calibration: str | Path | None = None,
    max_map_error: float | None = None,
    max_auroc_drop: float | None = None,
    force: bool = False,
    say: Callable[[str], None] = print,
) -> Bundle:
    """Build engines for this machine and make the fastest that passes the gate the bundle's default.

    As `edgerd build-engine BUNDLE` does, which has more options, TensorRT's among them.

    Args:
        bundle: What `edgerd.export` returned, or its folder.
        runtime: "onnxruntime", "openvino", "tensorrt", ..., or "auto" for all that run here.
        precision: "fp32", "bf16", "fp16" or "int8", or "auto" for all that the runtime has here.
        calibration: More pictures for the gate: a folder of good ones, or MVTec's layout, whose test pictures have
            labels; None for the bundle's own alone.
        max_map_error: How much maps may differ; None for a quarter of the threshold.
        max_auroc_drop: How much AUROC and AUPRO on labelled pictures may drop; None for 0.003.
        force: Install the fastest engine even if the gate refuses all.
        say: Told what happens, a line at a time.

    Returns:
        The bundle with its new default engine.

    Raises:
        BundleError: There is no bundle, or it has no threshold or no pictures.
        InputError: This machine does not run the precision.
        GateError: No engine passed the gate; the bundle was not changed.
        MissingDependencyError: The runtime is not installed.
        DeviceError: The device refuses to build.
        StorageError: The bundle cannot be written.
    """
    opened = bundle if isinstance(bundle, Bundle) else Bundle.open(bundle)
    pictures = gate_pictures(opened, None if calibration is None else Path(calibration))
    for note in pictures.notes:
        say(note)
    for file, reason in pictures.skipped.items():
        say(f"warning: left out {file}: {reason}")
    built = build(
        opened,
        runtime=runtime,
        precision=precision,
        pictures=pictures,
        max_map_error=max_map_error,
        max_auroc_drop=max_auroc_drop,
        force=force,
        listener=_Said(say),
    )
    chosen = built.chosen
    if chosen.gate.forced:
        say(f"warning: {chosen.name} was refused by the gate and is installed because of force.")
    say(f"Default engine of {opened.path}: {chosen.name}, threshold {chosen.threshold.value:.4f}.")
    return built.bundle


class _Said(BuildListener):
    """Says a line for each thing that happens."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say

    def step_begins(self, step: BuildStep) -> None:
        self._say(f"{step} ...")

    def left_out(self, left_out: LeftOut) -> None:
        self._say(str(left_out))

    def assignment_measured(self, runtime: str, measured: Measured) -> None:
        kept = ", ".join(measured.high_precision) or "no block"
        self._say(f"{runtime} int8 with {kept} in high precision: {measured.relative_time:.2f} of all-INT8's time")

    def candidate_built(self, candidate: Candidate) -> None:
        self._say(str(candidate))
