"""Warnings that a person must not overlook about a bundle; every command that judges with it repeats them."""

from __future__ import annotations

from edgerd.bundle.bundle import Bundle
from edgerd.bundle.manifest import EngineKey, ThresholdRecord
from edgerd.cli.console import counted, quoted, warn
from edgerd.evaluation.rough_recall import describe_recall, is_too_low
from edgerd.evaluation.threshold import percent


def warn_of_doubts(bundle: Bundle, key: EngineKey | None = None) -> None:
    """Warn, a line each, of a threshold that was extrapolated and of a bundle that finds next to nothing.

    Args:
        bundle: The bundle that judges, with its own threshold.
        key: Key of the engine that judges; None for FP32.
    """
    record = threshold_record(bundle, key)
    if record is not None and record.extrapolated:
        warn(
            f"the threshold is extrapolated from {counted(record.n_good, 'good picture')}; {record.n_more_needed} more "
            f"would settle it: edgerd calibrate {quoted(bundle.path)} MORE_PICTURES, or --from-camera URI"
        )
    warn_where_little_is_found(bundle)


def threshold_record(bundle: Bundle, key: EngineKey | None) -> ThresholdRecord | None:
    """The record of an engine's threshold, or of the FP32 graph's where the engine has none of its own."""
    manifest = bundle.manifest
    return next((engine.threshold for engine in manifest.engines if engine.key == key), manifest.threshold)


def false_alarms_text(record: ThresholdRecord, frames_per_s: float) -> str:
    """What a false-alarm rate, which is per frame, means per minute: one sentence."""
    per_minute = record.false_alarm_rate * frames_per_s * 60
    return (
        f"A false-alarm rate of {percent(record.false_alarm_rate)} per frame means, at {frames_per_s:.1f} frames per "
        f"second, about {per_minute:.2g} good frames a minute that are called NG."
    )


def warn_where_little_is_found(bundle: Bundle) -> None:
    """Warn, in one line, of a bundle that finds next to nothing."""
    recall = bundle.manifest.rough_recall
    if recall is not None and is_too_low(recall):
        warn(
            f"this bundle finds next to nothing: at its threshold {describe_recall(recall)}. To find more, train on "
            "more good pictures, with a larger --image-size or with --tiles, or with another --teacher or --method, "
            f"and look for defects among the good pictures. edgerd calibrate {quoted(bundle.path)} --defects DIR shows "
            "what it finds of your own."
        )
