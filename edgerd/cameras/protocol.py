"""What a camera is: something that opens by URI and gives one frame after another."""

from __future__ import annotations

from typing import Protocol

from edgerd.types import Frame


class Camera(Protocol):
    """An open source of frames. One thread reads it.

    Attributes:
        uri: As it was asked for.
        live: True where frames come whether they are wanted or not: the newest one counts, old ones may be dropped.
            False for files: every frame counts.
        n_frames: How many frames there will be, where that is known.
    """

    uri: str
    live: bool
    n_frames: int | None

    def read(self) -> Frame | None:
        """The next frame, or None at the end of a file or folder. A live camera waits for it, for 5 s at most.

        Raises:
            CameraError: The camera was lost, or nothing came in time.
        """
        ...

    def close(self) -> None:
        """Let go of the device; safe to call twice, and from another thread."""
        ...
