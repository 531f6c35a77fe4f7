"""How the cameras, the engines and the disk of a running line do, in the monitor's words."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path

from edgerd.bundle.manifest import EngineKey
from edgerd.line.feed import Feed
from edgerd.monitor.snapshot import CameraSnapshot, CameraState
from edgerd.paths import exists


def camera_snapshot(feed: Feed) -> CameraSnapshot:
    """How a camera does at this moment; for any thread."""
    return CameraSnapshot.of(feed.name, _state_of(feed), feed.statistics)


def engine_text(key: EngineKey) -> str:
    """An engine as people call it, such as "openvino int8 on Intel(R) Xeon(R)"."""
    return f"{key.name} on {key.device}"


def free_bytes(path: Path) -> int | None:
    """Free space on the disk of a path, which need not exist yet; None where the disk does not tell."""
    there = next((each for each in (path, *path.absolute().parents) if exists(each)), None)
    with contextlib.suppress(OSError):
        return None if there is None else shutil.disk_usage(there).free
    return None


def _state_of(feed: Feed) -> CameraState:
    if feed.has_failed:
        return CameraState.LOST
    if feed.ended is not None:
        return CameraState.ENDED
    return CameraState.RUNNING if feed.statistics.frames else CameraState.STARTING
