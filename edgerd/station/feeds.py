"""The cameras of a recipe, as feeds of a line."""

from __future__ import annotations

import contextlib

from edgerd.cameras.protocol import Camera, TriggeredCamera
from edgerd.errors import CameraError
from edgerd.line.decision import PartPolicy, Policy, StreamPolicy
from edgerd.line.feed import Feed
from edgerd.line.pick import EveryFrame, EveryNth, OnTrigger, Picker
from edgerd.line.presence import OnMotion
from edgerd.line.products import Products
from edgerd.recipe import camera as records
from edgerd.station.engines import Engines
from edgerd.triggers import Trigger

_BY_MESSAGE = ("http", "mqtt", "modbus")
"""A camera with one of these triggers is judged when a message asks for it."""


class TriggeredBySoftware(OnTrigger):
    """Has a camera take a picture for each trigger, where the camera is one that takes its pictures when told to.

    Args:
        camera: The camera.
        timeout_s: A trigger that got no frame for so long is answered without one.
    """

    def __init__(self, camera: Camera, timeout_s: float) -> None:
        super().__init__(timeout_s)
        self._camera = camera

    def fire(self, trigger: Trigger) -> None:
        """Ask for a verdict, and have the camera take the picture.

        Raises:
            CameraError: The camera takes no triggers any more.
        """
        super().fire(trigger)
        if isinstance(self._camera, TriggeredCamera) and self._camera.triggered:
            with contextlib.suppress(CameraError):  # a lost camera gives no frame, and the time-out answers the trigger
                self._camera.trigger()


def feed_of(record: records.Camera, camera: Camera, engines: Engines, max_frames: int | None = None) -> Feed:
    """Put a feed together.

    Args:
        record: The camera's table in the recipe.
        camera: The camera itself, open.
        engines: Give the inspectors of its products.
        max_frames: End after so many frames; None for no limit.

    Raises:
        BundleError: A bundle or engine does not fit.
        InputError: A threshold is none that a score can have.
    """
    inspectors = {name: engines.inspector(record, name) for name in record.all_products}
    numbers = {each.index: name for name, each in record.all_products.items() if each.index is not None}
    products = Products(inspectors, record.first_product, numbers)
    return Feed(
        products,
        camera,
        policy_of(record, camera.live),
        name=record.name,
        frames=record.frames,
        max_frames=max_frames,
        picker=picker_of(record, camera, products),
        deadline_ms=record.deadline_ms,
    )


def policy_of(record: records.Camera, live: bool) -> Policy:
    """The recipe's alert policy; where it names none, `StreamPolicy` for a live camera that runs freely."""
    runs_freely = record.trigger in ("free", "every")
    name = record.policy or ("stream" if live and runs_freely else "part")
    return StreamPolicy(*record.confirmation) if name == "stream" else PartPolicy()


def picker_of(record: records.Camera, camera: Camera, products: Products) -> Picker:
    """What says which of the camera's frames are judged."""
    if record.trigger == "every":
        return EveryNth(record.every or 1)
    if record.trigger == "motion":
        return OnMotion(products.inspectors[0].spec)
    if record.trigger in _BY_MESSAGE:
        return TriggeredBySoftware(camera, record.trigger_timeout_ms / 1000)
    return EveryFrame()
