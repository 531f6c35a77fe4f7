"""Pictures that can be told apart by their scores: a verdict says which of them was judged, and so when it was sent."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from edgerd.cameras import open_camera
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


def seen_through(uri: str, pool: Pool) -> Pool:
    """A pool as a camera shows it that sends its pictures one after the other: with the scores that they have then.

    Args:
        uri: Of the camera.
        pool: What it sends.

    Raises:
        SystemExit: The same picture does not give the same score each time, so that scores would tell nothing.
    """
    n = len(pool.jpegs)
    scores = scores_through(uri, pool.bundle, 2 * n)
    first, second = np.asarray(scores[:n]), np.asarray(scores[n:])
    if (np.abs(first - second) > _MIN_GAP / 3 * first).any():
        raise SystemExit(f"{uri} does not show the same {n} pictures again and again")
    return Pool(pool.jpegs, tuple(scores[:n]), _threshold(scores[:n]), pool.bundle)


def scores_through(uri: str, bundle: Path, n: int) -> list[float]:
    """The scores of a camera's first frames.

    Args:
        uri: Of the camera.
        bundle: Judges, on one thread.
        n: How many frames.

    Raises:
        SystemExit: A frame gets no score, or does not come.
    """
    scores: list[float] = []
    with closing(open_camera(uri)) as camera, Inspector.open(bundle, runtime="openvino", threads=1) as inspector:
        while len(scores) < n:
            frame = camera.read()
            inspection = inspector.inspect(frame) if frame else None
            if inspection is None or inspection.score is None:
                raise SystemExit(f"{uri}: {inspection.reason if inspection else 'no frame'}")
            scores.append(inspection.score)
    return scores


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
