"""The report's charts as SVG text, drawn without a library or a script, in the colours of the page's style sheet.

The style sheet's classes that are used: `grid`, `axis`, `tick`, `label`, `good`, `defective`, `threshold`, `curve`,
`area`, `chance`, `point`.

What moves with the threshold stands in a group of its own: `moves-to-threshold` holds the line in the histogram,
`moves-to-rates` the point on the ROC curve. Their attributes `data-x` and `data-y` say what a script needs to move
them: the values at both ends of an axis, then the SVG's pixels at those ends.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from edgerd.types import Float64Array

_WIDTH, _HEIGHT = 520, 360
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 26, 34, 48


@dataclass(frozen=True, slots=True)
class _Axes:
    """Maps data to the SVG's pixels."""

    x: tuple[float, float]
    y: tuple[float, float]

    def at(self, x: float, y: float) -> tuple[float, float]:
        across = (x - self.x[0]) / (self.x[1] - self.x[0])
        up = (y - self.y[0]) / (self.y[1] - self.y[0])
        return _LEFT + across * (_WIDTH - _LEFT - _RIGHT), _HEIGHT - _BOTTOM - up * (_HEIGHT - _TOP - _BOTTOM)

    @property
    def attributes(self) -> str:
        """`data-x` and `data-y` of an element that a script may move."""
        (left, bottom), (right, top) = self.at(self.x[0], self.y[0]), self.at(self.x[1], self.y[1])
        return (
            f'data-x="{self.x[0]!r} {self.x[1]!r} {left} {right}" data-y="{self.y[0]!r} {self.y[1]!r} {bottom} {top}"'
        )

    def path(self, xs: Sequence[float], ys: Sequence[float]) -> str:
        points = (self.at(x, y) for x, y in zip(xs, ys, strict=True))
        return "M" + "L".join(f"{px:.1f} {py:.1f}" for px, py in points)


def roc_chart(false_alarm_rate: Float64Array, recall: Float64Array, operating_point: tuple[float, float] | None) -> str:
    """The ROC curve.

    Args:
        false_alarm_rate: float64 (n,), ascending from 0 to 1.
        recall: float64 (n,), ascending from 0 to 1.
        operating_point: False-alarm rate and recall at the threshold, drawn as a point; None to draw none.

    Returns:
        An `<svg>` element.
    """
    axes = _Axes((0, 1), (0, 1))
    curve = axes.path(false_alarm_rate.tolist(), recall.tolist())
    corner_x, corner_y = axes.at(1, 0)
    origin_x, origin_y = axes.at(0, 0)
    parts = [
        _frame(axes, "false-alarm rate", "recall", percent_x=True, percent_y=True),
        f'<path class="area" d="{curve}L{corner_x:.1f} {corner_y:.1f}L{origin_x:.1f} {origin_y:.1f}Z"/>',
        f'<path class="chance" d="{axes.path([0, 1], [0, 1])}"/>',
        f'<path class="curve" d="{curve}"/>',
    ]
    if operating_point:
        x, y = axes.at(*operating_point)
        text_x, anchor = (x + 12, "start") if operating_point[0] < 0.55 else (x - 12, "end")
        text_y = y + 20 if operating_point[1] > 0.2 else y - 8
        point = f'<circle class="point" cx="{x:.1f}" cy="{y:.1f}" r="5.5"/>'
        label = _text("label", text_x, text_y, "at the threshold", anchor)
        parts.append(f'<g class="moves-to-rates" {axes.attributes}>{point}{label}</g>')
    return _svg("ROC curve: recall against false-alarm rate", parts)


def score_chart(good: Float64Array, defective: Float64Array, threshold: float | None) -> str:
    """Histograms of the scores of good and defective pictures, each as a share of its class.

    Args:
        good: Scores of good pictures, float64 (n,).
        defective: Scores of defective pictures, float64 (m,); one of the two may be empty.
        threshold: Drawn as a line; None to draw none.

    Returns:
        An `<svg>` element.
    """
    marked = [] if threshold is None else [threshold]
    low, high = score_span(np.concatenate([good, defective, marked]))
    n_bins = int(np.clip(2 * math.sqrt(good.size + defective.size), 12, 40))
    edges = np.linspace(low, high, n_bins + 1)
    classes = [("good", good), ("defective", defective)]
    shares = {name: np.histogram(values, edges)[0] / max(1, values.size) for name, values in classes}
    axes = _Axes((low, high), (0.0, float(max(np.max(share) for share in shares.values())) * 1.08))
    parts = [_frame(axes, "score", "share of pictures", percent_x=False, percent_y=True)]
    for name, values in classes:
        outline = axes.path(np.repeat(edges, 2).tolist(), [0.0, *np.repeat(shares[name], 2).tolist(), 0.0])
        parts.append(f'<path class="{name}" d="{outline}Z"><title>{name}: {values.size} pictures</title></path>')
    if threshold is not None:
        x, bottom = axes.at(threshold, 0)
        right = x < _WIDTH * 0.7
        line = f'<path class="threshold" d="M{x:.1f} {bottom:.1f}V{_TOP}"/>'
        label = _text(
            "label", x + (6 if right else -6), _TOP + 12, f"threshold {threshold:.4g}", "start" if right else "end"
        )
        parts.append(f'<g class="moves-to-threshold" {axes.attributes}>{line}{label}</g>')
    parts.append(_legend([(name, f"{name} ({values.size})") for name, values in classes if values.size]))
    return _svg("Histogram of the scores of good and defective pictures", parts)


def score_span(values: Float64Array) -> tuple[float, float]:
    """Limits of an axis with some room around the values; they differ even where all values are equal.

    Args:
        values: float64 (n,), n at least 1.

    Returns:
        The lower limit, below every value, and the upper one, above every value.
    """
    low, high = float(values.min()), float(values.max())
    room = max((high - low) * 0.03, 1e-6 + abs(high) * 1e-3)
    return low - room, high + room


def _ticks(low: float, high: float, about: int) -> list[float]:
    """About so many round numbers within the limits, 1, 2 or 5 times a power of ten apart."""
    rough = (high - low) / about
    power = 10.0 ** math.floor(math.log10(rough))
    step = power * min((1, 2, 5, 10), key=lambda factor: abs(factor * power - rough))
    first = math.ceil(low / step - 1e-9)
    return [index * step for index in range(first, math.floor(high / step + 1e-9) + 1)]


def _frame(axes: _Axes, x_label: str, y_label: str, *, percent_x: bool, percent_y: bool) -> str:
    """Grid, ticks and axis labels."""
    (left, bottom), (right, top) = axes.at(axes.x[0], axes.y[0]), axes.at(axes.x[1], axes.y[1])
    parts = []
    for value in _ticks(*axes.x, about=6):
        x, _ = axes.at(value, axes.y[0])
        parts.append(f'<path class="grid" d="M{x:.1f} {top:.1f}V{bottom:.1f}"/>')
        parts.append(_text("tick", x, bottom + 18, _number(value, percent_x), "middle"))
    for value in _ticks(*axes.y, about=5):
        _, y = axes.at(axes.x[0], value)
        parts.append(f'<path class="grid" d="M{left:.1f} {y:.1f}H{right:.1f}"/>')
        parts.append(_text("tick", left - 8, y + 4, _number(value, percent_y), "end"))
    parts.append(f'<path class="axis" d="M{left:.1f} {bottom:.1f}H{right:.1f}"/>')
    parts.append(_text("label", (left + right) / 2, _HEIGHT - 8, x_label, "middle"))
    parts.append(_text("label", left, _TOP - 16, y_label))
    return "".join(parts)


def _legend(entries: Sequence[tuple[str, str]]) -> str:
    parts, x = [], float(_WIDTH - _RIGHT)
    for name, text in reversed(entries):
        x -= 7.2 * len(text) + 22
        parts.append(f'<rect class="{name}" x="{x:.1f}" y="{_TOP - 26}" width="12" height="12" rx="2"/>')
        parts.append(_text("label", x + 17, _TOP - 16, text))
    return "".join(parts)


def _text(style: str, x: float, y: float, text: str, anchor: str = "start") -> str:
    return f'<text class="{style}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _number(value: float, percent: bool) -> str:
    return f"{100 * value:.3g} %" if percent else f"{value:.4g}"


def _svg(title: str, parts: Sequence[str]) -> str:
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(title)}">'
        f"<title>{escape(title)}</title>{''.join(parts)}</svg>"
    )
