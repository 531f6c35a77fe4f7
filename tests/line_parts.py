"""A line of one camera, as most tests want it."""

from __future__ import annotations

from typing import Any

from edgerd.cameras.protocol import Camera
from edgerd.inspection.inspector import Inspector
from edgerd.line.decision import Policy
from edgerd.line.feed import Feed
from edgerd.line.line import Line
from edgerd.line.summary import RunSummary


def run_camera(
    inspector: Inspector,
    camera: Camera,
    policy: Policy | None = None,
    *,
    frames: Any = None,
    max_frames: int | None = None,
    **line: Any,
) -> RunSummary:
    """Run a line of this camera alone; `line` goes to `Line`."""
    (summary,) = Line([Feed(inspector, camera, policy, frames=frames, max_frames=max_frames)], **line).run()
    return summary
