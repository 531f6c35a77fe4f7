"""Sample parts as a camera, made as they are needed: `sample://KIND?n=100&defective=0.1`.

The same URI gives the same frames on every machine, none of them of a part that a sample data set holds.
"""

from __future__ import annotations

import itertools
import threading
import time

from pydantic import BaseModel, ConfigDict, Field

from edgerd.cameras.options import address_in, options_in
from edgerd.data.samples import KINDS, line_parts
from edgerd.types import Frame


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
        self.uri = uri
        options = options_in(uri, SampleOptions, f"sample://{next(iter(KINDS))}?n=100&defective=0.1&seed=1")
        kind = address_in(uri) or next(iter(KINDS))
        n_parts = options.n if options.pool is None else options.pool
        parts = line_parts(kind, n_parts, options.defective, options.seed, options.size)
        self._parts = parts if options.pool is None else itertools.cycle(parts)
        self.live = options.live
        self.n_frames = options.n
        self._number = 0
        self._interval_s = 1 / options.fps
        self._due_s = time.monotonic()
        self._closed = threading.Event()

    def read(self) -> Frame | None:
        """The next part, after its time has come if the camera is live; None after the last."""
        if self._number == self.n_frames or not self._wait():
            return None
        part = next(self._parts).part
        frame = Frame(
            data=part.picture,
            number=self._number,
            captured_at=time.time(),
            captured_monotonic_s=time.monotonic(),
            source=f"{self.uri}#{self._number}:{part.defect or 'good'}",
        )
        self._number += 1
        return frame

    def close(self) -> None:
        """End here; wakes a `read` that waits."""
        self._closed.set()

    def _wait(self) -> bool:
        if not self.live:
            return not self._closed.is_set()
        closed = self._closed.wait(max(0.0, self._due_s - time.monotonic()))
        self._due_s = max(self._due_s + self._interval_s, time.monotonic())
        return not closed
