"""What `edgerd.inspection.inputs` does not take for a picture, and how to make one of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from edgerd.errors import PictureError, SpecError

_PICTURES = "a uint8 array (BGR or grey), a path, a PIL picture, a uint8 tensor (RGB or grey) or a Frame"
_LAYOUTS = "one picture: uint8 (h, w, 3), or (h, w) for grey"
_ONE_BY_ONE = "Give them one by one: [inspector.inspect(frame) for frame in frames]"
_WHITE = 255
_WHITE_16_BIT = 65535


def object_error(value: object) -> PictureError:
    """The error about what is no picture at all."""
    if value is None:
        return PictureError(
            "There is no picture: None was given.",
            expected=_PICTURES,
            hint="cap.read() and cv2.imread() give None where they fail: check `ok` of `ok, frame = cap.read()`, or "
            "the path.",
        )
    kind = type(value).__name__
    what = f"An object of type {kind} is not a picture that edgerd knows."
    if isinstance(value, (bytes, bytearray, memoryview)):
        what = f"Bytes ({kind}) are not a picture yet."
        hint = "For the content of a picture file: cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)"
    elif isinstance(value, tuple) and len(value) == 2 and isinstance(value[0], (bool, np.bool_)):
        what = "A flag and a picture were given, as cap.read() returns them."
        hint = "Take them apart: ok, frame = cap.read()"
    elif isinstance(value, (list, tuple, set)) or hasattr(value, "__next__"):
        what, hint = f"Several things ({kind}) were given, not one picture.", _ONE_BY_ONE
    elif hasattr(value, "__array__") or hasattr(value, "__array_interface__"):
        hint = "Make it an array: np.asarray(picture)"
    else:
        hint = "Read a file with cv2.imread(path), or give its path."
    return PictureError(what, expected=_PICTURES, hint=hint)


def values_error(values: npt.NDArray[Any], kind: str, convert: str) -> SpecError:
    """The error about values of another type than uint8; it says how to convert what they seem to be.

    Args:
        values: Numbers, or an array of another kind of objects.
        kind: What people call it: "float32 array".
        convert: How its owner makes uint8 of an expression in `{}`, such as "{}.astype(np.uint8)".
    """
    if not values.size:
        return layout_error(values.shape)
    if values.dtype.kind not in "biuf":
        what, hint = "does not hold grey levels", "Build the array from numbers: np.asarray(rows, np.uint8)"
    else:
        low, high = float(values.min()), float(values.max())
        what = f"has values from {low:.4g} to {high:.4g}"
        hint = _conversion(low, high, convert, is_integer=values.dtype.kind in "iu")
    return SpecError(f"The {kind} {what}.", expected="uint8, 0 for black and 255 for white", hint=hint)


def _conversion(low: float, high: float, convert: str, *, is_integer: bool) -> str:
    """How to make uint8 of values in a range."""
    if not np.isfinite([low, high]).all():
        return "Find where the values come from that are not finite; no score can be found from them."
    if low < 0:
        return (
            "Undo the normalisation first (picture * std + mean); then, where white is 1: "
            f"{convert.format('(picture * 255).round()')}"
        )
    if high <= 1:
        return f"Where white is 1: {convert.format('(picture * 255)' if is_integer else '(picture * 255).round()')}"
    if high <= _WHITE:
        return convert.format("picture" if is_integer else "picture.round()")
    if high <= _WHITE_16_BIT:
        return (
            f"Where white is 65535: {convert.format('(picture / 257).round()')}; for 12 bit divide by 16.06, for 10 "
            "bit by 4.01. Or give the path of the file."
        )
    return f"Scale the values so that white is 255, then: {convert.format('picture.round()')}"


def layout_error(shape: tuple[int, ...]) -> SpecError:
    """The error about uint8 values that are not laid out as a picture is."""
    what = f"uint8 values of shape {tuple(shape)} are not a picture"
    if 0 in shape:
        what, hint = f"The picture is empty: its shape is {tuple(shape)}", "Check where it was cropped."
    elif len(shape) == 4:
        what, hint = f"uint8 values of shape {tuple(shape)} are a batch of {shape[0]}", _ONE_BY_ONE
    elif len(shape) == 3 and 4 in (shape[0], shape[2]):
        what += ": there is a fourth channel, as for transparency"
        hint = (
            "cv2.cvtColor(frame, cv2.COLOR_BGRA2BGR) where it came from OpenCV, COLOR_RGBA2BGR where it came from PIL."
        )
    elif len(shape) == 3 and shape[2] == 2:
        hint = "For YUYV from a camera: Frame(frame, PixelFormat.YUYV)"
    elif len(shape) == 3 and shape[0] in (1, 3):
        what += ": the channels come first"
        hint = "np.transpose(frame, (1, 2, 0)); where the colours are RGB, [..., ::-1] behind it."
    elif len(shape) == 1:
        hint = "For the content of a picture file: cv2.imdecode(frame, cv2.IMREAD_COLOR)"
    else:
        hint = "frame.shape says what there is; leave only rows, columns and three colours."
    return SpecError(f"{what}.", expected=_LAYOUTS, hint=hint)


def mode_error(mode: str) -> SpecError:
    """The error about a PIL picture of another mode than RGB and L."""
    if mode[:1] in "IF":
        hint = "Give the path of its file, which is read with 16 bits; or scale it to uint8 with NumPy."
    else:
        hint = 'picture.convert("RGB")'
        if "A" in mode[1:]:
            hint += "; that drops the transparency, as edgerd does when it reads a file."
    return SpecError(f"The PIL picture is of mode {mode}.", expected="mode RGB, or L for grey", hint=hint)


def rotated_error(orientation: int) -> SpecError:
    """The error about a PIL picture that its EXIF data says is to be turned: read from its file, it would be."""
    return SpecError(
        f"The PIL picture is stored turned or mirrored: its EXIF orientation is {orientation}.",
        expected="one that is upright, as pictures are in training",
        hint="PIL.ImageOps.exif_transpose(picture)",
    )
