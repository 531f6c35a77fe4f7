"""What a changed recipe asks of the thread that judges: another threshold, other masks, another alert policy."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from edgerd.line.feed import Feed
from edgerd.recipe.camera import Camera as CameraRecord
from edgerd.station.engines import Engines
from edgerd.station.feeds import policy_of

Errand = Callable[[], None]
"""Something that the thread that judges does between two frames; see `edgerd.line.line.Line.post`."""


def camera_errands(feed: Feed, before: CameraRecord, after: CameraRecord, engines: Engines) -> list[Errand]:
    """What has to be done for a camera to go on with its changed table.

    Args:
        feed: The camera.
        before: Its table in the recipe that runs.
        after: Its table in the new recipe, which differs only in what can change while the line runs.
        engines: They find the thresholds that false-alarm rates ask for.

    Returns:
        One errand per change; nothing has been changed yet.

    Raises:
        EdgerdError: A threshold cannot be found or used.
    """
    errands: list[Errand] = []
    for name, product in after.all_products.items():
        old = before.all_products[name]
        adjust = feed.products[name].adjust
        if (product.threshold, product.false_alarm_rate) != (old.threshold, old.false_alarm_rate):
            errands.append(partial(adjust, threshold=engines.changed_threshold(after, product)))
        if after.masks != before.masks:
            errands.append(partial(adjust, masks=after.masks))
    if (after.policy, after.confirm) != (before.policy, before.confirm):
        errands.append(partial(feed.change_policy, policy_of(after, feed.live)))
    return errands
