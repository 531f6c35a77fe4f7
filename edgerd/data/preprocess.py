"""The one preprocessing: frame -> BGR -> region -> tiles -> resize to (H, W), for training and for every runtime.

1. **BGR.** `bgr` is taken as it is. `grey` is repeated in three channels; the spec's colour range is not applied to it.
   `nv12` and `yuyv`, with Kr, Kb = 0.299, 0.114 (ITU-R BT.601) or 0.2126, 0.0722 (BT.709) and Kg = 1 - Kr - Kb:

       limited:  y = (Y - 16) 255/219,  u = (U - 128) 255/224,  v = (V - 128) 255/224
       full:     y = Y,                 u = U - 128,            v = V - 128
       R = y + 2 (1 - Kr) v
       G = y - 2 Kb (1 - Kb)/Kg u - 2 Kr (1 - Kr)/Kg v
       B = y + 2 (1 - Kb) u

   rounded and clipped to 0..255; a chroma sample stands for its 2x2 (nv12) or 2x1 (yuyv) pixels. OpenCV's weights have
   ten fractional bits, so a value may be 1 off.
2. **Region.** Cropped, in pixels of the frame; the whole frame where the spec has none. With aspect `crop` only its
   centre counts, so that tiles have the graph's aspect ratio.
3. **Tiles.** The region is cut into a grid of equal tiles, which may overlap (`tile_boxes`).
4. **Resize** of each tile to (H, W), or with aspect `letterbox` to the largest size in it that has the tile's aspect
   ratio: the average over the covered area where both its width and its height shrink, else bilinear on both axes with
   pixel centres at half integers (OpenCV's INTER_AREA, which `area_average` gives in less time to within 1 of 255, and
   INTER_LINEAR); a copy where none changes.
5. **Padding** around it with aspect `letterbox`, in a colour that no pixel of the picture has (`edgerd.data.aspect`).

A CUDA kernel that does the same must agree with this module to within 1 of 255; to within 2 where one of them had to
change a pixel because it came to have the padding's colour.
"""

from __future__ import annotations

from fractions import Fraction
from functools import cache

import cv2
import numpy as np
import numpy.typing as npt
from pydantic import ValidationError

from edgerd.bundle.manifest import PreprocessSpec, RegionSpec, TileSpec
from edgerd.data.area import area_average
from edgerd.data.aspect import PADDING_BGR, inside_box, keep_from_padding, shown_region
from edgerd.errors import SpecError
from edgerd.types import BoolArray, Box, Frame, PixelFormat, UInt8Array

_LUMA_WEIGHTS = {"bt601": (0.299, 0.114), "bt709": (0.2126, 0.0722)}
"""Kr and Kb."""
_STRIP_ROWS = 64


def bgr_from_frame(frame: Frame, spec: PreprocessSpec) -> UInt8Array:
    """Convert a frame to BGR.

    Args:
        frame: In any of the pixel formats.
        spec: Says the colour standard and range of YUV formats.

    Returns:
        uint8 (h, w, 3); for a BGR frame its own data, not a copy.

    Raises:
        SpecError: The data has another dtype or shape than its pixel format.
    """
    check_layout(frame)
    data, pixel_format = frame.data, frame.pixel_format
    if pixel_format is PixelFormat.BGR:
        return data
    if pixel_format is PixelFormat.GREY:
        return np.asarray(cv2.cvtColor(data, cv2.COLOR_GRAY2BGR), np.uint8)
    return _bgr_from_yuv(data, pixel_format, spec)


def check_layout(frame: Frame) -> None:
    """Refuse a frame whose data is not laid out as its pixel format says.

    Raises:
        SpecError: The data has another dtype or shape.
    """
    data, pixel_format = frame.data, frame.pixel_format
    if not _fits(data, pixel_format):
        raise SpecError(
            f"A {pixel_format.value} frame has {data.dtype} data of shape {data.shape}.",
            expected=_LAYOUTS[pixel_format],
            hint="Set the pixel format that the camera delivers.",
        )


def prepare(bgr: UInt8Array, spec: PreprocessSpec) -> UInt8Array:
    """Cut a picture into tiles of the graph's size.

    Args:
        bgr: uint8 (h, w, 3).
        spec: The preprocessing.

    Returns:
        uint8 (tiles, H, W, 3), C-contiguous, tiles row by row.

    Raises:
        SpecError: Region or tiles do not fit a picture of this size.
    """
    boxes = tile_boxes(bgr.shape[0], bgr.shape[1], spec)
    inside = inside_box(boxes[0], spec)
    tiles = np.empty((len(boxes), spec.height, spec.width, 3), np.uint8)
    if spec.aspect == "letterbox":
        tiles[:] = PADDING_BGR
    for tile, box in zip(tiles, boxes, strict=True):
        shown = _crop(tile, inside)
        _resize(_crop(bgr, box), shown)
        if spec.aspect == "letterbox":
            keep_from_padding(shown)
    return tiles


def _resize(source: UInt8Array, out: UInt8Array) -> None:
    """Scale uint8 (h, w, 3) to the size of `out`, which is written to, as the module's docstring says."""
    height, width = out.shape[:2]
    if source.shape == out.shape:
        out[:] = source
    elif source.shape[0] > height and source.shape[1] > width:
        area_average(source, out)
    else:
        cv2.resize(source, (width, height), dst=out, interpolation=cv2.INTER_LINEAR)


def prepare_mask(mask: BoolArray, spec: PreprocessSpec) -> BoolArray:
    """Cut a mask as `prepare` cuts its picture, resized to the nearest pixel.

    Args:
        mask: bool (h, w), of the picture's size.
        spec: The preprocessing.

    Returns:
        bool (tiles, H, W), or with aspect `letterbox` (tiles, h, w) without the padding: as large as the anomaly map of
        what `inside_box` says.

    Raises:
        SpecError: Region or tiles do not fit.
    """
    boxes = tile_boxes(mask.shape[0], mask.shape[1], spec)
    inside = inside_box(boxes[0], spec)
    tiles = np.empty((len(boxes), inside.height, inside.width), np.uint8)
    for tile, box in zip(tiles, boxes, strict=True):
        source = _crop(mask.view(np.uint8), box)
        cv2.resize(source, (inside.width, inside.height), dst=tile, interpolation=cv2.INTER_NEAREST)
    return tiles.view(np.bool_)


def tile_boxes(frame_height: int, frame_width: int, spec: PreprocessSpec) -> tuple[Box, ...]:
    """Where the tiles lie in the frame.

    Along an axis of L region pixels, n tiles that overlap by a fraction f all have the same whole size

        s = ceil(L / (n - (n - 1) f))

    and tile i starts at floor(i (L - s) / (n - 1)): the first at the region's edge, the last ending at the other one,
    neighbours overlapping by f s pixels (one less or up to three more, by rounding), and every pixel of the region is
    in a tile.

    Args:
        frame_height: Height of the frame in pixels.
        frame_width: Width of the frame in pixels.
        spec: The preprocessing.

    Returns:
        One box per tile in frame pixels, row by row.

    Raises:
        SpecError: The region leaves the frame, or is too small for that many tiles.
    """
    region = spec.region or RegionSpec(x=0, y=0, width=frame_width, height=frame_height)
    if region.x + region.width > frame_width or region.y + region.height > frame_height:
        raise SpecError(
            f"The region {region} (x,y,width,height) leaves the frame of {frame_width}x{frame_height} pixels.",
            expected="a region inside the frame",
            hint="Give pictures of the size the region was made for, or another --region.",
        )
    region = shown_region(region, spec)
    tile_width, lefts = _cut(region.width, spec.tiles.columns, spec.tiles.overlap)
    tile_height, tops = _cut(region.height, spec.tiles.rows, spec.tiles.overlap)
    if len(set(lefts)) < spec.tiles.columns or len(set(tops)) < spec.tiles.rows:
        raise SpecError(
            f"{region.width}x{region.height} pixels are too few for {spec.tiles} tiles.",
            expected="tiles that start at different pixels",
            hint="Use fewer tiles, or less overlap.",
        )
    return tuple(Box(region.x + left, region.y + top, tile_width, tile_height) for top in tops for left in lefts)


def frame_box(tile_box: Box, map_box: Box, spec: PreprocessSpec) -> Box:
    """Map a box of a tile's anomaly map to the frame.

    Args:
        tile_box: Where the tile lies, in frame pixels, as `tile_boxes` gives it.
        map_box: The box to map, in pixels of the tile's anomaly map and inside it. The map is H x W; with aspect
            `letterbox` it is the part of it that shows the picture (`edgerd.data.aspect.inside_box`).
        spec: The preprocessing.

    Returns:
        The smallest box of whole frame pixels that covers it; it lies inside `tile_box`.
    """
    inside = inside_box(tile_box, spec)
    left = map_box.x * tile_box.width // inside.width
    top = map_box.y * tile_box.height // inside.height
    right = -(-(map_box.x + map_box.width) * tile_box.width // inside.width)
    bottom = -(-(map_box.y + map_box.height) * tile_box.height // inside.height)
    return Box(tile_box.x + left, tile_box.y + top, right - left, bottom - top)


def parse_region(text: str) -> RegionSpec:
    """Read a region as the command line writes it.

    Args:
        text: "x,y,width,height" in frame pixels.

    Raises:
        SpecError: It is written otherwise, or is empty.
    """
    try:
        x, y, width, height = (int(number) for number in text.split(","))
        return RegionSpec(x=x, y=y, width=width, height=height)
    except ValueError as error:
        raise SpecError(
            f"The region {text!r} cannot be used{_first_reason(error)}.",
            expected="x,y,width,height in frame pixels, width and height above 0",
            hint="For example: --region 100,50,640,480",
        ) from error


def parse_tiles(text: str) -> TileSpec:
    """Read a tiling as the command line writes it.

    Args:
        text: "ROWSxCOLUMNS" or "ROWSxCOLUMNS:OVERLAP", the overlap a fraction of a tile's size.

    Raises:
        SpecError: It is written otherwise, or out of range.
    """
    grid, colon, overlap = text.partition(":")
    try:
        rows, columns = (int(number) for number in grid.split("x"))
        return TileSpec(rows=rows, columns=columns, overlap=float(overlap) if colon else 0.0)
    except ValueError as error:
        raise SpecError(
            f"The tiling {text!r} cannot be used{_first_reason(error)}.",
            expected="RxC or RxC:overlap, 1 to 32 rows and columns, an overlap from 0 to below 0.9",
            hint="For example: --tiles 2x3:0.1",
        ) from error


def _first_reason(error: ValueError) -> str:
    """The first reason that pydantic gives; "" for other ValueErrors, whose text is about Python."""
    if not isinstance(error, ValidationError):
        return ""
    first = error.errors()[0]
    return f": {first['loc'][0]}: {first['msg']}"


def _cut(length: int, n: int, overlap: float) -> tuple[int, tuple[int, ...]]:
    """Size of the tiles along an axis, and where each of the n begins; a Fraction, since 0.1 is not exact in binary."""
    fraction = Fraction(overlap).limit_denominator(10_000)
    size = -(-length // (n - (n - 1) * fraction))
    return size, tuple(i * (length - size) // max(n - 1, 1) for i in range(n))


def _crop(array: UInt8Array, box: Box) -> UInt8Array:
    return array[box.y : box.y + box.height, box.x : box.x + box.width]


_LAYOUTS = {
    PixelFormat.BGR: "uint8 (h, w, 3)",
    PixelFormat.GREY: "uint8 (h, w)",
    PixelFormat.NV12: "uint8 (h * 3 / 2, w), h and w even",
    PixelFormat.YUYV: "uint8 (h, w, 2), w even",
}


def _fits(data: UInt8Array, pixel_format: PixelFormat) -> bool:
    shape = data.shape
    if data.dtype != np.uint8 or 0 in shape:
        return False
    if pixel_format is PixelFormat.BGR:
        return len(shape) == 3 and shape[2] == 3
    if pixel_format is PixelFormat.GREY:
        return len(shape) == 2
    if pixel_format is PixelFormat.NV12:
        return len(shape) == 2 and shape[0] % 3 == 0 and shape[1] % 2 == 0
    return len(shape) == 3 and shape[2] == 2 and shape[1] % 2 == 0


def _bgr_from_yuv(data: UInt8Array, pixel_format: PixelFormat, spec: PreprocessSpec) -> UInt8Array:
    """Convert strip by strip: intermediate planes then stay in the cache, which is three times as fast."""
    matrix = yuv_to_bgr(spec.colour_standard, spec.colour_range)
    height, width = pixel_format.size(data.shape)
    bgr = np.empty((height, width, 3), np.uint8)
    for top in range(0, height, _STRIP_ROWS):
        strip = bgr[top : top + _STRIP_ROWS]
        bottom = top + len(strip)
        if pixel_format is PixelFormat.NV12:
            luma, chroma = data[top:bottom], data[height + top // 2 : height + bottom // 2]
        else:
            luma, chroma = (np.asarray(plane, np.uint8) for plane in cv2.split(data[top:bottom]))
        pairs = chroma.reshape(len(chroma), width // 2, 2)
        u, v = cv2.split(cv2.resize(pairs, (width, len(strip)), interpolation=cv2.INTER_NEAREST))
        cv2.transform(cv2.merge([luma, u, v]), matrix, dst=strip)
    return bgr


@cache
def yuv_to_bgr(standard: str, colour_range: str) -> npt.NDArray[np.float64]:
    """The formulas at the top of this module as one float64 (3, 4) matrix: BGR = matrix @ (Y, U, V, 1)."""
    kr, kb = _LUMA_WEIGHTS[standard]
    kg = 1 - kr - kb
    weights = np.array(
        [
            [1, 2 * (1 - kb), 0],
            [1, -2 * kb * (1 - kb) / kg, -2 * kr * (1 - kr) / kg],
            [1, 0, 2 * (1 - kr)],
        ]
    )
    limited = colour_range == "limited"
    scale = np.array([255 / 219, 255 / 224, 255 / 224]) if limited else np.ones(3)
    offset = np.array([16.0 if limited else 0.0, 128.0, 128.0])
    weights = weights * scale
    return np.column_stack([weights, -weights @ offset])
