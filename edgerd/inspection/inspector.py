"""The one obvious object: a bundle goes in, frames go in, inspections come out.

with Inspector.open("bundle") as inspector:
    inspection = inspector.inspect(frame)
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from pathlib import Path
from shlex import quote
from types import TracebackType

from edgerd.bundle.bundle import Bundle
from edgerd.bundle.manifest import PreprocessSpec, ThresholdRecord
from edgerd.data.preprocess import bgr_from_frame, tile_boxes
from edgerd.errors import BundleError, InputError
from edgerd.evaluation.caption import captioned
from edgerd.inspection.gpu.on_device import DeviceInspection
from edgerd.inspection.gpu.options import DeviceOptions
from edgerd.inspection.inputs import Picture, frame_from
from edgerd.inspection.judge import Judge, Pending
from edgerd.inspection.on_host import HostInspection
from edgerd.inspection.slots import Buffers
from edgerd.recipe.product import MAX_SCORE, Mask
from edgerd.runtimes.choose import open_engine
from edgerd.runtimes.device import DeviceEngine
from edgerd.runtimes.protocol import Engine
from edgerd.types import Inspection, UInt8Array


class Inspector:
    """Judges one frame after another.

    On a CPU `inspect` may be called from several threads: preprocessing runs side by side, and a call waits while the
    engine runs for another, whichever the runtime. `adjust` may be called meanwhile; `close` must come last. An engine
    on a GPU is for the thread that opened it; another one gets a DeviceError. For asyncio: `await
    asyncio.to_thread(inspector.inspect, frame)`. A batch is a loop; threads make it faster where preprocessing counts.

    Args:
        bundle: Says the preprocessing and what good pictures look like in the large.
        engine: Runs the bundle's graph.
        threshold: NG is a score above it, strictly.
        why: Which engine this is, and why this one.
        device: How to use the GPU, where the engine is on one; the defaults where None.

    Attributes:
        bundle: The bundle whose parts are inspected.
        engine: Runs the bundle's graph; closed by `close`.
        why: Which engine this is, and why this one; one line.
        spec: The preprocessing, with the region where it lies in the frames that are inspected.
    """

    def __init__(
        self,
        bundle: Bundle,
        engine: Engine,
        threshold: float,
        why: str = "",
        *,
        device: DeviceOptions | None = None,
        usual_score: float | None = None,
    ) -> None:
        if not math.isfinite(threshold):
            raise InputError(
                f"The threshold {threshold} is not a number.",
                expected="a finite number, such as 0.8",
                hint="edgerd show prints the bundle's own.",
            )
        self.bundle = bundle
        self.engine = engine
        self.why = why
        self._owns_engine = True
        self.spec = bundle.manifest.preprocess
        judge = Judge(
            self.spec,
            bundle.manifest.limits,
            float(threshold),
            usual_score=usual_score,
            score_values=bundle.manifest.model.score_values,
        )
        self._way: HostInspection | DeviceInspection
        if isinstance(engine, DeviceEngine):
            self._way = DeviceInspection(engine, judge, self.spec, device)
        else:
            self._way = HostInspection(engine, judge, self.spec)

    @classmethod
    def open(
        cls,
        bundle: str | Path | Bundle,
        *,
        runtime: str | None = None,
        precision: str | None = None,
        threshold: float | None = None,
        threads: int = 0,
        device: DeviceOptions | None = None,
    ) -> Inspector:
        """Open a bundle, choose an engine in it, load it.

        Args:
            bundle: Directory of a bundle, or a bundle that is open.
            runtime: "onnxruntime", "openvino", ...; None for the bundle's default, as far as it runs here.
            precision: "fp32", "bf16", ...; None for that of the same default.
            threshold: To use instead of the engine's own.
            threads: CPU threads; 0 for all the cores this process may use.
            device: How to use the GPU, where the engine is on one; the defaults where None.

        Raises:
            BundleError: There is no bundle, it was damaged or not calibrated, or no engine fits this machine.
            InputError: There is no such runtime or precision here, or the threshold is none that a score can have.
            MissingDependencyError: The runtime is not installed.
            DeviceError: The GPU does not have enough memory.
        """
        if not isinstance(bundle, Bundle):
            bundle = Bundle.open(bundle)
        opened = open_engine(bundle, runtime=runtime, precision=precision, threads=threads)
        try:
            if threshold is None:
                threshold = _stored_threshold(opened.threshold, bundle)
            else:
                check_threshold(threshold)
            usual_score = opened.threshold.usual_score if opened.threshold else None
            return cls(bundle, opened.engine, threshold, opened.why, device=device, usual_score=usual_score)
        except BaseException:
            opened.engine.close()
            raise

    def inspect(self, frame: Picture) -> Inspection:
        """Judge one frame.

        Args:
            frame: uint8 (h, w, 3) BGR or (h, w) grey, a `Frame` that says its pixel format, the path of a picture, a
                PIL picture, or a uint8 tensor, which is RGB or grey (`edgerd.inspection.inputs` has the whole rule).

        Returns:
            Verdict, score, regions and map. NO_DECISION for a frame that is black, or exposed unlike any good picture,
            and where the engine gives values that are not finite.

        Raises:
            SpecError: The frame is laid out differently, or region and tiles do not fit it.
            PictureError: There is no picture (None), or its file cannot be read.
            DeviceError: The GPU failed, or is lost.
        """
        return self.submit(frame).result()

    def submit(self, frame: Picture) -> Pending:
        """Begin to judge a frame: on a GPU it is under way then, elsewhere it is judged.

        Args:
            frame: As for `inspect`; not to be written to until there is a result. Where `depth` frames are under way,
                the oldest is waited for first.

        Raises:
            SpecError: As `inspect`.
            PictureError: As `inspect`.
            DeviceError: The GPU refuses, or is lost.
        """
        return self._way.submit(frame_from(frame))

    def overlay(self, frame: Picture, inspection: Inspection) -> UInt8Array:
        """Draw what was found over its frame, as `edgerd inspect --heatmaps` does: map, regions, verdict and score.

        Args:
            frame: The frame that was inspected, as for `inspect`; not changed.
            inspection: What was found in it.

        Returns:
            uint8 (h, w, 3), BGR.

        Raises:
            SpecError: As `inspect`.
            PictureError: As `inspect`.
        """
        bgr = bgr_from_frame(frame_from(frame), self.spec)
        has_map = inspection.anomaly_map is not None
        return captioned(bgr, inspection, tiles=tile_boxes(bgr.shape[0], bgr.shape[1], self.spec) if has_map else ())

    def no_decision(self, reason: str) -> Inspection:
        """What is said of a frame that never got to the engine, or got lost there.

        Args:
            reason: Why nothing can be said of it.
        """
        return self._way.judge.no_decision(reason)

    def beside(
        self, threshold: float | None = None, *, masks: Sequence[Mask] = (), spec: PreprocessSpec | None = None
    ) -> Inspector:
        """Another inspector with the same engine, for another camera: with buffers, and settings, of its own.

        On a GPU cameras with frames of different sizes each keep their buffers and graphs. Both are for the one thread
        that judges; this one is to be closed last.

        Args:
            threshold: NG is a score above it; None for the same.
            masks: Areas of the frame that are not inspected.
            spec: The bundle's preprocessing with the region elsewhere (`edgerd.recipe.region.moved_region`); None for
                the same.

        Raises:
            InputError: The threshold is none that a score can have.
        """
        if threshold is not None:
            check_threshold(threshold)
        other = copy.copy(self)
        other.spec = spec or self.spec
        judge = self._way.judge.with_(threshold=threshold, masks=masks, spec=other.spec)
        other._way = self._way.beside(judge, other.spec)
        other._owns_engine = False
        return other

    def adjust(self, *, threshold: float | None = None, masks: Sequence[Mask] | None = None) -> None:
        """Judge by another threshold or other masks, from the next frame that is submitted; None leaves what there is.

        Raises:
            InputError: The threshold is none that a score can have.
        """
        if threshold is not None:
            check_threshold(threshold)
        self._way.judge = self._way.judge.with_(threshold=threshold, masks=masks)

    @property
    def threshold(self) -> float:
        """NG is a score above it, strictly."""
        return self._way.judge.threshold

    @property
    def depth(self) -> int:
        """Frames that may be under way at once, over all inspectors with this engine."""
        return self._way.depth

    @property
    def buffers(self) -> Buffers | None:
        """Where the frames of a camera lie best; None where that does not matter."""
        return self._way.buffers

    @property
    def notes(self) -> tuple[str, ...]:
        """What is worth knowing about the way frames take, a sentence each."""
        return self._way.notes

    def warm_up(self, n: int = 3) -> None:
        """Run a grey picture through the engine: the first ones are slow, kernels and memory are made ready in them.

        Raises:
            MissingDependencyError: The GPU's kernels cannot be compiled.
            DeviceError: The GPU failed, or is lost.
        """
        self._way.warm_up(n)

    def keep_warm(self) -> None:
        """Let a GPU that waits for frames work a little, so that it keeps its clocks up; nothing may be under way.

        Raises:
            DeviceError: The GPU is lost.
        """
        self._way.keep_warm()

    def close(self) -> None:
        """Free what buffers and engine hold; safe to call twice. The engine stays open where it is another's."""
        self._way.close()
        if self._owns_engine:
            self.engine.close()

    def __enter__(self) -> Inspector:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def check_threshold(threshold: float) -> None:
    """Refuse a threshold in percent, or with a slipped decimal point: it would let every part pass without a word.

    Raises:
        InputError: The threshold is none that a score can have.
    """
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
            hint=f"edgerd calibrate {quote(str(bundle.path))}",
        )
    return record.value
