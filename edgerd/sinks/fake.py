"""Sinks and a link to a PLC that keep what they were given, for tests."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from edgerd.errors import DeliveryError, StorageError
from edgerd.events import FrameVerdict, Message
from edgerd.sinks.plc import CameraState, PlcLink
from edgerd.triggers import Trigger


class FakeSink:
    """Collects messages in `events`, each in its JSON form.

    Args:
        capacity: From then on it is full and raises StorageError; None for never. May be changed at any time.

    Attributes:
        n_refused: Messages that it did not take.
    """

    name = "the fake sink"

    def __init__(self, capacity: int | None = None) -> None:
        self.events: list[Mapping[str, Any]] = []
        self.closed = False
        self.capacity = capacity
        self.n_refused = 0

    def send(self, message: Message) -> None:
        """Keep one message."""
        if self.capacity is not None and len(self.events) >= self.capacity:
            self.n_refused += 1
            raise StorageError("The fake sink is full.")
        self.events.append(message.to_json())

    def close(self) -> None:
        """Remember that it was closed."""
        self.closed = True


class FakePlcLink(PlcLink):
    """Keeps what a line told it.

    Attributes:
        published: Verdicts, each with the trigger that it answers.
        states: The last state of each camera.
        alive_calls: How often the line said that it is alive.
        closed: Whether it was closed.
    """

    def __init__(self) -> None:
        self.published: list[tuple[FrameVerdict, Trigger | None]] = []
        self.states: dict[str, CameraState] = {}
        self.alive_calls = 0
        self.closed = False

    def publish(self, verdict: FrameVerdict, trigger: Trigger | None) -> None:
        """Keep a verdict."""
        self.published.append((verdict, trigger))

    def set_state(self, camera: str, state: CameraState) -> None:
        """Keep a state."""
        self.states[camera] = state

    def alive(self) -> None:
        """Count a call."""
        self.alive_calls += 1

    def close(self) -> None:
        """Remember that it was closed."""
        self.closed = True


class FakeDeliveringSink:
    """Collects events, and fails as it is told to.

    Args:
        name: What an outbox calls it.
        script: What each call of `deliver` does first, in order: raise an error (after it has taken as many events as a
            DeliveryError says), call a function, or nothing for None. Beyond its end everything is taken.

    Attributes:
        events: What it has taken.
        n_calls: How often `deliver` was called.
        closed: Whether it was closed.
    """

    def __init__(
        self, name: str = "the fake sink", script: Sequence[BaseException | Callable[[], None] | None] = ()
    ) -> None:
        self.name = name
        self.script = list(script)
        self.events: list[Mapping[str, Any]] = []
        self.n_calls = 0
        self.closed = False

    def deliver(self, batch: Sequence[Mapping[str, Any]]) -> None:
        """Take events, or do what the script says."""
        self.n_calls += 1
        step = self.script.pop(0) if self.script else None
        if isinstance(step, BaseException):
            if isinstance(step, DeliveryError):
                self.events += batch[: step.n_delivered]
            raise step
        if step is not None:
            step()
        self.events += batch

    def close(self) -> None:
        """Remember that it was closed."""
        self.closed = True
