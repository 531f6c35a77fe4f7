"""A line of one camera, as most tests want it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from edgerd.cameras.protocol import Camera
from edgerd.inspection.inspector import Inspector
from edgerd.line.decision import Policy
from edgerd.line.feed import Feed
from edgerd.line.line import Line
from edgerd.line.record import Outlets
from edgerd.line.summary import RunSummary
from edgerd.sinks.protocol import Sink


def run_camera(
    inspector: Inspector,
    camera: Camera,
    policy: Policy | None = None,
    *,
    frames: Any = None,
    max_frames: int | None = None,
    event_sinks: Iterable[Sink] = (),
    verdict_sinks: Iterable[Sink] = (),
    **line: Any,
) -> RunSummary:
    """Run a line of this camera alone; `line` goes to `Line`."""
    feed = Feed(inspector, camera, policy, frames=frames, max_frames=max_frames)
    (summary,) = Line([feed], Outlets(event_sinks, verdict_sinks), **line).run()
    return summary
