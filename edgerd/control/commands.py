"""The commands that a line takes from outside, checked here for every way that they come."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from edgerd.control.line import CameraControl, LineControl
from edgerd.control.parts import Part, Parts
from edgerd.control.requests import ProductRequest, TriggerRequest, read_request, shown
from edgerd.errors import InputError
from edgerd.events import FrameVerdict, uuid7
from edgerd.sinks.plc import CameraState, PlcLink
from edgerd.tables import did_you_mean
from edgerd.triggers import Trigger


class UnknownCameraError(InputError):
    """There is no camera of this name."""


class ConflictError(InputError):
    """A command that can be read, and does not go with how the line is set up or what came before."""


class Commands(PlcLink):
    """Takes commands for a line, and gives its verdicts back to whoever asked for them.

    One for each line, shared by all ways that commands come (`ControlServer`, `MqttControl`). The line tells it what
    it tells PLCs. A part is asked about once: a sender that repeats its own id of a part, as networks do, gets the
    first answer again, as long as it is among the last 10,000.

    Args:
        line: What is commanded.
    """

    def __init__(self, line: LineControl) -> None:
        self._line = line
        self._parts = Parts()
        self._states: dict[str, CameraState] = {}
        self._changing = threading.Lock()
        self._told: list[Callable[[str], None]] = []

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the cameras."""
        return tuple(self._line.cameras)

    # from outside

    def trigger(self, camera: str, body: bytes, way: str) -> Part:
        """Ask for a verdict about the part that stands before a camera now.

        Args:
            camera: Name of the camera, as the message has it.
            body: JSON as in `TriggerRequest`, or empty.
            way: How it came: "http" or "mqtt". Only cameras of that trigger are triggered.

        Returns:
            The part; its verdict comes later. The same one again where the sender repeats itself.

        Raises:
            UnknownCameraError: There is no such camera.
            ConflictError: It is triggered in another way, or the id was used for another product.
            InputError: The body cannot be used, or names a product that the camera has not.
        """
        now_s, now = time.monotonic(), time.time()
        control = self._camera(camera)
        request = read_request(TriggerRequest, body)
        if control.triggered_by != way:
            raise ConflictError(
                f"Camera {camera} is not triggered over {way.upper()}.",
                expected=f'a camera of trigger = "{way}"; this one has trigger = "{control.triggered_by}"',
                hint="Change its trigger in the recipe, and restart the line.",
            )
        number = None if request.product is None else _number(camera, control, request.product)
        part = Part(Trigger(camera, uuid7(), number, now_s, now), request.id)
        first = self._parts.add(part)
        if first is not part:
            return _same_part(first, number)
        try:
            control.fire(part.trigger)
        except BaseException:
            self._parts.remove(part)
            raise
        return part

    def change_product(self, camera: str, body: bytes, who: str) -> dict[str, Any]:
        """Let a camera inspect another product from now on.

        Args:
            camera: Name of the camera, as the message has it.
            body: JSON as in `ProductRequest`.
            who: Who asks for it, for the audit trail.

        Returns:
            As `product`.

        Raises:
            UnknownCameraError: There is no such camera.
            InputError: The body cannot be used, or names a product that the camera has not.
        """
        control = self._camera(camera)
        name = _name(camera, control, read_request(ProductRequest, body).product)
        with self._changing:
            before = control.current_product
            control.change_product(name)
            if name != before:
                self._line.on_command(who, f"Camera {camera} inspects the product {name}; before, it was {before}.")
            for tell in self._told:
                tell(camera)
        return self.product(camera)

    def product(self, camera: str) -> dict[str, Any]:
        """What a camera of the line inspects now: `camera`, `product`, and its `number`, None where it has none."""
        control = self._line.cameras[camera]
        name = control.current_product
        return {"camera": camera, "product": name, "number": control.products[name]}

    def cameras(self) -> list[dict[str, Any]]:
        """Every camera: its name, state, trigger, product of now, and products with their numbers."""
        return [
            {
                "camera": name,
                "state": self._states.get(name, CameraState.STARTING).value,
                "trigger": control.triggered_by,
                "product": control.current_product,
                "products": dict(control.products),
            }
            for name, control in self._line.cameras.items()
        ]

    def when_product_changes(self, tell: Callable[[str], None]) -> None:
        """Call a function with the name of a camera whenever it was told what to inspect.

        Args:
            tell: It must return at once.
        """
        with self._changing:
            self._told.append(tell)

    def forget(self, tell: Callable[[str], None]) -> None:
        """Do not call a function any more that was handed to `when_product_changes`; safe to call twice."""
        with self._changing:
            if tell in self._told:
                self._told.remove(tell)

    # from the line

    def publish(self, verdict: FrameVerdict, trigger: Trigger | None) -> None:
        """Give a verdict to whoever asked for it."""
        if trigger is not None:
            self._parts.judged(trigger, verdict)

    def set_state(self, camera: str, state: CameraState) -> None:
        """Say whether a camera can judge parts now; it is shown, and triggers are taken in every state."""
        self._states[camera] = state

    def alive(self) -> None:
        """Nothing: there is no heartbeat here; `edgerd.monitor` says how the line is."""

    def close(self) -> None:
        """Nothing: the ways that commands come are closed one by one."""

    def _camera(self, name: str) -> CameraControl:
        cameras = self._line.cameras
        if name not in cameras:
            raise UnknownCameraError(
                f"There is no camera {shown(name)}.",
                expected=f"one of {', '.join(cameras)}",
                hint=did_you_mean(name[:64], cameras),
            )
        return cameras[name]


def _same_part(first: Part, number: int | None) -> Part:
    if first.trigger.product != number:
        raise ConflictError(
            f"The id {shown(first.id)} was used before, for another product.",
            expected="an id of its own for each part",
        )
    return first


def _name(camera: str, control: CameraControl, product: str | int) -> str:
    """The name of a product that is given by name or number."""
    products = control.products
    if isinstance(product, str) and product in products:
        return product
    for name, number in products.items():
        if isinstance(product, int) and number == product:
            return name
    known = ", ".join(name if number is None else f"{name} ({number})" for name, number in products.items())
    raise InputError(
        f"Camera {camera} has no product {shown(product)}.",
        expected=f"one of {known}",
        hint=did_you_mean(product[:64], products) if isinstance(product, str) else None,
    )


def _number(camera: str, control: CameraControl, product: str | int) -> int:
    """The number of a product, by which triggers name it."""
    name = _name(camera, control, product)
    number = control.products[name]
    if number is None:
        raise InputError(
            f"The product {name} of camera {camera} has no number, so that no trigger can name it.",
            expected=f"index = N in its table [camera.products.{name}] of the recipe",
            hint="Or change the camera over to it before the trigger.",
        )
    return number
