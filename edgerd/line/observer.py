"""What watches a line: the verdict log, a video, a page. It has a thread of its own, and never holds the line up."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Generic, Literal, TypeVar

from edgerd.errors import StorageError

Item = TypeVar("Item")
Change = tuple[Literal["error", "back"], str]
"""Writing began to fail, or succeeds again; and a sentence about it."""

PATIENCE_S = 5.0
"""How long frames of a file wait for an observer that does nothing; a live camera waits for none."""
_POLL_S = 0.05


class Observer(Generic[Item]):
    """Hands what it is given to somebody slow, one after the other, in a thread of its own.

    What the other does not take, because it fails or does not keep up, is dropped and counted; it is tried again with
    each of the following.

    Args:
        name: What people call it, such as "verdict log verdicts.jsonl".
        take: Takes one item; raises StorageError where it cannot.
        noun: What the items are called, in the singular, such as "line".
        capacity: How many items may wait.
    """

    def __init__(self, name: str, take: Callable[[Item], None], *, noun: str, capacity: int) -> None:
        self._name = name
        self._take = take
        self._noun = noun
        self._capacity = capacity
        self._queue: deque[Item] = deque()
        self._changed = threading.Condition()
        self._changes: deque[Change] = deque()
        self._n_dropped = 0
        self._reason = ""
        self._fails = False
        self._is_patient = True
        self._is_busy = False
        self._closing = False
        self._progress_s = time.monotonic()
        # A daemon: a disk that never answers must not keep the process from ending.
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    @property
    def loss(self) -> str:
        """What was dropped and why, one sentence; empty where everything was taken."""
        with self._changed:
            return self._loss() if self._n_dropped else ""

    def put(self, item: Item, *, may_wait: bool) -> None:
        """Hand over the next item.

        Args:
            item: Whatever `take` takes; not to be changed any more.
            may_wait: Wait while there is no room, as long as the other makes progress; else the item is dropped.
        """
        with self._changed:
            while may_wait and self._is_patient and self._is_full:
                self._is_patient = time.monotonic() - self._progress_s < PATIENCE_S
                self._changed.wait(_POLL_S)
            if self._is_full:
                self._drop(1, "It does not keep up.")
                return
            if not self._queue and not self._is_busy:
                self._progress_s = time.monotonic()  # it had nothing to do
            self._queue.append(item)
            self._changed.notify_all()

    def changes(self) -> list[Change]:
        """What has changed since this was asked last; the oldest first."""
        if not self._changes:
            return []
        with self._changed:
            changes = list(self._changes)
            self._changes.clear()
            return changes

    def close(self) -> bool:
        """Let the other take what waits; where it does nothing for `PATIENCE_S`, that is dropped. Safe to call twice.

        Returns:
            Whether the other has come to its end; else its thread still hangs in `take`.
        """
        with self._changed:
            self._closing = True
            self._changed.notify_all()
            while self._queue or self._is_busy:
                if not self._is_patient or time.monotonic() - self._progress_s >= PATIENCE_S:
                    self._drop(len(self._queue) + self._is_busy, "It does not keep up.")
                    self._queue.clear()
                    return False
                self._changed.wait(_POLL_S)
        self._thread.join()
        return True

    @property
    def _is_full(self) -> bool:
        return len(self._queue) >= self._capacity

    def _run(self) -> None:
        while (item := self._next()) is not None:
            self._note(self._failure_of(item))

    def _failure_of(self, item: Item) -> str:
        """Have an item taken; what went wrong, empty where nothing did."""
        try:
            self._take(item)
        except StorageError as error:
            return error.what
        except Exception as bug:  # noqa: BLE001  told in an event; if this thread ended, nothing would be told any more
            return f"Internal error: {type(bug).__name__}: {bug}."
        return ""

    def _next(self) -> Item | None:
        with self._changed:
            while not self._queue and not self._closing:
                self._changed.wait()
            if not self._queue:
                return None
            self._is_busy = True
            item = self._queue.popleft()
            self._changed.notify_all()
            return item

    def _note(self, failure: str) -> None:
        """Note what has become of the item in hand."""
        with self._changed:
            self._is_busy = False
            self._is_patient = True
            self._progress_s = time.monotonic()
            if failure:
                self._drop(1, failure)
            elif self._fails:
                self._fails = False
                self._changes.append(("back", f"The {self._name} is written again. So far {self._loss()}"))
            self._changed.notify_all()

    def _drop(self, n: int, reason: str) -> None:
        self._n_dropped += n
        self._reason = reason
        if not self._fails:
            self._fails = True
            self._changes.append(("error", f"The {self._name} drops {self._noun}s. {reason}"))

    def _loss(self) -> str:
        items = f"1 {self._noun}" if self._n_dropped == 1 else f"{self._n_dropped} {self._noun}s"
        return f"{items} for the {self._name} were dropped. {self._reason}"
