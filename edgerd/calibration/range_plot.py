"""A judgement as one picture, drawn with OpenCV: would more pictures help, do halves agree, what is not covered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from edgerd.calibration.range_judgement import MAX_FAR, MAX_HALVES_RATIO, Judgement
from edgerd.types import UInt8Array

_WIDTH, _HEIGHT = 560, 400
_LEFT, _RIGHT, _TOP, _BOTTOM = 76, 20, 62, 56
_FONT = cv2.FONT_HERSHEY_SIMPLEX
# BGR; the report's colours for good, defective, alarm and the rest (`edgerd.evaluation.style`)
_BLUE, _ORANGE, _RED = (214, 111, 43), (26, 100, 224), (43, 43, 196)
_INK, _SOFT, _LINE = (43, 32, 22), (118, 104, 91), (232, 227, 223)
_LEAST_SHARE = 1e-7

Colour = tuple[int, int, int]


def judgement_plot(judged: Judgement) -> UInt8Array:
    """Draw a judgement.

    Returns:
        uint8 (H, W, 3), BGR, three charts side by side.
    """
    return np.hstack([_growth(judged), _halves(judged), _coverage(judged)])


@dataclass
class _Chart:
    """One chart, as it is drawn."""

    x: tuple[float, float]
    y: tuple[float, float]
    title: str
    subtitle: str

    def __post_init__(self) -> None:
        self.pixels = np.full((_HEIGHT, _WIDTH, 3), 255, np.uint8)
        self.text(self.title, _LEFT, 24, _INK, 0.55)
        self.text(self.subtitle, _LEFT, 46, _SOFT)

    def at(self, x: float, y: float) -> tuple[int, int]:
        across = (x - self.x[0]) / (self.x[1] - self.x[0])
        up = (y - self.y[0]) / (self.y[1] - self.y[0])
        return round(_LEFT + across * (_WIDTH - _LEFT - _RIGHT)), round(_HEIGHT - _BOTTOM - up * self._tall)

    @property
    def _tall(self) -> int:
        return _HEIGHT - _TOP - _BOTTOM

    def axes(self, x_ticks: dict[float, str], y_ticks: dict[float, str], x_label: str) -> None:
        for value, label in x_ticks.items():
            x, y = self.at(value, self.y[0])
            cv2.line(self.pixels, (x, y), (x, _TOP), _LINE, 1)
            self.text(label, x - 4 * len(label), y + 18, _SOFT)
        for value, label in y_ticks.items():
            x, y = self.at(self.x[0], value)
            cv2.line(self.pixels, (x, y), (_WIDTH - _RIGHT, y), _LINE, 1)
            self.text(label, x - 8 * len(label) - 6, y + 4, _SOFT)
        self.text(x_label, _LEFT, _HEIGHT - 12, _INK)

    def line(self, points: Sequence[tuple[float, float]], colour: Colour) -> None:
        pixels = np.array([self.at(x, y) for x, y in points], np.int32)
        cv2.polylines(self.pixels, [pixels], False, colour, 2, cv2.LINE_AA)

    def dots(self, points: Sequence[tuple[float, float]], colour: Colour) -> None:
        for x, y in points:
            cv2.circle(self.pixels, self.at(x, y), 4, colour, -1, cv2.LINE_AA)

    def limit(self, y: float, label: str) -> None:
        left, right = self.at(self.x[0], y), self.at(self.x[1], y)
        cv2.line(self.pixels, left, right, _RED, 1, cv2.LINE_AA)
        self.text(label, right[0] - 7 * len(label), right[1] - 6, _RED)

    def text(self, text: str, x: int, y: int, colour: Colour, size: float = 0.42) -> None:
        cv2.putText(self.pixels, text, (x, y), _FONT, size, colour, 1, cv2.LINE_AA)


def _growth(judged: Judgement) -> UInt8Array:
    shares = np.log10(np.maximum(judged.growth, _LEAST_SHARE))
    sizes = np.log2(judged.sizes)
    lowest, highest = int(np.log10(_LEAST_SHARE)), max(int(np.ceil(shares.max())), -3)
    chart = _Chart(
        (0.0, max(float(sizes[-1]), 1.0)),
        (lowest, highest),
        "Would more pictures help?",
        f"worst share of values on {judged.n_others} other pictures outside the ranges",
    )
    ticks = {float(value): f"{size}" for value, size in zip(sizes, judged.sizes, strict=True)}
    powers = {float(power): f"1e{power}" for power in range(lowest, highest + 1)}
    chart.axes(ticks, powers, "pictures of the set that the ranges are found from")
    points = list(zip(sizes.tolist(), shares.tolist(), strict=True))
    chart.line(points, _BLUE)
    chart.dots(points, _BLUE)
    chart.limit(float(np.log10(judged.allowed[judged.worst])), "allowed with the whole set")
    return chart.pixels


def _halves(judged: Judgement) -> UInt8Array:
    n, top = len(judged.names), max(float(judged.halves.max()) * 1.05, MAX_HALVES_RATIO * 1.1)
    chart = _Chart(
        (0.0, n + 1.0), (1.0, top), "Do halves of the set agree?", "range from one half / from the other, 5 splits"
    )
    step = (top - 1.0) / 5
    chart.axes(
        {float(place): f"{place}" for place in range(10, n + 1, 10)},
        {1 + step * index: f"{1 + step * index:.2f}" for index in range(6)},
        "activations, from the teacher's first to the decoder's last",
    )
    points = [(index + 1.0, float(ratio)) for index, ratio in enumerate(judged.halves)]
    chart.dots([point for point in points if point[1] <= MAX_HALVES_RATIO], _BLUE)
    chart.dots([point for point in points if point[1] > MAX_HALVES_RATIO], _ORANGE)
    chart.limit(MAX_HALVES_RATIO, "allowed")
    return chart.pixels


def _coverage(judged: Judgement) -> UInt8Array:
    limit = float(judged.own_spacing.max())
    top = max(float(judged.to_others.max()), limit) * 1.08 or 1.0
    chart = _Chart(
        (0.0, 1.0),
        (0.0, top),
        "Is every kind of good part there?",
        f"{len(judged.far)} of {judged.n_others} others beyond the set's spacing; {MAX_FAR:.0%} allowed",
    )
    chart.axes(
        {0.0: "nearest", 0.9: "farthest"},
        {top * part / 5: f"{top * part / 5:.3f}" for part in range(6)},
        "grey: the set's own pictures   blue, orange: the others",
    )
    for distances, near, far in ((judged.own_spacing, _SOFT, _SOFT), (judged.to_others, _BLUE, _ORANGE)):
        places = np.linspace(0.02, 0.98, len(distances))
        points = list(zip(places.tolist(), np.sort(distances).tolist(), strict=True))
        chart.dots([point for point in points if point[1] <= limit], near)
        chart.dots([point for point in points if point[1] > limit], far)
    chart.limit(limit, "the set's widest spacing")
    return chart.pixels
