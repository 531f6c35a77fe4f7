"""Parts that were asked about: each has one trigger and gets one verdict, however often it is asked about."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias, TypeVar

from edgerd.events import FrameVerdict
from edgerd.triggers import Trigger

MAX_PARTS: Final = 10_000
"""How many of the last parts are remembered, with the sender's id; and how many may wait for a verdict."""

_Key = TypeVar("_Key")

Answer: TypeAlias = Mapping[str, Any]
"""A verdict in its JSON form, with the sender's own `id` of the part beside."""


class Part:
    """A part that somebody asked about.

    Args:
        trigger: What asks for its verdict.
        id: The sender's own name for it; None where it has none.
    """

    def __init__(self, trigger: Trigger, id: str | None) -> None:  # noqa: A002  the key's name
        self.trigger = trigger
        self.id = id
        self._lock = threading.Lock()
        self._answer: Answer | None = None
        self._waiting: list[Callable[[Answer], None]] = []

    def when_judged(self, callback: Callable[[Answer], None]) -> None:
        """Call a function with the answer: now where it is known, else once it is, in the thread that brings it.

        Args:
            callback: It must return at once.
        """
        with self._lock:
            if self._answer is None:
                self._waiting.append(callback)
                return
        callback(self._answer)

    def forget(self, callback: Callable[[Answer], None]) -> None:
        """Do not call a function any more that was handed to `when_judged`."""
        with self._lock:
            if callback in self._waiting:
                self._waiting.remove(callback)

    def judged(self, verdict: FrameVerdict) -> None:
        """Hand over what was found."""
        with self._lock:
            answer = self._answer = {**verdict.to_json(), "id": self.id}
            waiting, self._waiting = self._waiting, []
        for callback in waiting:
            callback(answer)


class Parts:
    """The last parts; for any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: dict[str, Part] = {}
        self._known: dict[tuple[str, str], Part] = {}

    def add(self, part: Part) -> Part:
        """Remember a part before its trigger is fired.

        Returns:
            The part itself; or the one that its camera has been asked about before with the same id.
        """
        with self._lock:
            if part.id is not None:
                first = self._known.setdefault((part.trigger.camera, part.id), part)
                if first is not part:
                    return first
                _drop_oldest(self._known)
            self._open[part.trigger.id] = part
            _drop_oldest(self._open)
        return part

    def remove(self, part: Part) -> None:
        """Forget a part whose trigger was not taken."""
        with self._lock:
            self._open.pop(part.trigger.id, None)
            if part.id is not None:
                self._known.pop((part.trigger.camera, part.id), None)

    def judged(self, trigger: Trigger, verdict: FrameVerdict) -> None:
        """Hand over what was found of a part; nothing happens where nobody here has asked about it."""
        with self._lock:
            part = self._open.pop(trigger.id, None)
        if part is not None:
            part.judged(verdict)


def _drop_oldest(parts: dict[_Key, Part]) -> None:
    if len(parts) > MAX_PARTS:
        del parts[next(iter(parts))]
