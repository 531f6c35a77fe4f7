"""A line that takes note of its commands, for tests."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from edgerd.triggers import Trigger


class FakeCamera:
    """A camera that takes note of what it is told.

    Args:
        triggered_by: As `CameraControl.triggered_by`.
        products: As `CameraControl.products`; it begins with the first.
        on_fire: Called with each trigger, where it is given.

    Attributes:
        triggers: All that were fired.
        changes: Names of the products that it was changed to.
    """

    def __init__(
        self,
        triggered_by: str,
        products: Mapping[str, int | None],
        on_fire: Callable[[Trigger], None] | None = None,
    ) -> None:
        self.triggered_by = triggered_by
        self.products = dict(products)
        self.current_product = next(iter(self.products))
        self.triggers: list[Trigger] = []
        self.changes: list[str] = []
        self.on_fire = on_fire

    def fire(self, trigger: Trigger) -> None:
        """Take note of a trigger."""
        self.triggers.append(trigger)
        if self.on_fire:
            self.on_fire(trigger)

    def change_product(self, name: str) -> None:
        """Take another product for the current one."""
        self.changes.append(name)
        self.current_product = name


class FakeLine:
    """A line of such cameras.

    Args:
        cameras: By name.

    Attributes:
        commands: Who commanded what.
    """

    def __init__(self, cameras: Mapping[str, FakeCamera]) -> None:
        self.cameras = dict(cameras)
        self.commands: list[tuple[str, str]] = []

    def on_command(self, who: str, what: str) -> None:
        """Take note of a command."""
        self.commands.append((who, what))
