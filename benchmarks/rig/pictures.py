"""Pictures that can be told apart by their scores: a verdict says which of them was judged, and so when it was sent."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from edgerd.cameras.ffmpeg_decoder import BgrConverter, Damage, JpegDecoder
from edgerd.data.samples import line_parts
from edgerd.inspection.inspector import Inspector
from edgerd.types import Frame

_MIN_GAP = 1e-4
"""Between two scores, relative to the larger: far more than two runs of one engine differ by."""


@dataclass(frozen=True)
class Pool:
    """Pictures of sample parts that a camera sends again and again.

    Attributes:
        jpegs: In the order in which they are sent.
        scores: Of each, what the engine of `bundle` gives it.
        threshold: NG is a score above it. It lies in the middle of the widest gap that leaves a third or so NG.
        bundle: The folder of the bundle that gave the scores.
    """

    jpegs: tuple[bytes, ...]
    scores: tuple[float, ...]
    threshold: float
    bundle: Path

    def place_of(self, score: float) -> int | None:
        """Which picture has this score; None where none has."""
        scores = np.asarray(self.scores)
        place = int(np.abs(scores - score).argmin())
        return place if abs(scores[place] - score) <= _MIN_GAP / 3 * scores[place] else None

    def is_ng(self, place: int) -> bool:
        """Whether the part of a picture is defective, as the engine sees it."""
        return self.scores[place] > self.threshold


def make_pool(bundle: Path, kind: str, n: int, seed: int, size: int = 128) -> Pool:
    """Render parts, a third of them defective, and judge each; those that others resemble too much are left out.

    Args:
        bundle: Judges them, on one thread.
        kind: Of the sample parts.
        n: How many to render; fewer may be left.
        seed: Other seeds give other parts.
        size: Of the pictures in pixels.
    """
    jpegs, scores = [], []
    with Inspector.open(bundle, runtime="openvino", threads=1) as inspector:
        for part in line_parts(kind, n, 0.35, seed, size):
            jpeg = cv2.imencode(".jpg", part.part.picture, [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()
            score = inspector.inspect(_decoded(jpeg)).score
            if score is not None and all(abs(score - other) > _MIN_GAP * max(score, other) for other in scores):
                jpegs.append(jpeg)
                scores.append(score)
    return Pool(tuple(jpegs), tuple(scores), _threshold(scores), bundle)


def _decoded(jpeg: bytes) -> Frame:
    """The picture as an HTTP camera of edgerd decodes it."""
    decoded = JpegDecoder().decode(jpeg)
    if isinstance(decoded, Damage):
        raise SystemExit(f"a sample part cannot be decoded: {decoded.reason}")
    return Frame(BgrConverter().convert(decoded), number=0)


def _threshold(scores: list[float]) -> float:
    """The middle of the widest gap between the 50th and the 80th percentile."""
    ordered = np.sort(scores)
    begin, end = int(0.5 * len(ordered)), int(0.8 * len(ordered))
    widest = begin + int(np.diff(ordered[begin : end + 1]).argmax())
    return float((ordered[widest] + ordered[widest + 1]) / 2)
