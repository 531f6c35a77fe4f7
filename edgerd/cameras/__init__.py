"""Cameras: a table, the protocol, a fake, and one file per kind.

A URI is one of

    0, /dev/video0, device://0      a camera of this machine                                live
    rtsp://..., http://...          a network camera                                        live
    csi://0?width=1280&height=720   a camera at a CSI connector of a Jetson                 live
    'gst://SOURCE ! ...'            a GStreamer pipeline that ends in raw video             live
    part.mp4                        a video file
    pictures/, 'pictures/*.png'     a folder or a glob of pictures, or one picture
    sample://ring?seed=3            sample parts, made as they are needed (`edgerd.cameras.sample`)

A URI with a scheme picks the entry of the table with that name; the others are recognised by what they look like.
"""

from __future__ import annotations

import glob
import re
from pathlib import Path
from typing import Final

from edgerd.cameras.protocol import Camera, UnreadablePictureError
from edgerd.tables import load

CAMERAS: Final = {
    "device": "edgerd.cameras.opencv:DeviceCamera",
    "rtsp": "edgerd.cameras.opencv:StreamCamera",
    "rtsps": "edgerd.cameras.opencv:StreamCamera",
    "http": "edgerd.cameras.opencv:StreamCamera",
    "https": "edgerd.cameras.opencv:StreamCamera",
    "csi": "edgerd.cameras.gstreamer:CsiCamera",
    "gst": "edgerd.cameras.gstreamer:GStreamerCamera",
    "video": "edgerd.cameras.opencv:VideoFile",
    "files": "edgerd.cameras.files:FilesCamera",
    "sample": "edgerd.cameras.sample:SampleCamera",
}
"""Name, which is also the scheme of the URI, to "module:Class"; the class is called with the URI."""

__all__ = ["CAMERAS", "Camera", "UnreadablePictureError", "camera_kind", "open_camera"]


def open_camera(uri: str) -> Camera:
    """Open what a URI names.

    Args:
        uri: See the module's docstring.

    Raises:
        InputError: The URI means nothing, or names a folder or glob without pictures.
        CameraError: The device, stream or video does not open.
    """
    camera: Camera = load(CAMERAS, camera_kind(uri), "camera")(uri)
    return camera


def camera_kind(uri: str) -> str:
    """The name under which `CAMERAS` has the camera of a URI; opens nothing."""
    scheme, separator, _ = uri.partition("://")
    if separator:
        return scheme.lower()
    if uri.isdecimal() or re.fullmatch(r"/dev/video\d+", uri):
        return "device"
    # Here, because it brings OpenCV, and a list of the table's names should not.
    from edgerd.data.pictures import PICTURE_SUFFIXES

    path = Path(uri)
    if path.is_dir() or path.suffix.lower() in PICTURE_SUFFIXES or (glob.has_magic(uri) and not path.exists()):
        return "files"
    return "video"
