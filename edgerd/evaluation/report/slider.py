"""The threshold slider, and what the page's script knows when it starts."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from edgerd.evaluation.charts import score_span
from edgerd.evaluation.intervals import Z_95
from edgerd.evaluation.report.content import ReportData
from edgerd.evaluation.report.rates import POOR_RECALL

_STEPS = 1000


def slider_start(data: ReportData, threshold: float, asked: float) -> dict[str, Any]:
    """What the script starts with; the scores that it counts stand at the pictures themselves.

    Args:
        data: The report's content.
        threshold: Where the slider starts.
        asked: The false-alarm rate that the threshold was found for, 0 to 1.

    Returns:
        Values that JSON can hold. `low` and `high` are the slider's ends: every picture is NG at the one, none at the
        other.
    """
    low, high = score_span(np.array([*(picture.score for picture in data.pictures), threshold]))
    return {
        "threshold": threshold,
        "low": low,
        "high": high,
        "steps": _STEPS,
        "poorRecall": POOR_RECALL,
        "askedFalseAlarmRate": asked,
        "z": Z_95,
        "runOptions": data.run_options,
    }


def slider(data: ReportData, asked: float) -> str:
    """The slider as HTML; empty without a threshold. It is shown where scripts run.

    Args:
        data: The report's content.
        asked: The false-alarm rate that the threshold was found for, 0 to 1.
    """
    threshold = data.metrics.threshold
    if threshold is None:
        return ""
    start = json.dumps(slider_start(data, threshold, asked)).replace("<", "\\u003c")  # no name can end the script
    return (
        '<h2 class="what-if">What if the threshold were another one?</h2>'
        '<p class="lead what-if">The whole page follows the slider. A threshold that is chosen by these pictures '
        "looks better on them than it will on the line: check it on others.</p>"
        '<div class="card panel" id="panel" role="group" aria-label="Threshold"><div class="row">'
        '<label for="threshold">Threshold</label><input id="threshold" type="number" step="any" '
        'autocomplete="off">'
        f'<input id="slider" type="range" min="0" max="{_STEPS}" step="1" autocomplete="off" '
        f'aria-label="Threshold slider">'
        '<button type="button" id="reset" disabled aria-label="Reset to the bundle">Reset</button></div>'
        '<output id="outcome" for="threshold slider"></output><div id="typed" class="said"></div></div>'
        f'<script type="application/json" id="what-if">{start}</script>'
    )
