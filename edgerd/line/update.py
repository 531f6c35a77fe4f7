"""What a line tells those who watch it, such as the status line and the video: one update after each frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from edgerd.events import Alert
from edgerd.line.statistics import RunStatistics
from edgerd.types import Frame, Inspection

NO_FRAME: Final = Frame(np.empty((0, 0, 3), np.uint8), number=-1)
"""Stands in an update for the frame that a trigger did not get."""


@dataclass(frozen=True)
class Update:
    """What was found in one frame, and what that means for the camera's alert and counts.

    Attributes:
        camera: Name of the camera.
        frame: The frame; where there was none, or a picture could not be read, its data is empty, uint8 (0, 0, 3). It
            may lie in memory that the camera writes to again: copy what is to be kept.
        inspection: What was found in it.
        alert: The alert that it raised or cleared; None where it did neither.
        statistics: The counts of this camera so far; they change with its next frame.
        live: Whether the camera goes on meanwhile, so that whoever is slow loses frames.
        warning: What a person must know of the camera, said once; None where there is nothing new.
    """

    camera: str
    frame: Frame
    inspection: Inspection
    alert: Alert | None
    statistics: RunStatistics
    live: bool = False
    warning: str | None = None
