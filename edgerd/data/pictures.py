"""Pictures on disk and in bundles: read, checked for completeness, as 8-bit BGR.

Whatever a file holds becomes uint8 (h, w, 3), BGR:

- grey is repeated in three channels;
- 16-bit goes to 8-bit by full scale, round(value / 257), so 65535 is white (raw 12-bit values come out dark);
- alpha is dropped: the colours are taken as they are stored, not blended with a background;
- an EXIF orientation is applied, as picture viewers and OpenCV do, to masks too;
- of several pages or animation frames the first counts.

A file that was cut short is an error. Decoders silently fill what is missing with grey, and training would learn half
a part. So the container is checked to its end first, and the picture data of a JPEG as well.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from edgerd.bundle.bundle import Bundle
from edgerd.bundle.manifest import ADDED_FOLDER, PreprocessSpec
from edgerd.data.containers import container_fault
from edgerd.data.jpeg import picture_data_fault
from edgerd.errors import BundleDamagedError, PictureError
from edgerd.storage import storage_errors
from edgerd.types import BoolArray, UInt8Array

PICTURE_SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})
MASK_CUT = 127
"""A mask pixel is defective above this grey level."""

if "OPENCV_LOG_LEVEL" not in os.environ:
    # OpenCV's log would repeat on stderr, per thread, what PictureError and CameraError say once.
    # The call has one name in OpenCV 4.x and another in 5.x; some builds have neither.
    _set_log_level = getattr(cv2, "setLogLevel", None) or getattr(
        getattr(cv2.utils, "logging", None), "setLogLevel", None
    )
    if _set_log_level is not None:
        _set_log_level(0)


def read_picture(path: Path) -> UInt8Array:
    """Read a picture file.

    Args:
        path: PNG, JPEG, BMP, TIFF or WebP; grey or colour, 8 or 16 bit, with or without alpha. Any characters.

    Returns:
        uint8 (h, w, 3), BGR, C-contiguous.

    Raises:
        PictureError: The file cannot be read, is not a picture, was cut short, or has pixels of another kind.
    """
    return _decode(_file_content(path), str(path), cv2.IMREAD_COLOR)


def read_mask(path: Path) -> BoolArray:
    """Read a defect mask.

    Args:
        path: A picture file, white where the part is defective.

    Returns:
        bool (h, w), True where the grey level is above 127.

    Raises:
        PictureError: The file cannot be read, is not a picture or was cut short; or the mask has no pixel above 127
            but some above 0, as one that stores 0 and 1.
    """
    grey = _decode(_file_content(path), str(path), cv2.IMREAD_GRAYSCALE)
    peak = int(grey.max())
    if 0 < peak <= MASK_CUT:
        raise PictureError(
            f"The mask {path} has no pixel above {MASK_CUT}: its largest value is {peak}.",
            expected="0 for good and 255 for defective pixels",
            hint=f"Multiply the masks by {255 // peak} and save them again.",
        )
    return grey > MASK_CUT


def encode_png(array: UInt8Array | BoolArray) -> bytes:
    """Encode a picture as PNG, without loss.

    Args:
        array: uint8 (h, w, 3) BGR, uint8 (h, w) grey, or bool (h, w) written as 0 and 255.
    """
    pixels = array.astype(np.uint8) * 255 if array.dtype == np.bool_ else array.astype(np.uint8, copy=False)
    return cv2.imencode(".png", pixels)[1].tobytes()


def decode_png(content: bytes) -> UInt8Array:
    """Decode a PNG held in memory.

    Returns:
        uint8 (h, w, 3), BGR.

    Raises:
        PictureError: It is not a whole PNG.
    """
    return _decode(content, "A PNG in memory", cv2.IMREAD_COLOR)


def write_png(path: Path, array: UInt8Array | BoolArray) -> None:
    """Write a picture or mask as PNG; folders on the way are made.

    Args:
        path: File to write, replaced if it is there.
        array: uint8 (h, w, 3) BGR, uint8 (h, w) grey, or bool (h, w) written as 0 and 255.

    Raises:
        StorageError: Disk full or no permission.
    """
    content = encode_png(array)
    with storage_errors(path, "Free some space or choose another folder."):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def picture_sha256(tiles: UInt8Array) -> str:
    """The identity of a prepared picture, uint8 (T, H, W, 3), whatever its file is called: SHA-256, 64 hex digits."""
    return hashlib.sha256(tiles.tobytes()).hexdigest()


def added_pictures(pictures: UInt8Array) -> dict[str, bytes]:
    """Good pictures that were added after training, as files of a bundle that are named by a hash of their content.

    Args:
        pictures: uint8 (n, tiles, H, W, 3), BGR, no two alike.

    Returns:
        File name to PNG, one per tile, as `bundle_pictures` gives them.
    """
    return {
        f"{ADDED_FOLDER}{picture_sha256(tiles)[:16]}{_tile_suffix(tile, tiles)}.png": encode_png(picture)
        for tiles in pictures
        for tile, picture in enumerate(tiles)
    }


def _tile_suffix(tile: int, tiles: UInt8Array) -> str:
    return f"_{tile}" if len(tiles) > 1 else ""


def bundle_pictures(kind: str, pictures: UInt8Array) -> dict[str, bytes]:
    """Prepared pictures as files of a bundle, in the order in which its manifest lists them.

    Args:
        kind: "holdout" or "ranges".
        pictures: uint8 (n, tiles, H, W, 3), BGR.

    Returns:
        File name to PNG, one per tile, as `load_bundle_pictures` reads them.
    """
    files = {}
    for index, tiles in enumerate(pictures):
        for tile, picture in enumerate(tiles):
            files[f"pictures/{kind}/{index:04d}{_tile_suffix(tile, tiles)}.png"] = encode_png(picture)
    return files


def load_bundle_pictures(bundle: Bundle, names: Sequence[str], spec: PreprocessSpec) -> UInt8Array:
    """Read prepared pictures out of a bundle, each file verified.

    Args:
        bundle: The bundle.
        names: One PNG per tile, picture by picture, as `Manifest.holdout` and `Manifest.ranges` list them.
        spec: The bundle's preprocessing.

    Returns:
        uint8 (n_pictures, tiles, H, W, 3), BGR.

    Raises:
        BundleDamagedError: A file is missing, changed, or not of the spec's size.
    """
    if len(names) % spec.n_tiles:
        raise BundleDamagedError(
            f"{bundle.path} lists {len(names)} pictures of single tiles.",
            expected=f"a multiple of {spec.n_tiles}, the tiles of one frame",
            hint="Export the bundle again.",
        )
    tiles = np.empty((len(names), spec.height, spec.width, 3), np.uint8)
    for tile, name in zip(tiles, names, strict=True):
        picture = decode_png(bundle.read(name))
        if picture.shape != tile.shape:
            raise BundleDamagedError(
                f"{name} in {bundle.path} is {picture.shape[1]}x{picture.shape[0]} pixels.",
                expected=f"{spec.width}x{spec.height}, the graph's size",
                hint="Export the bundle again.",
            )
        tile[:] = picture
    return tiles.reshape(-1, spec.n_tiles, spec.height, spec.width, 3)


def _file_content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise PictureError(
            f"{path} cannot be read: {error.strerror}.", expected="a picture file", hint="Check the path."
        ) from error


def _decode(content: bytes, name: str, colour: int) -> UInt8Array:
    """Decode to 8 bits; `colour` is IMREAD_COLOR (which drops alpha and applies EXIF) or IMREAD_GRAYSCALE."""
    fault = container_fault(content) or picture_data_fault(content)
    if fault:
        raise PictureError(
            f"{name} is damaged or was cut short: {fault}.",
            expected="a whole file",
            hint="Copy it again, or remove it.",
        )
    try:
        pixels = cv2.imdecode(np.frombuffer(content, np.uint8), colour | cv2.IMREAD_ANYDEPTH)
    except cv2.error as error:
        raise PictureError(
            f"{name} cannot be decoded: {error.err}.", expected="a picture", hint="Save it again, or remove it."
        ) from error
    if pixels is None:
        raise PictureError(
            f"{name} is not a picture, or is damaged.",
            expected="PNG, JPEG, BMP, TIFF or WebP",
            hint="Save it again, or remove it.",
        )
    if pixels.dtype == np.uint16:
        pixels = cv2.convertScaleAbs(pixels, alpha=1 / 257)
    if pixels.dtype != np.uint8:
        raise PictureError(
            f"{name} holds {pixels.dtype} values.",
            expected="8 or 16 bits, unsigned",
            hint="Convert it to 8 bits: which value is white cannot be known.",
        )
    return np.asarray(pixels, np.uint8)
