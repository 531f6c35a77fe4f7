"""What a camera is: something that opens by URI and gives one frame after another."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from edgerd.errors import CameraError, PictureError
from edgerd.types import Frame, UInt8Array

LIVE_TIMEOUT_S = 5.0
"""A live camera that gives nothing for so long is lost."""


class UnreadablePictureError(PictureError):
    """One picture among others that cannot be read, or a frame that arrived damaged; the camera can be read on.

    Args:
        error: Says what is wrong.
        frame: What is known of the frame.
        damage: What is wrong with a frame that arrived damaged, for people, without a full stop; empty for a picture
            that cannot be read.

    Attributes:
        frame: What is known of the frame: number, source and times. Its data is empty: uint8 (0, 0, 3).
        damage: What is wrong with a frame that arrived damaged; else empty.
    """

    def __init__(self, error: PictureError, frame: Frame, damage: str = "") -> None:
        super().__init__(error.what, expected=error.expected, hint=error.hint)
        self.frame = frame
        self.damage = damage

    def with_frame(self, frame: Frame) -> UnreadablePictureError:
        """This error about another frame: one that was renumbered, so that the message has the new number."""
        return damaged_frame(frame, self.damage) if self.damage else UnreadablePictureError(self, frame)


class Camera(Protocol):
    """An open source of frames. One thread reads it.

    A read has four outcomes, and no camera may turn one into another, because that is how defective parts pass: a
    frame; a frame that arrived damaged (UnreadablePictureError); a source that was lost (CameraError); and the end
    (None), which only files and other finite sources have. A live camera that ends is lost.

    Attributes:
        uri: The address that was asked for; secrets in it are replaced by `***` (`edgerd.redaction`).
        live: True where frames come whether they are wanted or not: the newest one counts, old ones may be dropped.
            False for files: every frame counts.
        fixed_size: True where all frames have one size (a device, a stream, a video), so that another size means that
            something was changed; False for pictures, each of which may have its own.
        n_frames: How many frames there will be, where that is known. Videos announce it and may end earlier.
    """

    uri: str
    live: bool
    fixed_size: bool
    n_frames: int | None

    def read(self) -> Frame | None:
        """The next frame; None at the end of a file or folder, and once closed.

        A live camera waits for it, for `LIVE_TIMEOUT_S` at most.

        Raises:
            CameraError: The source was lost, or nothing came in time.
            UnreadablePictureError: This one picture cannot be read, or arrived damaged. It counts as a frame, and the
                next call goes on with the one after it.
        """
        ...

    def close(self) -> None:
        """Let go of the device; safe to call twice, and from another thread, where it does not wait for `read`."""
        ...


@runtime_checkable
class FillingCamera(Camera, Protocol):
    """A camera whose driver can write its frames to memory that it is given: pinned memory, which a GPU reads."""

    def read_into(self, buffer: UInt8Array) -> Frame | None:
        """The next frame, in memory that is given.

        Args:
            buffer: uint8, of the shape of a frame; it is written to until the call returns, and not read.

        Returns:
            A frame whose data is the buffer, or an array of its own where the frame has another shape; None where
            `read` returns None.

        Raises:
            CameraError: The source was lost, or nothing came in time.
            UnreadablePictureError: This one picture cannot be read, or arrived damaged.
        """
        ...


@runtime_checkable
class ReturningCamera(Camera, Protocol):
    """A camera that never ends: after it was lost, its `read` opens it again until there is a frame.

    A CameraError of its `read` begins an outage; it is raised once. The next call waits for the camera, and a frame, or
    a damaged one, ends the outage. Another CameraError before that says that reopening fails for another reason now.

    Attributes:
        comes_back: True.
        last_error: Why the camera gives no frames, the latest reason; None while it gives some.
    """

    comes_back: bool
    last_error: CameraError | None


@runtime_checkable
class ReopeningCamera(Camera, Protocol):
    """A camera that can be found faster than the first time, because it remembers where it was."""

    def reopen(self) -> Camera:
        """Open the camera once more, after this one was lost or closed; may be called again where it does not open.

        Raises:
            Exception: Whatever opening its URI raises.
        """
        ...


@runtime_checkable
class TriggeredCamera(Camera, Protocol):
    """A camera that can take its pictures when it is told to.

    Attributes:
        triggered: True where it takes none before it is told to. Its `read` then waits without end, because silence is
            no loss; a camera that is lost still raises CameraError.
    """

    @property
    def triggered(self) -> bool: ...  # noqa: D102 -- above

    def trigger(self) -> None:
        """Take a picture now, which the next `read` gives.

        Raises:
            CameraError: The camera takes its pictures on a signal at one of its lines, or all the time; or it was lost.
        """
        ...


def silent_camera(uri: str, silence_s: float) -> CameraError:
    """The error of a live camera that gives nothing any more."""
    return CameraError(
        f"Camera {uri} has delivered no frame for {silence_s:g} s.",
        expected="a frame",
        hint="Check its power, its cable or network, and whether another program took it; then start again.",
    )


def lost_camera(uri: str, why: str, n_frames: int) -> CameraError:
    """The error of a source that cannot be read on.

    Args:
        uri: The address, without secrets.
        why: What the driver says.
        n_frames: Frames that came before.
    """
    return CameraError(
        f"{uri} was lost after {n_frames} frames: {why.rstrip('.').lower()}.",
        expected="frames until the run is stopped, or to the end of the file",
        hint="Check the camera, its cable or network, or the disk; then start again.",
    )


def damaged_frame(frame: Frame, reason: str) -> UnreadablePictureError:
    """The error of a frame that arrived damaged.

    Args:
        frame: Without data, as `UnreadablePictureError.frame` describes.
        reason: What is wrong with it.
    """
    error = PictureError(
        f"Frame {frame.number} of {frame.source} is damaged: {reason}.",
        expected="a whole frame",
        hint="Check the camera's cable and network, or copy the file again.",
    )
    return UnreadablePictureError(error, frame, reason)


def cut_short(camera: Camera, n_frames: int) -> CameraError | None:
    """The error of a source of which so much is missing that it was lost and not finished; None where it is whole.

    Some containers only estimate how many frames they hold, so up to a tenth may be missing: `early_end` says so then.

    Args:
        camera: The source, at its end.
        n_frames: Frames that it gave, damaged ones among them.
    """
    sentence = early_end(camera, n_frames)
    if not sentence or camera.n_frames is None or n_frames >= 0.9 * camera.n_frames:
        return None
    return CameraError(sentence, expected="a whole file", hint="Record or copy it again; the rest was not inspected.")


def early_end(camera: Camera, n_frames: int) -> str:
    """A sentence for people about a source that ended before it should have; empty where it did not.

    Some containers announce one frame too many; more than that is a video cut short.

    Args:
        camera: The source, at its end.
        n_frames: Frames that it gave, damaged ones among them.
    """
    if camera.n_frames is None or camera.n_frames - n_frames <= 1:
        return ""
    return f"{camera.uri} ended after {n_frames} of the {camera.n_frames} frames it announces."
