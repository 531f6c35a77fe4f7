"""A small stroke font for the sample labels: OpenCV's own letters differ between its versions."""

from __future__ import annotations

import numpy as np

from edgerd.types import Float64Array

# Strokes on a grid 4 wide and 6 high, y down. Two digits are a point (x, y); commas separate strokes.
_STROKES = {
    "A": "06 20 46,14 34",
    "B": "06 00 30 41 42 33 03,33 44 45 36 06",
    "C": "41 30 10 01 05 16 36 45",
    "D": "06 00 20 41 45 26 06",
    "E": "40 00 06 46,03 33",
    "G": "41 30 10 01 05 16 36 45 43 23",
    "I": "20 26",
    "L": "00 06 46",
    "N": "06 00 46 40",
    "O": "10 30 41 45 36 16 05 01 10",
    "Q": "10 30 41 45 36 16 05 01 10,24 46",
    "R": "06 00 30 41 42 33 03,23 46",
    "T": "00 40,20 26",
    "Y": "00 23 40,23 26",
    "0": "10 30 41 45 36 16 05 01 10",
    "1": "11 20 26,16 36",
    "2": "01 10 30 41 42 06 46",
    "3": "00 40 22 33 44 45 36 16 05",
    "4": "36 30 04 44",
    "5": "40 00 02 32 43 45 36 06",
    "6": "40 20 02 05 16 36 45 44 33 03",
    "7": "00 40 16",
    "8": "13 02 01 10 30 41 42 33 13 04 05 16 36 45 44 33",
    "9": "06 26 44 41 30 10 01 02 13 43",
    "-": "13 33",
    " ": "",
}
_ADVANCE = 6
_GRID_HEIGHT = 6


def text_strokes(text: str, left: float, top: float, height: float) -> list[Float64Array]:
    """The strokes of a line of text.

    Args:
        text: Capitals, digits, spaces and hyphens, as far as the sample labels use them.
        left: Left edge.
        top: Top edge.
        height: Height of the letters, and the distance from one letter to the next.

    Returns:
        One float64 (n, 2) per stroke, points (x, y) in the unit of the arguments.
    """
    unit = height / _GRID_HEIGHT
    strokes = []
    for index, letter in enumerate(text):
        origin = np.array([left + index * _ADVANCE * unit, top])
        for stroke in filter(None, _STROKES[letter].split(",")):
            points = np.array([[int(point[0]), int(point[1])] for point in stroke.split()], np.float64)
            strokes.append(origin + unit * points)
    return strokes
