"""An RTSP and a GenICam camera on loopback that go away and come back; each is a program of its own."""

from __future__ import annotations

import time
from pathlib import Path

from edgerd.recipe.product import MAX_SCORE
from rig.camera import Outage
from rig.camera_servers import CameraServer, rtsp_server
from rig.pictures import Pool, scores_through, seen_through

RTSP_FPS = 15
KEY_FRAME_INTERVAL = 15
"""Frames: a key frame each second."""
PATTERN_FRAMES = 50
"""So many are looked at to learn what the fake camera's pattern scores: two seconds of it."""


class _ServedCamera:
    """A camera that a program of its own serves.

    Args:
        server: The program.
    """

    def __init__(self, server: CameraServer) -> None:
        self._server = server

    def lose(self, outage: Outage) -> None:
        """Be switched off, or hang with the connections open."""
        if outage == "silent":
            self._server.hang()
        else:
            self._server.switch_off()

    def bring_back(self) -> float:
        """Be switched off and on. Returns the Unix time at which its program was started, just before it listens."""
        self._server.switch_off()
        started_at = time.time()
        self._server.switch_on()
        return started_at

    def close(self) -> None:
        """Switch it off for good."""
        self._server.switch_off()


class RtspCamera(_ServedCamera):
    """Sends the pictures of a pool over RTSP, over and over from the first one on, and begins again when it comes back.

    They are encoded in H.264 without loss, so that a picture gives the same score wherever it lies between two key
    frames, and an alert says which picture it was raised for. A frame of which a part was lost would give another.

    Args:
        folder: For its pictures.
        pool: What it sees, with other scores.

    Attributes:
        uri: For edgerd.
        pool: With the scores of the pictures as they come through it.
    """

    def __init__(self, folder: Path, pool: Pool) -> None:
        folder.mkdir(parents=True)
        for number, jpeg in enumerate(pool.jpegs):
            (folder / f"{number}.jpg").write_bytes(jpeg)
        pictures = (
            f'multifilesrc location="{folder}/%d.jpg" stop-index={len(pool.jpegs) - 1} loop=true'
            f' caps="image/jpeg,framerate={RTSP_FPS}/1" ! jpegdec ! videoconvert ! video/x-raw,format=I420 ! clocksync'
        )
        server = rtsp_server(pictures, KEY_FRAME_INTERVAL, "speed-preset=ultrafast pass=quant quantizer=0")
        super().__init__(server)
        self.uri = server.uri
        server.switch_on()
        try:
            self.pool = seen_through(self.uri, pool)
        except BaseException:
            self.close()
            raise

    def number_of(self, score: float, captured_at: float) -> int | None:  # noqa: ARG002  nobody knows when it was sent
        """The place in the pool of the picture that has this score; None where none has."""
        return self.pool.place_of(score)


class GenicamCamera(_ServedCamera):
    """Aravis's fake camera, which sends a test pattern: no alert is to be raised, so any that is was made up.

    Args:
        server: The program, switched on.
        name: By what edgerd is to find it: its address or its serial number.
        bundle: Judges the pattern.

    Attributes:
        uri: For edgerd.
        pool: Without pictures, and with a threshold midway between the pattern's scores and the highest possible one.
    """

    def __init__(self, server: CameraServer, name: str, bundle: Path) -> None:
        super().__init__(server)
        self.uri = f"genicam://{name}"
        highest = max(scores_through(server.uri, bundle, PATTERN_FRAMES))
        self.pool = Pool((), (), (highest + MAX_SCORE) / 2, bundle)
        self.bring_back()  # else it may be under the control of whoever has just looked at it, and seem lost at first

    def number_of(self, score: float, captured_at: float) -> int | None:  # noqa: ARG002  there is no picture to find
        """None: no picture of it is known."""
        return None
