"""Which of a camera's frames are judged: all, every N-th, or the one that a trigger asked for.

`edgerd.line.presence` has one more, for parts that pass without a trigger.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import Protocol

from edgerd.errors import CameraError
from edgerd.triggers import Trigger
from edgerd.types import Frame

MAX_WAITING = 1000
"""So many triggers may wait for their frames. Those beyond are answered at once: a sender that goes mad must not fill
the memory."""


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
    """Picks frames in the order in which the camera gives them; used by the thread that judges."""

    def pick(self, frame: Frame, damage: str = "") -> Picked | None:
        """Look at the next frame.

        Args:
            frame: It is not kept: what is to be judged later is copied.
            damage: Why it cannot be judged; its data is empty then. Empty where it can.

        Returns:
            What is to be judged now; None for nothing.

        Raises:
            InputError: The frame cannot be looked at, because it is not laid out as its pixel format says.
        """
        ...

    def due_s(self) -> float | None:
        """When a trigger is to be answered without a frame, on `time.monotonic`'s clock; None where none waits."""
        ...

    def overdue(self) -> Picked | None:
        """The answer to a trigger that got no frame in time; None where none is due."""
        ...

    def finish(self) -> Picked | None:
        """A kept frame that is still to be judged now that the camera has ended; None where there is none left."""
        ...

    def refuse(self, reason: str) -> list[Picked]:
        """Take no triggers any more, because the camera has ended.

        Args:
            reason: Why it has.

        Returns:
            The answers to the triggers that wait, the oldest first.
        """
        ...


class WithoutTriggers:
    """The part of a picker that is the same for all that look at frames alone."""

    def due_s(self) -> float | None:
        """None, because no trigger waits."""
        return None

    def overdue(self) -> Picked | None:
        """None, because no trigger waits."""
        return None

    def finish(self) -> Picked | None:
        """None, because no frame is kept for later."""
        return None

    def refuse(self, reason: str) -> list[Picked]:
        """No answers, because no trigger waits."""
        del reason
        return []


class EveryFrame(WithoutTriggers):
    """Every frame is judged."""

    def pick(self, frame: Frame, damage: str = "") -> Picked | None:
        """Pick the frame."""
        return Picked(frame, reason=damage)


class EveryNth(WithoutTriggers):
    """One of N frames is judged: the first, and from then on each that is N or more after the one before.

    Frames are counted by their numbers, so that those which were dropped before anybody saw them count too.

    Args:
        n: 1 or more.
    """

    def __init__(self, n: int) -> None:
        self._n = n
        self._next = 0

    def pick(self, frame: Frame, damage: str = "") -> Picked | None:
        """Pick the frame if it is its turn."""
        if frame.number < self._next:
            return None
        self._next = frame.number - frame.number % self._n + self._n
        return Picked(frame, reason=damage)


class OnTrigger:
    """A trigger gets the first frame that was captured after it: one trigger, one frame, one verdict.

    A frame that was captured when the trigger had waited for `timeout_s` already shows another part, and is not its
    frame, however long the thread that judges was held up.

    Args:
        timeout_s: A trigger that got no frame for so long is answered without one.
    """

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._waiting: deque[Trigger] = deque()
        self._refused: deque[Trigger] = deque()
        self._why_closed = ""
        self._lock = threading.Lock()

    def fire(self, trigger: Trigger) -> None:
        """Ask for a verdict about the part that stands before the camera now. For any thread; returns at once.

        Raises:
            CameraError: The camera takes no triggers any more. Every trigger that is taken is answered.
        """
        with self._lock:
            if self._why_closed:
                raise CameraError(
                    f"Camera {trigger.camera} takes no trigger: {self._why_closed.rstrip('.')}.",
                    expected="a camera whose frames are being judged",
                    hint="Start the line again.",
                )
            queue = self._waiting if len(self._waiting) < MAX_WAITING else self._refused
            queue.append(trigger)

    def pick(self, frame: Frame, damage: str = "") -> Picked | None:
        """Pick the frame for the oldest trigger that it came in time for."""
        with self._lock:
            for trigger in self._waiting:
                if frame.captured_monotonic_s < trigger.received_monotonic_s:
                    return None
                if frame.captured_monotonic_s <= self._due_s(trigger):
                    self._waiting.remove(trigger)
                    return Picked(frame, trigger, damage)
        return None

    def due_s(self) -> float | None:
        """When the oldest trigger has waited for too long."""
        with self._lock:
            if self._refused:
                return self._refused[0].received_monotonic_s
            return self._due_s(self._waiting[0]) if self._waiting else None

    def overdue(self) -> Picked | None:
        """The answer to a trigger that has waited for too long."""
        now_s = time.monotonic()
        with self._lock:
            if self._refused:
                return Picked(None, self._refused.popleft(), f"more than {MAX_WAITING} triggers wait")
            if self._waiting and self._due_s(self._waiting[0]) <= now_s:
                reason = f"no frame within {1000 * self._timeout_s:g} ms of the trigger"
                return Picked(None, self._waiting.popleft(), reason)
        return None

    def finish(self) -> Picked | None:
        """None, because no frame is kept for later; `refuse` answers the triggers that wait."""
        return None

    def refuse(self, reason: str) -> list[Picked]:
        """The answers to all triggers that wait; `fire` raises from now on."""
        with self._lock:
            self._why_closed = reason
            left = [*self._waiting, *self._refused]
            self._waiting.clear()
            self._refused.clear()
        return [Picked(None, trigger, reason) for trigger in left]

    def _due_s(self, trigger: Trigger) -> float:
        """When a trigger has waited for too long.

        Everybody who asks gets this one sum, so that what is due for one is due for all, to the last bit.
        """
        return trigger.received_monotonic_s + self._timeout_s
