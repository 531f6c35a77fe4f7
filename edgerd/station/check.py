"""A recipe tried out: everything that it names is opened, one frame of each camera judged, and nothing sent."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack

from edgerd.cameras import open_camera
from edgerd.errors import CameraError
from edgerd.inspection.gpu.options import DeviceOptions
from edgerd.line.line import Line
from edgerd.line.summary import Ended, RunSummary
from edgerd.recipe import Recipe
from edgerd.station.engines import Engines
from edgerd.station.feeds import feed_of
from edgerd.station.outgoing import is_delivered_to, opened_sinks


def check(
    recipe: Recipe, device: DeviceOptions, *, say: Callable[[str], None], warn: Callable[[str], None]
) -> list[RunSummary]:
    """Verify the bundles, open engines, sinks and cameras, and judge a frame of each camera.

    Whether a receiver is there is not asked: it may come later. The outbox and the audit trail are left alone, because
    a line may be using them.

    Args:
        recipe: The recipe that is tried out.
        device: How to use a GPU.
        say: Takes a line for people.
        warn: Takes a sentence about what could not be checked, or is not as it was in training.

    Returns:
        A summary per camera, in the recipe's order.

    Raises:
        EdgerdError: Something cannot be opened, or a camera gives no frame that can be judged; the message says what.
        KeyboardInterrupt: Ctrl-C came before each camera gave a frame.
    """
    recipe.check_secrets()
    with ExitStack() as stack:
        for sink in opened_sinks([sink for sink in recipe.sinks if is_delivered_to(sink)], ()):
            stack.callback(sink.close)
        engines = Engines(stack, device, say, warn)
        feeds = []
        for record in recipe.cameras:
            camera = open_camera(record.address())
            stack.callback(camera.close)
            # Judged without waiting for a trigger, and without a deadline: a first frame takes longer than the others.
            freely = record.model_copy(update={"trigger": "free", "every": None, "deadline_ms": None})
            feeds.append(feed_of(freely, camera, engines, max_frames=1))
        for inspector in engines.opened:
            n = inspector.bundle.verify()
            say(f"All {n} files of {inspector.bundle.path} are as they were written.")
        summaries = Line(feeds, on_update=lambda update: warn(update.warning) if update.warning else None).run()
    if any(summary.ended is Ended.INTERRUPTED for summary in summaries):
        raise KeyboardInterrupt
    for summary in summaries:
        summary.raise_for_error()
        check_judged(summary)
    return summaries


def check_judged(summary: RunSummary) -> None:
    """See that a camera gave a frame that could be judged.

    Raises:
        CameraError: It gave none.
    """
    if summary.no_decision == summary.frames:
        raise CameraError(
            f"{summary.camera} gave no frame that can be judged.",
            expected="a frame with about the light and contrast of the good pictures",
            hint="Check the light, the lens and the frame size; --verdicts - prints the reason.",
        )
