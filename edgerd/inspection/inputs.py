"""What people have becomes a frame: arrays, paths, PIL pictures, PyTorch tensors; all else is refused with advice.

| what | how it is understood |
|---|---|
| `Frame` | as it says itself |
| uint8 array (h, w, 3) | BGR, as OpenCV has it |
| uint8 array (h, w) or (h, w, 1) | grey |
| `str`, `Path` | a picture file, read as in training (`edgerd.data.pictures.read_picture`) |
| PIL picture of mode RGB or L | RGB or grey |
| uint8 tensor (3, h, w) or (h, w, 3) | RGB, as torchvision has it; on any device |
| uint8 tensor (h, w), (1, h, w) or (h, w, 1) | grey |

Nothing is scaled or guessed: a part must get the same score whichever way its picture came, and a wrong guess would
change scores without a word. Neither PIL nor torch is imported here; their objects are known by their attributes.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final, Protocol, TypeAlias, cast

import cv2
import numpy as np
import numpy.typing as npt

from edgerd.data.pictures import read_picture
from edgerd.inspection.input_refusals import layout_error, mode_error, object_error, rotated_error, values_error
from edgerd.types import Frame, PixelFormat, UInt8Array

_UINT8: Final = np.dtype(np.uint8)
_EXIF_ORIENTATION: Final = 274
_UPRIGHT: Final = 1


class PilPicture(Protocol):
    """What a `PIL.Image.Image` is known by."""

    @property
    def mode(self) -> str:
        """How its pixels are stored: "RGB", "L", ..."""

    def getexif(self) -> Any:
        """Its EXIF tags, a mapping from their numbers."""


class Tensor(Protocol):
    """What a `torch.Tensor` is known by."""

    def detach(self) -> Any:
        """Give a tensor with the same values, which needs no gradient."""

    def cpu(self) -> Any:
        """Give a tensor with the same values in the memory of the CPU."""


Picture: TypeAlias = Frame | npt.NDArray[Any] | str | os.PathLike[str] | PilPicture | Tensor
"""What `frame_from` takes."""


def frame_from(picture: Picture) -> Frame:
    """Make a frame of a picture in any of the forms in the table at the top of this module.

    Args:
        picture: The picture. The data of an array is not copied.

    Returns:
        A BGR or a grey frame; a `Frame` that was given is returned as it is, and its data is not looked at.

    Raises:
        PictureError: There is no picture (None), it is of a kind that is not known, or its file cannot be read.
        SpecError: It is empty, laid out in another way, has values of another type, or is a batch; the hint says how to
            convert it.
    """
    if type(picture) is np.ndarray and picture.dtype is _UINT8 and picture.ndim == 3 and picture.shape[2] == 3:
        if picture.size:  # a camera's frame: this way must cost next to nothing
            return Frame(picture)
        raise layout_error(picture.shape)
    if isinstance(picture, Frame):
        return picture
    if isinstance(picture, np.ndarray):
        return _frame_from_array(picture)
    if isinstance(picture, (str, os.PathLike)):
        return Frame(read_picture(Path(picture)), source=os.fspath(picture))
    if hasattr(picture, "mode") and hasattr(picture, "getexif"):
        return _frame_from_pil(cast("PilPicture", picture))
    if hasattr(picture, "detach") and hasattr(picture, "cpu"):
        return _frame_from_tensor(picture)
    raise object_error(picture)


def _frame_from_array(array: npt.NDArray[Any]) -> Frame:
    if array.dtype != _UINT8:
        raise values_error(array, f"{array.dtype} array", "{}.astype(np.uint8)")
    shape = array.shape
    if array.size and len(shape) == 3 and shape[2] == 3:
        return Frame(array)
    if array.size and (len(shape) == 2 or (len(shape) == 3 and shape[2] == 1)):
        return _grey(array)
    raise layout_error(shape)


def _frame_from_pil(picture: PilPicture) -> Frame:
    orientation = picture.getexif().get(_EXIF_ORIENTATION, _UPRIGHT)
    if orientation != _UPRIGHT:
        raise rotated_error(orientation)
    if picture.mode not in ("RGB", "L"):
        raise mode_error(picture.mode)
    pixels = np.asarray(picture)
    if not pixels.size:
        raise layout_error(pixels.shape)
    return Frame(pixels, PixelFormat.GREY) if picture.mode == "L" else _bgr(pixels)


def _frame_from_tensor(tensor: Any) -> Frame:
    here = tensor.detach().cpu()
    if str(here.dtype) != "torch.uint8":
        raise values_error(here.double().numpy(), f"{here.dtype} tensor", "{}.to(torch.uint8)")
    values: UInt8Array = here.numpy()
    shape = values.shape
    if not values.size or len(shape) not in (2, 3):
        raise layout_error(shape)
    if len(shape) == 2 or 1 in (shape[0], shape[2]):
        return _grey(values)
    if shape[0] == 3:
        return Frame(np.asarray(cv2.merge([*values[::-1]]), np.uint8))
    if shape[2] == 3:
        return _bgr(values)
    raise layout_error(shape)


def _grey(pixels: UInt8Array) -> Frame:
    """A frame of uint8 (h, w), (h, w, 1) or (1, h, w)."""
    if pixels.ndim == 3:
        pixels = pixels[..., 0] if pixels.shape[2] == 1 else pixels[0]
    return Frame(pixels, PixelFormat.GREY)


def _bgr(rgb: UInt8Array) -> Frame:
    """A BGR frame of uint8 (h, w, 3), RGB."""
    return Frame(np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), np.uint8))
