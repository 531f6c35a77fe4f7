"""The threshold of an engine at another false-alarm rate than the one that its bundle was calibrated for."""

from __future__ import annotations

import numpy as np

from edgerd.acceptance.scores import holdout_pictures, maps_of, scores_of
from edgerd.bundle.bundle import Bundle
from edgerd.bundle.manifest import ThresholdRecord
from edgerd.errors import BundleError
from edgerd.evaluation.threshold import threshold_from_scores, threshold_like
from edgerd.runtimes.choose import open_engine
from edgerd.runtimes.protocol import Engine


def threshold_at(bundle: Bundle, engine: Engine, false_alarm_rate: float, threads: int = 0) -> ThresholdRecord:
    """Find a threshold from the good scores that a bundle has; nothing is stored.

    The held-out pictures of the bundle are judged anew, by this engine and by the FP32 graph, which takes seconds.

    Args:
        bundle: Calibrated.
        engine: One of the bundle's; used in this thread.
        false_alarm_rate: Share of good parts that may be called NG, in (0, 1).
        threads: CPU threads of the FP32 graph; 0 for all the cores this process may use.

    Returns:
        The threshold for this engine, and how it was found.

    Raises:
        BundleError: The bundle has no scores of good pictures.
        InputError: The rate is outside (0, 1), or there are too few scores.
    """
    pictures = holdout_pictures(bundle)
    alone = np.array(bundle.manifest.scores_alone, np.float64)
    with open_engine(bundle, "onnxruntime", "fp32", threads) as opened:
        reference_scores = scores_of(maps_of(opened.engine, pictures))
    scores = np.append(alone, reference_scores)
    if not scores.size:
        raise BundleError(
            f"{bundle.path} has no scores of good pictures, from which a threshold could be found.",
            expected="a bundle that was calibrated",
            hint="State threshold instead of false_alarm_rate, or calibrate the bundle.",
        )
    reference = threshold_from_scores(scores, false_alarm_rate)
    if engine.key.precision == "fp32" or not len(pictures):
        return reference
    return threshold_like(scores_of(maps_of(engine, pictures)), reference_scores, reference)
