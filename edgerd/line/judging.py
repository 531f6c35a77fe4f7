"""How a frame of a camera comes to its verdict: what judges it, whether it is fit to be judged, and whether in time."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgerd.cameras.protocol import Camera
from edgerd.data.shapes import ShapeGuard
from edgerd.errors import InputError
from edgerd.inspection.guards import FrozenGuard, SizeGuard, frame_size
from edgerd.inspection.inspector import Inspector
from edgerd.inspection.judge import Pending
from edgerd.line.pick import Picked
from edgerd.line.products import Products
from edgerd.triggers import Trigger
from edgerd.types import Frame, Inspection, Verdict

if TYPE_CHECKING:
    from edgerd.line.feed import Feed

_UNLIKE_SHARE = 0.8
"""From this share of a picture on that scores above the threshold, it is taken for a picture of something else."""


@dataclass(eq=False)
class Job:
    """A frame on its way to its verdict.

    Attributes:
        feed: Where it comes from.
        frame: What is judged; None where a trigger got no frame.
        trigger: What asked for it; None where nothing did.
        product: What it shows; None where it is the only product.
        inspector: What judges it.
        pending: Its verdict, once it was submitted.
        is_told: Whether its line was written; no frame gets a second one, whatever happens afterwards.
    """

    feed: Feed
    frame: Frame | None
    trigger: Trigger | None
    product: str | None
    inspector: Inspector
    pending: Pending | None = None
    is_told: bool = False


class Judging:
    """Chooses what judges a camera's frames, and has it done.

    Args:
        products: What the camera can be told to inspect.
        camera: Says by what its frames are guarded: one of a fixed size against another size, a live one against
            freezing.
        deadline_ms: A verdict that comes later than this after the capture is NO_DECISION; None for no limit.
    """

    def __init__(self, products: Products, camera: Camera, deadline_ms: float | None) -> None:
        self._products = products
        self._deadline_ms = deadline_ms
        self._fixed_size = camera.fixed_size
        self._shapes: dict[str, ShapeGuard | None] = {}
        self._said_unlike: set[str] = set()
        self._guards: list[SizeGuard | FrozenGuard] = []
        if camera.fixed_size:
            self._guards.append(SizeGuard())
        if camera.live:
            self._guards.append(FrozenGuard())

    def job(self, feed: Feed, picked: Picked) -> Job:
        """Choose what judges a frame: by the product that its trigger names, else by the product of its capture.

        Args:
            feed: Where it comes from.
            picked: The frame; or a trigger that got none, whose answer names the product that is inspected now.
        """
        trigger, reason = picked.trigger, picked.reason
        captured_s = picked.frame.captured_monotonic_s if picked.frame else time.monotonic()
        product = self._products.at(captured_s)
        if trigger is not None and trigger.product is not None:
            asked_for = self._products.name_of(trigger.product)
            if asked_for is None:
                reason = reason or f"no product has the number {trigger.product}"
            product = asked_for or product
        inspector = self._products[product]
        name = product if len(self._products.names) > 1 else None
        job = Job(feed, picked.frame, trigger, name, inspector)
        if reason:
            job.pending = Pending.done(inspector.no_decision(reason))
        return job

    def submit(self, job: Job) -> None:
        """Begin to judge the frame of a job. An error is raised by `Pending.result`, after the frames before it."""
        assert job.frame is not None  # noqa: S101
        reasons = [guard.reason(job.frame) for guard in self._guards]
        reason = next(filter(None, reasons), "") or self.lateness(job.frame)
        if reason:
            job.pending = Pending.done(job.inspector.no_decision(reason))
            return
        try:
            job.pending = job.inspector.submit(job.frame)
        except Exception as error:  # noqa: BLE001  raised by `Pending.result`
            if isinstance(error, InputError) and not self._fixed_size:  # the next picture may have another size and fit
                job.pending = Pending.done(job.inspector.no_decision(error.what))
            else:
                job.pending = Pending.failed(error)

    def warning(self, job: Job, inspection: Inspection) -> str | None:
        """What a person must know of a frame that was judged, beside its verdict; each is said once for each bundle.

        Args:
            job: The frame, and what judged it.
            inspection: What was found.
        """
        return self._shape_warning(job) or self._warning_of_another_part(job, inspection)

    def _warning_of_another_part(self, job: Job, inspection: Inspection) -> str | None:
        """A defect is a part of the picture. Where nearly all of it is unusual, it shows something else."""
        bundle, maps = job.inspector.bundle.manifest, inspection.anomaly_map
        if inspection.verdict is not Verdict.NG or maps is None or bundle.id in self._said_unlike:
            return None
        if float((maps > inspection.threshold).mean()) < _UNLIKE_SHARE:
            return None
        self._said_unlike.add(bundle.id)
        return (
            f"Nearly all of a picture of {job.feed.name} is unlike the good parts that this bundle was trained on. A "
            "defect is not so large: is it another product, or another light, size or place?"
        )

    def _shape_warning(self, job: Job) -> str | None:
        """Whether the camera's pictures have another aspect ratio than those of training.

        It is found in the first frame that has another ratio than the bundle's training pictures, which need not be the
        first one: pictures of a folder differ in size.
        """
        if job.frame is None or not job.frame.data.size:
            return None
        bundle = job.inspector.bundle.manifest
        if bundle.id not in self._shapes:
            self._shapes[bundle.id] = ShapeGuard(bundle)
        guard = self._shapes[bundle.id]
        warning = guard.warning_of_camera(job.feed.name, *frame_size(job.frame)) if guard else None
        if warning:
            self._shapes[bundle.id] = None
        return warning

    def lateness(self, frame: Frame) -> str:
        """Why a verdict about a frame would come too late now; empty where it would not."""
        if self._deadline_ms is None:
            return ""
        age_ms = 1000 * (time.monotonic() - frame.captured_monotonic_s)
        if age_ms <= self._deadline_ms:
            return ""
        return f"deadline missed: {age_ms:.0f} ms after the capture, allowed are {self._deadline_ms:g}"
