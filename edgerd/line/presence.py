"""Parts that pass without a trigger: a part is there when the picture leaves what the empty belt looks like.

A light test, on a small grey picture: it says when a part came and went, and which frame showed it most sharply. What
the part is like is for the engine to say.
"""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from edgerd.bundle.manifest import PreprocessSpec
from edgerd.data.preprocess import bgr_from_frame
from edgerd.line.pick import Picked, WithoutTriggers
from edgerd.types import Float32Array, Frame, UInt8Array

_SIDE = 64
"""Pixels of the small picture's longer side."""
_LEARN_FRAMES = 15
"""So many frames show the belt before the first part can be seen; their median is its first picture."""
_LEVELS = 12.0
"""Grey levels beyond its noise by which a pixel leaves the belt."""
_SHARE = 0.02
"""Share of the pixels that a part covers at least."""
_ADAPT = 0.05
"""Weight of a new picture of the empty belt: light changes slowly."""
_GONE_FRAMES = 2
"""So many empty frames end a part: one alone may be a reflex."""


class _Belt:
    """What the empty belt looks like, as a small grey picture, and how much each of its pixels varies.

    Attributes:
        picture: float32 (h, w), grey levels.
    """

    def __init__(self, first: Float32Array) -> None:
        """Learn it from float32 (frames, h, w)."""
        self.picture: Float32Array = np.median(first, axis=0)
        self._noise: Float32Array = np.abs(first - self.picture).mean(axis=0)

    def share_left(self, small: Float32Array) -> float:
        """Share of the pixels that a picture leaves the belt by."""
        return float((np.abs(small - self.picture) > _LEVELS + 3 * self._noise).mean())

    def adapt(self, small: Float32Array) -> None:
        """Follow the light, which changes slowly."""
        self._noise += _ADAPT * (np.abs(small - self.picture) - self._noise)
        self.picture += _ADAPT * (small - self.picture)


class OnMotion(WithoutTriggers):
    """One verdict per part that passes: its best frame, judged when the part has gone.

    The camera has to see the empty belt when it begins, for half a second or so, and between two parts. A part that
    stands still is judged once, after `longest_s`. A part is NO_DECISION where every frame that shows it arrived
    damaged.

    Args:
        spec: The preprocessing, which says how frames become BGR.
        longest_s: A part that is in view for so long is judged without waiting for it to go.
    """

    def __init__(self, spec: PreprocessSpec, longest_s: float = 2.0) -> None:
        self._spec = spec
        self._longest_s = longest_s
        self._first: list[Float32Array] = []
        self._belt: _Belt | None = None
        self._best: Frame | None = None
        self._best_quality = -1.0
        self._damage: Picked | None = None
        self._since_s: float | None = None
        self._is_told = False
        self._n_empty = 0

    def pick(self, frame: Frame, damage: str = "") -> Picked | None:
        """Pick the best frame of a part that has gone, or has stayed for too long; None while there is no such part."""
        if damage:
            if self._since_s is not None and not self._is_told:
                self._damage = Picked(frame, reason=damage)
            return None
        small = self._small(frame)
        if self._belt is None or self._belt.picture.shape != small.shape:
            self._learn(small)
            return None
        share = self._belt.share_left(small)
        if share >= _SHARE:
            return self._follow(frame, share)
        self._belt.adapt(small)
        if self._since_s is None:
            return None
        self._n_empty += 1
        return self._end() if self._n_empty >= _GONE_FRAMES else None

    def finish(self) -> Picked | None:
        """The best frame of the part that was in view when the camera ended; None where there was none."""
        return self._end() if self._since_s is not None else None

    def _small(self, frame: Frame) -> Float32Array:
        bgr = bgr_from_frame(frame, self._spec)
        scale = _SIDE / max(bgr.shape[:2])
        size = (max(1, round(bgr.shape[1] * scale)), max(1, round(bgr.shape[0] * scale)))
        return cv2.cvtColor(cv2.resize(bgr, size, interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2GRAY).astype(np.float32)

    def _learn(self, small: Float32Array) -> None:
        if self._first and self._first[0].shape != small.shape:
            self._first.clear()
        self._first.append(small)
        if len(self._first) == _LEARN_FRAMES:
            self._belt = _Belt(np.stack(self._first))
            self._first.clear()

    def _follow(self, frame: Frame, share: float) -> Picked | None:
        """Take a frame with a part in it; gives the part's best frame where it has been in view for too long.

        A frame is the better the sharper it is and the more of the part it shows.
        """
        self._n_empty = 0
        if self._since_s is None:
            self._since_s = frame.captured_monotonic_s
        if self._is_told:
            return None
        quality = share * _sharpness(bgr_from_frame(frame, self._spec))
        if quality > self._best_quality:
            self._best_quality = quality
            self._best = replace(frame, data=frame.data.copy())
        if frame.captured_monotonic_s - self._since_s < self._longest_s:
            return None
        self._is_told = True
        return self._taken()

    def _end(self) -> Picked | None:
        """Note that the part has gone; gives its best frame unless that was given already."""
        self._since_s, self._n_empty = None, 0
        was_told, self._is_told = self._is_told, False
        return None if was_told else self._taken()

    def _taken(self) -> Picked | None:
        best, damage = self._best, self._damage
        self._best, self._damage, self._best_quality = None, None, -1.0
        return Picked(best) if best is not None else damage


def _sharpness(bgr: UInt8Array) -> float:
    """How sharp a picture is: the variance of its Laplacian (Pech-Pacheco et al., ICPR 2000), of every second pixel."""
    grey = cv2.cvtColor(bgr[::2, ::2], cv2.COLOR_BGR2GRAY)
    return float(cv2.Laplacian(grey, cv2.CV_32F).var())
