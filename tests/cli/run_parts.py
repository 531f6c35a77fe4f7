"""The line of sample parts that tests of `edgerd run` judge, and single parts of it."""

from __future__ import annotations

import cv2

from edgerd.data.samples import line_parts

LINE = "sample://ring?n=12&defective=0.5&size=96"


def parts_of_size(*sizes):
    (part,) = line_parts("ring", 1, 0.0, seed=3, size=96)
    return [cv2.resize(part.part.picture, (size, size)) for size in sizes]
