"""When a verdict becomes an alert: two policies, each a state machine without a clock."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Protocol

from edgerd.errors import InputError
from edgerd.events import uuid7
from edgerd.types import Inspection, StrEnum, Verdict


class AlertState(StrEnum):
    """What happens to an alert."""

    RAISED = "raised"
    CLEARED = "cleared"


@dataclass(frozen=True, slots=True)
class AlertChange:
    """An alert was raised, or cleared.

    Attributes:
        id: Identity of the alert, a UUIDv7: the same for its raise and its clear.
        state: What happened to it.
    """

    id: str
    state: AlertState


class Policy(Protocol):
    """Turns the inspections of one source, in order, into alerts.

    Attributes:
        held_back: NG frames so far that belong to no alert: what the policy swallowed.
    """

    held_back: int

    @property
    def is_open(self) -> bool:
        """Whether an alert was raised that is not cleared yet."""
        ...

    def resume(self, alert: str) -> None:
        """Go on with an alert that was open when the process before this one ended.

        Args:
            alert: Id of the alert.
        """
        ...

    def update(self, inspection: Inspection, now_s: float) -> AlertChange | None:
        """Take one inspection.

        Args:
            inspection: What was found in the next frame. One without a decision neither raises nor clears.
            now_s: When that frame was captured, seconds on a monotonic clock.

        Returns:
            The alert that it raises or clears; None for nothing.
        """
        ...


class PartPolicy:
    """For files and triggered cameras: every frame is a part of its own, and every NG is an alert.

    There is nothing to clear: such an alert speaks of one part that has gone by.
    """

    held_back = 0
    is_open = False

    def resume(self, alert: str) -> None:
        """Do nothing: the alert of a part is over as soon as it is raised."""

    def update(self, inspection: Inspection, now_s: float) -> AlertChange | None:
        """Raise an alert for every NG."""
        del now_s
        return AlertChange(uuid7(), AlertState.RAISED) if inspection.verdict is Verdict.NG else None


class StreamPolicy:
    """For live cameras that see the same place again and again: one alert per incident.

    Raised by the first NG; the alert lasts until the first frame that scores as good parts usually do: lower than
    `clear_ratio` x threshold, or not higher than nine of ten good parts (`Inspection.usual_score`) and OK. Between that
    and the threshold it stays, so that a score that hovers at the threshold is one alert and not many. Without the
    second condition an alert would go on over the parts that follow where good parts score only a little below the
    threshold, and would take in the next defective one.

    Where noise demands it, `k` and `n` ask for confirmation: raised is then by an NG that is at least the k-th among
    the last n decided frames. A defect that shows for fewer frames raises nothing, and `held_back` counts it. After a
    clear the counting starts anew, and nothing is raised for `cooldown_s`.

    Args:
        k: NG frames needed.
        n: Decided frames among which they are counted.
        clear_ratio: Fraction of the threshold below which the alert is always cleared.
        cooldown_s: Seconds after a clear in which nothing is raised.

    Attributes:
        held_back: NG frames so far that belong to no alert. A raise takes back those that helped to confirm it.

    Raises:
        InputError: Not 1 <= k <= n, 0 < clear_ratio <= 1, cooldown_s >= 0.
    """

    def __init__(self, k: int = 1, n: int = 1, clear_ratio: float = 0.9, cooldown_s: float = 0.0) -> None:
        if not (1 <= k <= n and 0 < clear_ratio <= 1 and cooldown_s >= 0):
            raise InputError(
                f"{k=}, {n=}, {clear_ratio=}, {cooldown_s=} is not an alert policy.",
                expected="1 <= k <= n, 0 < clear_ratio <= 1, cooldown_s >= 0",
            )
        self.held_back = 0
        self.k = k
        self.clear_ratio = clear_ratio
        self.cooldown_s = cooldown_s
        self._ng: deque[bool] = deque(maxlen=n)
        self._open: str | None = None  # id of the alert that is raised and not cleared
        self._cleared_s: float | None = None

    @property
    def is_open(self) -> bool:
        """Whether an incident lasts."""
        return self._open is not None

    def resume(self, alert: str) -> None:
        """Go on with the incident of an alert that was raised before."""
        self._open = alert

    def update(self, inspection: Inspection, now_s: float) -> AlertChange | None:
        """Raise an alert when an incident begins, clear it when it ends."""
        if inspection.verdict is Verdict.NO_DECISION or inspection.score is None:
            return None
        if self._open is not None:
            return self._clear(self._open, now_s) if self._is_over(inspection, inspection.score) else None
        ng = inspection.verdict is Verdict.NG
        self._ng.append(ng)
        if ng and sum(self._ng) >= self.k and not self._cooling_down(now_s):
            return self._raise()
        self.held_back += ng
        return None

    def _is_over(self, inspection: Inspection, score: float) -> bool:
        """Whether a frame with this score ends the incident that lasts."""
        usual = inspection.usual_score
        is_usual = usual is not None and score <= usual and inspection.verdict is Verdict.OK
        return is_usual or score < self.clear_ratio * inspection.threshold

    def _cooling_down(self, now_s: float) -> bool:
        return self._cleared_s is not None and now_s - self._cleared_s < self.cooldown_s

    def _raise(self) -> AlertChange:
        self._open = uuid7()
        self.held_back -= sum(self._ng) - 1  # the others that confirmed it belong to this alert too
        return AlertChange(self._open, AlertState.RAISED)

    def _clear(self, alert: str, now_s: float) -> AlertChange:
        self._open = None
        self._cleared_s = now_s
        self._ng.clear()
        return AlertChange(alert, AlertState.CLEARED)


def usual_policy(*, live: bool) -> Policy:
    """`StreamPolicy` for a live camera; `PartPolicy` for files, each frame of which is a part of its own."""
    return StreamPolicy() if live else PartPolicy()
