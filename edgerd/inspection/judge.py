"""From an engine's answer to a verdict: the same on every device."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import NoReturn

import numpy as np

from edgerd.bundle.manifest import PictureLimits, PreprocessSpec
from edgerd.data.aspect import inside_box, window, without_padding
from edgerd.data.preprocess import tile_boxes
from edgerd.errors import SpecError
from edgerd.inspection.guards import exposure_reason, frame_size
from edgerd.inspection.masks import BoolArray, covered_map_pixels, with_masks
from edgerd.inspection.regions import find_regions
from edgerd.recipe.product import Mask
from edgerd.runtimes.protocol import Maps
from edgerd.scoring import map_scores
from edgerd.types import Float32Array, Frame, Inspection, UInt8Array, Verdict


class Pending:
    """A frame that is being judged.

    Args:
        judge: Waits for the answer. It is called once, whatever comes of it: its results lie in memory that the next
            frame may have by then.
    """

    def __init__(self, judge: Callable[[], Inspection]) -> None:
        self._judge = judge
        self._outcome: Inspection | BaseException | None = None

    @classmethod
    def done(cls, inspection: Inspection) -> Pending:
        """One that is judged already."""
        pending = cls(_never)
        pending._outcome = inspection
        return pending

    @classmethod
    def failed(cls, error: BaseException) -> Pending:
        """One that could not be sent to the engine; `result` raises the error when its turn comes."""
        pending = cls(_never)
        pending._outcome = error
        return pending

    def settle(self) -> Inspection | BaseException:
        """Wait for what was found, or for the failure that `result` raises.

        Raises:
            KeyboardInterrupt: The wait was interrupted; `result` raises that too.
        """
        if self._outcome is None:
            try:
                self._outcome = self._judge()
            except BaseException as error:
                self._outcome = error
                if not isinstance(error, Exception):
                    raise
        return self._outcome

    def result(self) -> Inspection:
        """Wait for what was found.

        Raises:
            DeviceError: The device failed, or is lost; the same each time.
        """
        outcome = self.settle()
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome


def _never() -> NoReturn:
    raise AssertionError("a frame whose outcome is known has no judge")


class Judge:
    """Verdicts for the frames of one camera.

    Args:
        spec: The preprocessing, with the region where it lies in this camera's frames.
        limits: What good pictures look like in the large.
        threshold: NG is a score above it, strictly.
        masks: Areas of the frame that are not inspected.
        usual_score: What nine of ten good parts do not exceed; None where that is not known.
        score_values: How many of a map's highest values its score is the mean of; None for the maximum.

    Attributes:
        threshold: NG is a score above it, strictly.
        usual_score: What nine of ten good parts do not exceed.
    """

    def __init__(
        self,
        spec: PreprocessSpec,
        limits: PictureLimits,
        threshold: float,
        masks: Sequence[Mask] = (),
        *,
        usual_score: float | None = None,
        score_values: int | None = None,
    ) -> None:
        self.threshold = threshold
        self.usual_score = usual_score
        self._score_values = score_values
        self._spec = spec
        self._limits = limits
        self._masks = tuple(masks)
        self._covered: tuple[tuple[int, int], BoolArray | None] | None = None

    def with_(
        self,
        *,
        threshold: float | None = None,
        masks: Sequence[Mask] | None = None,
        spec: PreprocessSpec | None = None,
    ) -> Judge:
        """Another judge, that differs from this one in what is given; None takes over what this one has."""
        return Judge(
            spec or self._spec,
            self._limits,
            self.threshold if threshold is None else threshold,
            self._masks if masks is None else masks,
            usual_score=self.usual_score,
            score_values=self._score_values,
        )

    def exposure(self, tiles: UInt8Array, started_s: float) -> Inspection | None:
        """NO_DECISION for a picture that is black, or exposed unlike any good one; None for all others.

        Args:
            tiles: uint8 (tiles, H, W, 3), BGR, as the engine sees them.
            started_s: When the frame was in memory, on `time.perf_counter`'s clock.
        """
        reason = exposure_reason(without_padding(tiles, self._spec), self._limits)
        return self.no_decision(reason, started_s) if reason else None

    def decide(self, maps: Maps, frame: Frame, started_s: float, engine_ms: float | None) -> Inspection:
        """OK or NG; NO_DECISION where the engine gave values that are not finite, or masks leave nothing to inspect.

        Args:
            maps: What the engine gave for the frame's tiles; the inspection keeps the map, without padding. In the
                padding the graph has set it to 0, so that the score is one of the picture alone.
            frame: The frame as the camera gave it; its size says where the regions are.
            started_s: When the frame was in memory, on `time.perf_counter`'s clock.
            engine_ms: Milliseconds that the engine took; None where that was not measured.
        """
        scores: list[float] = maps.score.tolist()
        if not (all(map(math.isfinite, scores)) and np.isfinite(maps.anomaly_map).all()):
            return self.no_decision("score is not finite", started_s, engine_ms)
        width, height = frame_size(frame)
        score = max(scores)
        if self._spec.aspect == "letterbox":
            maps = Maps(maps.score, self._shown(maps.anomaly_map, height, width))
        if self._masks:
            try:
                covered = self._covered_pixels(height, width)
            except SpecError as error:
                return self.no_decision(error.what, started_s, engine_ms)
            if covered is not None:
                maps = Maps(maps.score, with_masks(maps.anomaly_map, covered))
                score = float(map_scores(maps.anomaly_map, self._score_values).max())
        ng = score > self.threshold
        boxes = tile_boxes(height, width, self._spec) if ng else ()
        return Inspection(
            verdict=Verdict.NG if ng else Verdict.OK,
            score=score,
            threshold=self.threshold,
            regions=find_regions(maps.anomaly_map, self.threshold, boxes, self._spec) if ng else (),
            anomaly_map=maps.anomaly_map,
            frame_ms=elapsed_ms(started_s),
            engine_ms=engine_ms,
            usual_score=self.usual_score,
        )

    def _shown(self, anomaly_map: Float32Array, height: int, width: int) -> Float32Array:
        """The part of the maps that shows the picture: float32 (tiles, H, W) -> (tiles, h, w)."""
        rows, columns = window(inside_box(tile_boxes(height, width, self._spec)[0], self._spec))
        return np.ascontiguousarray(anomaly_map[:, rows, columns])

    def _covered_pixels(self, height: int, width: int) -> BoolArray | None:
        """The pixels of the map that masks cover; found once for all frames of a size."""
        covered = self._covered  # one look: another thread may inspect a frame of another size
        if covered is None or covered[0] != (height, width):
            covered = (height, width), covered_map_pixels(self._masks, height, width, self._spec)
            self._covered = covered
        return covered[1]

    def no_decision(self, reason: str, started_s: float | None = None, engine_ms: float | None = None) -> Inspection:
        """Nothing can be said of a frame.

        Args:
            reason: Why.
            started_s: When the frame was in memory, on `time.perf_counter`'s clock; None where it never got so far.
            engine_ms: Milliseconds that the engine took; None where it was not asked, or that was not measured.
        """
        return Inspection(
            verdict=Verdict.NO_DECISION,
            score=None,
            threshold=self.threshold,
            reason=reason,
            frame_ms=0.0 if started_s is None else elapsed_ms(started_s),
            engine_ms=engine_ms,
        )


def elapsed_ms(started_s: float) -> float:
    """Milliseconds since then, on `time.perf_counter`'s clock."""
    return (time.perf_counter() - started_s) * 1000
