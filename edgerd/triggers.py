"""What starts the inspection of one part: a trigger, whoever sent it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Trigger:
    """A request for exactly one verdict about the part that stands before a camera now.

    Attributes:
        camera: Name of the camera.
        id: Unique among all triggers, also across restarts. The verdict goes back to whoever sent the trigger with it.
        product: Index of the product that the part is; None where the sender does not say, and the camera's default
            applies.
        received_monotonic_s: When it was received on `time.monotonic()`'s clock, for deadlines.
        received_at: The same moment as Unix seconds, UTC.
    """

    camera: str
    id: str
    product: int | None
    received_monotonic_s: float
    received_at: float
