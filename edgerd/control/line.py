"""What is commanded: a line and its cameras, as whoever owns them shows them to the control."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from edgerd.triggers import Trigger


class CameraControl(Protocol):
    """A camera that can be commanded. Every method returns at once and may be called from any thread."""

    @property
    def triggered_by(self) -> str:
        """What triggers it, as a recipe has it: "http", "mqtt", "free", ..."""
        ...

    @property
    def products(self) -> Mapping[str, int | None]:
        """Its products by name, each with the number that the recipe gives it; None where it gives none."""
        ...

    @property
    def current_product(self) -> str:
        """What a part is taken for whose trigger does not say; the new one as soon as `change_product` returns."""
        ...

    def fire(self, trigger: Trigger) -> None:
        """Ask for a verdict about the part that stands before the camera now.

        It comes through `Commands.publish`, exactly once; NO_DECISION where there was no frame in time.
        """
        ...

    def change_product(self, name: str) -> None:
        """Inspect another product, one of `products`, in all frames that are captured from now on."""
        ...


class LineControl(Protocol):
    """A line that can be commanded."""

    @property
    def cameras(self) -> Mapping[str, CameraControl]:
        """Its cameras by name."""
        ...

    def on_command(self, who: str, what: str) -> None:
        """Take note of a command that has changed something, for the audit trail; returns at once.

        Args:
            who: Where it came from: "HTTP from 10.0.0.3".
            what: What has changed, one sentence.
        """
        ...
