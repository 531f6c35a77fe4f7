"""The figures of a run that has ended: how it ended, verdicts, alerts, latencies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from edgerd.errors import EdgerdError
from edgerd.inspection.inspector import Inspector
from edgerd.line.statistics import Percentiles, RunStatistics
from edgerd.types import StrEnum


class Ended(StrEnum):
    """Why a run ended."""

    END_OF_SOURCE = "end of source"
    MAX_FRAMES = "max frames"
    STOPPED = "stopped"
    INTERRUPTED = "interrupted"
    ERROR = "error"


@dataclass(frozen=True)
class RunSummary:
    """Counts, latencies and circumstances of a run.

    Attributes:
        engine_ms: The graph, fusion included; None unless the run was profiled.
        frame_ms: Frame in memory to verdict: copies, preprocessing, engine, decision. Only frames that were judged.
        capture_to_verdict_ms: Capture of the frame to verdict. Only frames that were judged.
        frames: Frames that were looked at, and triggers that got none: ok + ng + no_decision.
        ok: Good frames.
        ng: Defective frames.
        no_decision: Frames that could not be judged, and triggers that got none.
        without_frame: Triggers that got no frame.
        dropped: Frames that came but were not looked at: a newer one replaced them, or the run ended. All that the
            camera gave is `frames` - `without_frame` + `dropped` + `skipped`.
        skipped: Frames that nobody asked for: between triggers, or parts.
        alerts: Alerts raised.
        held_back: NG frames that belong to no alert, because the alert policy asks for more of them.
        elapsed_s: Seconds from the first wait for a frame to the end.
        threshold: NG is a score above it.
        camera: Name of the camera.
        bundle: Id of the bundle.
        runtime: The engine's runtime.
        precision: The engine's precision.
        device: What the engine runs on.
        threads: CPU threads of the engine.
        ended: Why the run ended.
        warnings: What else is worth knowing, a sentence each.
        error: What broke the run off, where `ended` is ERROR.
    """

    engine_ms: Percentiles | None
    frame_ms: Percentiles
    capture_to_verdict_ms: Percentiles
    frames: int
    ok: int
    ng: int
    no_decision: int
    without_frame: int
    dropped: int
    skipped: int
    alerts: int
    held_back: int
    elapsed_s: float
    threshold: float
    camera: str
    bundle: str
    runtime: str
    precision: str
    device: str
    threads: int
    ended: Ended
    warnings: tuple[str, ...] = ()
    error: EdgerdError | None = None

    @classmethod
    def of(
        cls,
        statistics: RunStatistics,
        inspector: Inspector,
        *,
        camera: str,
        profiled: bool,
        ended: Ended,
        warnings: tuple[str, ...] = (),
        error: EdgerdError | None = None,
    ) -> RunSummary:
        """Put a summary together."""
        key = inspector.engine.key
        return cls(
            engine_ms=statistics.engine_ms.percentiles() if profiled else None,
            frame_ms=statistics.frame_ms.percentiles(),
            capture_to_verdict_ms=statistics.capture_to_verdict_ms.percentiles(),
            frames=statistics.frames,
            ok=statistics.ok,
            ng=statistics.ng,
            no_decision=statistics.no_decision,
            without_frame=statistics.without_frame,
            dropped=statistics.dropped,
            skipped=statistics.skipped,
            alerts=statistics.alerts,
            held_back=statistics.held_back,
            elapsed_s=round(statistics.elapsed_s, 3),
            threshold=inspector.threshold,
            camera=camera,
            bundle=inspector.bundle.manifest.id,
            runtime=key.runtime,
            precision=key.precision,
            device=key.device,
            threads=inspector.engine.threads,
            ended=ended,
            warnings=warnings,
            error=error,
        )

    def to_json(self) -> dict[str, Any]:
        """JSON values under the names of the attributes; `error` as its message."""
        return vars(self) | {
            "ended": self.ended.value,
            "warnings": list(self.warnings),
            "error": str(self.error) if self.error else None,
        }

    def raise_for_error(self) -> None:
        """Raise what broke the run off, if anything did; once the summary is written.

        Raises:
            EdgerdError: CameraError for a lost camera, StorageError for a full disk, ...
        """
        if self.error is not None:
            raise self.error
