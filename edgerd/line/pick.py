"""Which of a camera's frames are judged: all, every N-th, or the one that a trigger asked for.

`edgerd.line.presence` has one more, for parts that pass without a trigger.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from edgerd.triggers import Trigger
from edgerd.types import Frame

MAX_WAITING = 1000
"""Triggers; a sender that goes mad must not fill the memory. Those above it get their answer at once."""


@dataclass(frozen=True, slots=True)
class Picked:
    """A frame that is to be judged, or the answer to a trigger that got none.

    Attributes:
        frame: What is to be judged; None where a trigger got no frame.
        trigger: What asked for it; None where nothing did.
        reason: Why it cannot be judged; empty where it can.
    """

    frame: Frame | None
    trigger: Trigger | None = None
    reason: str = ""


class Picker(Protocol):
    """Picks frames in the order in which the camera gives them; for the thread that judges, but for `fire`."""

    def pick(self, frame: Frame, damage: str = "") -> Picked | None:
        """Look at the next frame.

        Args:
            frame: It is not kept: what is to be judged later is copied.
            damage: Why it cannot be judged; its data is empty then. Empty where it can.

        Returns:
            What is to be judged now; None for nothing.
        """
        ...

    def due_s(self) -> float | None:
        """When there will be something to say without a frame, on `time.monotonic`'s clock; None for never."""
        ...

    def overdue(self) -> Picked | None:
        """What is to be said without a frame, now that it is due; None for nothing."""
        ...

    def finish(self) -> Picked | None:
        """What is still to be said now that the camera has ended; None for nothing more. To be called until then."""
        ...


class EveryFrame:
    """Every frame is judged."""

    def pick(self, frame: Frame, damage: str = "") -> Picked | None:
        """The frame."""
        return Picked(frame, reason=damage)

    def due_s(self) -> float | None:
        """Never."""
        return None

    def overdue(self) -> Picked | None:
        """Nothing."""
        return None

    def finish(self) -> Picked | None:
        """Nothing."""
        return None


class EveryNth(EveryFrame):
    """One of N frames is judged: the first, and from then on each that is N or more after the one before.

    Frames are counted by their numbers, so that those which were dropped before anybody saw them count too.

    Args:
        n: 1 or more.
    """

    def __init__(self, n: int) -> None:
        self._n = n
        self._next = 0

    def pick(self, frame: Frame, damage: str = "") -> Picked | None:
        """The frame, when it is its turn."""
        if frame.number < self._next:
            return None
        self._next = frame.number - frame.number % self._n + self._n
        return Picked(frame, reason=damage)


class OnTrigger:
    """A trigger gets the first frame that was captured after it: one trigger, one frame, one verdict.

    Args:
        timeout_s: A trigger that got no frame for so long is answered without one.
        ring: Called when a trigger has come, from the thread that brought it.
    """

    def __init__(self, timeout_s: float, ring: Callable[[], None] = lambda: None) -> None:
        self._timeout_s = timeout_s
        self._ring = ring
        self._waiting: deque[Trigger] = deque()
        self._refused: deque[Trigger] = deque()
        self._lock = threading.Lock()

    def fire(self, trigger: Trigger) -> None:
        """Ask for a verdict about the part that stands before the camera now. For any thread; returns at once."""
        with self._lock:
            queue = self._waiting if len(self._waiting) < MAX_WAITING else self._refused
            queue.append(trigger)
        self._ring()

    def pick(self, frame: Frame, damage: str = "") -> Picked | None:
        """The frame, where the oldest trigger came before it was captured."""
        with self._lock:
            if not self._waiting or frame.captured_monotonic_s < self._waiting[0].received_monotonic_s:
                return None
            return Picked(frame, self._waiting.popleft(), damage)

    def due_s(self) -> float | None:
        """When the oldest trigger has waited for too long."""
        with self._lock:
            if self._refused:
                return self._refused[0].received_monotonic_s
            return self._waiting[0].received_monotonic_s + self._timeout_s if self._waiting else None

    def overdue(self) -> Picked | None:
        """The answer to a trigger that has waited for too long."""
        now_s = time.monotonic()
        with self._lock:
            if self._refused:
                return Picked(None, self._refused.popleft(), f"more than {MAX_WAITING} triggers wait")
            if self._waiting and now_s - self._waiting[0].received_monotonic_s >= self._timeout_s:
                reason = f"no frame within {1000 * self._timeout_s:g} ms of the trigger"
                return Picked(None, self._waiting.popleft(), reason)
        return None

    def finish(self) -> Picked | None:
        """The answer to a trigger that will get no frame any more."""
        with self._lock:
            queue = self._refused or self._waiting
            return Picked(None, queue.popleft(), "the camera has ended") if queue else None
