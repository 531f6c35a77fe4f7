"""Cameras: a table, the protocol, a fake, and one file per kind.

A URI is one of

    0, /dev/video0, device://0         a camera of this machine, or a link to one          live
    '/dev/video0?width=640&height=480' the same, and how it is to be set (`DeviceOptions`)  live
    rtsp://..., http://...             a network camera                                    live
    csi://0?width=1280&height=720      a camera at a CSI connector of a Jetson             live
    genicam://SERIAL?exposure_us=500   an industrial camera (GigE Vision, USB3 Vision)     live
    'gst://SOURCE ! ...'               a GStreamer pipeline that ends in raw video         live
    part.mp4, /dev/stdin               a video file, or a pipe with a video
    pictures/, 'pictures/*.png'        a folder or a glob of pictures, or one picture
    sample://ring?seed=3               sample parts, made as they are needed (`edgerd.cameras.sample`)

A URI with a scheme picks the entry of the table with that name, in capitals as well. Of the others the file system says
what they are: a device, a folder, a pipe or a file. Only a name that leads to nothing is judged by what it looks like.
"""

from __future__ import annotations

import glob
import os
import re
import stat
from pathlib import PurePath
from typing import Final

from edgerd.cameras.protocol import Camera, UnreadablePictureError
from edgerd.errors import InputError
from edgerd.redaction import without_secrets
from edgerd.tables import load

CAMERAS: Final = {
    "device": "edgerd.cameras.device_process:device_camera",
    "rtsp": "edgerd.cameras.ffmpeg:StreamCamera",
    "rtsps": "edgerd.cameras.ffmpeg:StreamCamera",
    "http": "edgerd.cameras.ffmpeg:StreamCamera",
    "https": "edgerd.cameras.ffmpeg:StreamCamera",
    "csi": "edgerd.cameras.gstreamer:CsiCamera",
    "gst": "edgerd.cameras.gstreamer:GStreamerCamera",
    "genicam": "edgerd.cameras.genicam:GenicamCamera",
    "video": "edgerd.cameras.ffmpeg:VideoFile",
    "files": "edgerd.cameras.files:FilesCamera",
    "sample": "edgerd.cameras.sample:SampleCamera",
}
"""Name, which is also the scheme of the URI, to "module:attribute": a class or function that opens a URI."""

_DEVICE: Final = re.compile(r"/dev/(video\d+|v4l/.*)")
_ENDLESS: Final = frozenset({"device", "rtsp", "rtsps", "http", "https", "csi", "gst", "genicam"})
"""Kinds whose frames come until the camera is switched off."""

__all__ = ["CAMERAS", "Camera", "UnreadablePictureError", "camera_kind", "comes_back", "open_camera"]


def open_camera(uri: str) -> Camera:
    """Open what a URI names.

    Args:
        uri: One of the forms that the docstring of this module lists.

    Raises:
        InputError: The URI means nothing, or names a folder or glob without pictures.
        CameraError: The device, stream or video does not open.
    """
    _check_text(uri)
    scheme, separator, rest = uri.partition("://")
    if separator:
        uri = f"{scheme.lower()}{separator}{rest}"
    camera: Camera = load(CAMERAS, camera_kind(uri), "camera")(uri)
    return camera


def _check_text(uri: str) -> None:
    """Refuse what no operating system takes for a name, before a library does it in its own words."""
    try:
        is_text = b"\0" not in os.fsencode(uri)
    except UnicodeEncodeError:  # half of a character
        is_text = False
    if not is_text:
        raise InputError(
            f"{without_secrets(uri)!a} names no camera.",
            expected="a URI without zero bytes and halves of characters",
            hint="For example: --camera 0",
        )


def camera_kind(uri: str) -> str:
    """The name under which `CAMERAS` has the camera of a URI; opens nothing."""
    scheme, separator, _ = uri.partition("://")
    if separator:
        return scheme.lower()
    if uri.isdecimal():
        return "device"
    mode = _mode(uri)
    if mode is None:
        return "device" if _is_device_with_options(uri) else _kind_of_missing(uri)
    if stat.S_ISCHR(mode):
        return "device"
    is_picture = not stat.S_ISFIFO(mode) and _is_named_as_picture(uri)
    return "files" if stat.S_ISDIR(mode) or is_picture else "video"


def comes_back(uri: str) -> bool:
    """Whether a URI names a camera that may be lost and come back; False for files and sample parts. Opens nothing."""
    return camera_kind(uri) in _ENDLESS


def _mode(path: str) -> int | None:
    """What the file system says that a path leads to, through links; None where it leads to nothing."""
    try:
        return os.stat(path).st_mode  # noqa: PTH116 -- the text may be anything, and longer than a Path takes
    except (OSError, ValueError):
        return None


def _is_device_with_options(uri: str) -> bool:
    """Whether a URI is a device's and options behind a `?`, which may also stand in the name of a file or in a glob."""
    path, mark, _ = uri.partition("?")
    mode = _mode(path) if mark else None
    return bool(mark) and (path.isdecimal() or _DEVICE.fullmatch(path) is not None or stat.S_ISCHR(mode or 0))


def _kind_of_missing(uri: str) -> str:
    if _DEVICE.fullmatch(uri):
        return "device"
    return "files" if _is_named_as_picture(uri) or glob.has_magic(uri) else "video"


def _is_named_as_picture(uri: str) -> bool:
    # Here, because it brings OpenCV, and a list of the table's names should not.
    from edgerd.data.pictures import PICTURE_SUFFIXES

    return PurePath(uri).suffix.lower() in PICTURE_SUFFIXES
