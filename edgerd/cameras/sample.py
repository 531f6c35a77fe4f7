"""Sample parts as a camera, made as they are needed: `sample://KIND?n=100&defective=0.1`.

The same URI gives the same frames on every machine.
"""

from __future__ import annotations

import threading
import time
from urllib.parse import parse_qsl, urlsplit

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from edgerd.data.samples.render import KINDS, defects_of, render
from edgerd.errors import InputError
from edgerd.types import Frame, UInt8Array

SEEDS_PER_CAMERA = 1 << 32
"""Cameras with different seeds show different parts, and none that a data set of small seeds was made of."""


class SampleOptions(BaseModel):
    """What may stand behind the `?`."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    n: int | None = Field(default=None, ge=1)
    """Frames; endless without it."""
    seed: int = Field(default=0, ge=0)
    defective: float = Field(default=0.0, ge=0.0, le=1.0)
    """Probability that a part is defective."""
    size: int = 256
    """Width and height in pixels."""
    pool: int | None = Field(default=None, ge=2)
    """So many different parts, again and again, each rendered once; without it every frame is a new part."""
    live: bool = False
    """1 to behave like a live camera."""
    fps: float = Field(default=30.0, gt=0.0)
    """Frames per second of a live one."""


class SampleCamera:
    """One sample part per frame. `Frame.source` ends in the frame's number and what is wrong with the part.

    Args:
        uri: `sample://KIND?OPTION=VALUE&...`; see `SampleOptions`. The first kind without one.

    Raises:
        InputError: There is no such kind or option.
    """

    fixed_size = True

    def __init__(self, uri: str) -> None:
        address = urlsplit(uri)
        self.uri = uri
        self._kind = address.netloc or next(iter(KINDS))
        self._defects = defects_of(self._kind)
        self._options = _options(uri, address.query)
        self.live = self._options.live
        self.n_frames = self._options.n
        self._number = 0
        self._due_s = time.monotonic()
        self._closed = threading.Event()
        self._pool: dict[int, UInt8Array] = {}

    def read(self) -> Frame | None:
        """The next part, after its time has come if the camera is live; None after the last."""
        if self._number == self.n_frames or not self._wait():
            return None
        number = self._number
        self._number += 1
        index = number % (self._options.pool or number + 1)
        defect = self._defect(index)
        captured_at, captured_monotonic_s = time.time(), time.monotonic()
        return Frame(
            data=self._picture(index, defect),
            number=number,
            captured_at=captured_at,
            captured_monotonic_s=captured_monotonic_s,
            source=f"{self.uri}#{number}:{defect or 'good'}",
        )

    def close(self) -> None:
        """End here; wakes a `read` that waits."""
        self._closed.set()

    def _wait(self) -> bool:
        if not self.live:
            return not self._closed.is_set()
        closed = self._closed.wait(max(0.0, self._due_s - time.monotonic()))
        self._due_s = max(self._due_s + 1 / self._options.fps, time.monotonic())
        return not closed

    def _defect(self, index: int) -> str | None:
        random = np.random.default_rng((self._options.seed, index))
        return str(random.choice(self._defects)) if random.random() < self._options.defective else None

    def _picture(self, index: int, defect: str | None) -> UInt8Array:
        if index in self._pool:
            return self._pool[index]
        seed = (self._options.seed + 1) * SEEDS_PER_CAMERA + index
        picture = render(self._kind, seed, defect, self._options.size).picture
        if self._options.pool:
            self._pool[index] = picture
        return picture


def _options(uri: str, query: str) -> SampleOptions:
    try:
        return SampleOptions.model_validate(dict(parse_qsl(query, keep_blank_values=True)))
    except ValidationError as error:
        first = error.errors()[0]
        raise InputError(
            f"{uri} cannot be used: {'.'.join(map(str, first['loc']))}: {first['msg']}.",
            expected=f"options of {', '.join(SampleOptions.model_fields)}",
            hint=f"For example: 'sample://{next(iter(KINDS))}?n=100&defective=0.1&seed=1'",
        ) from error
