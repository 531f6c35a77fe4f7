"""The one obvious object: a bundle goes in, frames go in, inspections come out.

with Inspector.open("bundle") as inspector:
    inspection = inspector.inspect(frame)
"""

from __future__ import annotations

import math
import time
from pathlib import Path
from types import TracebackType

import numpy as np

from edgerd.bundle import Bundle
from edgerd.data.preprocess import bgr_from_frame, prepare, tile_boxes
from edgerd.errors import BundleError, InputError
from edgerd.inspection.guards import exposure_reason
from edgerd.inspection.regions import find_regions
from edgerd.manifest import ThresholdRecord
from edgerd.runtimes.choose import open_engine
from edgerd.runtimes.protocol import Engine, Maps
from edgerd.types import Frame, Inspection, PixelFormat, UInt8Array, Verdict

MAX_SCORE = 6.0
"""What a map is at most where every scale is opposite to the teacher's."""


class Inspector:
    """Judges one frame after another; for one thread at a time.

    Args:
        bundle: Says the preprocessing and what good pictures look like in the large.
        engine: Runs the bundle's graph.
        threshold: NG is a score above it, strictly.
        why: Which engine this is, and why this one.

    Attributes:
        bundle: As given.
        engine: As given; closed by `close`.
        threshold: As given.
        why: As given, one line.
        last_engine_ms: Milliseconds in the engine for the last frame; None where it was not asked.
    """

    def __init__(self, bundle: Bundle, engine: Engine, threshold: float, why: str = "") -> None:
        if not math.isfinite(threshold):
            raise InputError(f"The threshold {threshold} is not a number.", expected="a finite number, such as 0.8")
        self.bundle = bundle
        self.engine = engine
        self.threshold = float(threshold)
        self.why = why
        self.last_engine_ms: float | None = None
        self._spec = bundle.manifest.preprocess
        self._limits = bundle.manifest.limits

    @classmethod
    def open(
        cls,
        bundle: str | Path | Bundle,
        *,
        runtime: str | None = None,
        precision: str | None = None,
        threshold: float | None = None,
        threads: int = 0,
    ) -> Inspector:
        """Open a bundle, choose an engine in it, load it.

        Args:
            bundle: Its directory, or an opened one.
            runtime: "onnxruntime", "openvino", ...; None for the bundle's default, as far as it runs here.
            precision: "fp32", "bf16", ...; None likewise.
            threshold: To use instead of the engine's own.
            threads: CPU threads; 0 for all the cores this process may use.

        Raises:
            BundleError: There is no bundle, it was damaged or not calibrated, or no engine fits this machine.
            InputError: There is no such runtime or precision here, or the threshold is none that a score can have.
            MissingDependencyError: The runtime is not installed.
        """
        if not isinstance(bundle, Bundle):
            bundle = Bundle.open(bundle)
        opened = open_engine(bundle, runtime=runtime, precision=precision, threads=threads)
        try:
            if threshold is None:
                threshold = _stored_threshold(opened.threshold, bundle)
            else:
                _check_reachable(threshold)
            return cls(bundle, opened.engine, threshold, opened.why)
        except BaseException:
            opened.engine.close()
            raise

    def inspect(self, frame: UInt8Array | Frame) -> Inspection:
        """Judge one frame.

        Args:
            frame: uint8 (h, w, 3) BGR or (h, w) grey, or a `Frame` that says its pixel format.

        Returns:
            Verdict, score, regions and map. NO_DECISION for a frame that is black, or exposed unlike any good picture,
            and where the engine gives values that are not finite.

        Raises:
            SpecError: The frame is laid out differently, or region and tiles do not fit it.
        """
        started_s = time.perf_counter()
        self.last_engine_ms = None
        bgr = bgr_from_frame(_as_frame(frame), self._spec)
        tiles = prepare(bgr, self._spec)
        reason = exposure_reason(tiles, self._limits)
        if reason:
            return self._no_decision(reason, started_s)
        maps = self._infer(tiles)
        if not (np.isfinite(maps.score).all() and np.isfinite(maps.anomaly_map).all()):
            return self._no_decision("score is not finite", started_s)
        score = float(maps.score.max())
        ng = score > self.threshold
        boxes = tile_boxes(bgr.shape[0], bgr.shape[1], self._spec) if ng else ()
        return Inspection(
            verdict=Verdict.NG if ng else Verdict.OK,
            score=score,
            threshold=self.threshold,
            regions=find_regions(maps.anomaly_map, self.threshold, boxes, self._spec) if ng else (),
            anomaly_map=maps.anomaly_map,
            frame_ms=_elapsed_ms(started_s),
        )

    def warm_up(self, n: int = 3) -> None:
        """Run a grey picture through the engine: the first ones are slow, kernels and memory are made ready in them."""
        tiles = np.full((self._spec.n_tiles, self._spec.height, self._spec.width, 3), 128, np.uint8)
        for _ in range(n):
            self.engine.infer(tiles)

    def close(self) -> None:
        """Free what the engine holds; safe to call twice."""
        self.engine.close()

    def __enter__(self) -> Inspector:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _infer(self, tiles: UInt8Array) -> Maps:
        started_s = time.perf_counter()
        maps = self.engine.infer(tiles)
        self.last_engine_ms = _elapsed_ms(started_s)
        return maps

    def _no_decision(self, reason: str, started_s: float) -> Inspection:
        return Inspection(
            verdict=Verdict.NO_DECISION,
            score=None,
            threshold=self.threshold,
            reason=reason,
            frame_ms=_elapsed_ms(started_s),
        )


def _check_reachable(threshold: float) -> None:
    """A threshold in percent, or with a slipped decimal point, would let every part pass without a word."""
    if math.isfinite(threshold) and not 0 <= threshold <= MAX_SCORE:
        raise InputError(
            f"The threshold {threshold:g} would {'find no part' if threshold > 0 else 'find every part'} defective.",
            expected=f"0 to {MAX_SCORE:g}, as scores are: three scales of 1 - cosine",
            hint="edgerd inspect prints the scores of pictures, edgerd show the bundle's own threshold.",
        )


def _stored_threshold(record: ThresholdRecord | None, bundle: Bundle) -> float:
    if record is None:
        raise BundleError(
            f"{bundle.path} has no threshold yet.",
            expected="one that was found from good pictures",
            hint=f"edgerd calibrate {bundle.path}",
        )
    return record.value


def _as_frame(frame: UInt8Array | Frame) -> Frame:
    if isinstance(frame, Frame):
        return frame
    return Frame(data=frame, pixel_format=PixelFormat.GREY if frame.ndim == 2 else PixelFormat.BGR)


def _elapsed_ms(started_s: float) -> float:
    return (time.perf_counter() - started_s) * 1000
