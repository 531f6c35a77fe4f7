"""The parameters that the preprocessing kernels are launched with. This needs no GPU: it only computes numbers.

The kernels and their parameters are described at the top of `preprocess.cu`; `_PARAMETERS` is its struct `Preprocess`.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd, prod

import numpy as np
import numpy.typing as npt

from edgerd.bundle.manifest import PreprocessSpec
from edgerd.data.aspect import PADDING_BGR, inside_box
from edgerd.data.preprocess import tile_boxes, yuv_to_bgr
from edgerd.errors import SpecError
from edgerd.types import Box, PixelFormat

READ_SLACK = 32
"""Bytes behind the last frame that must be readable, because a thread loads whole chunks."""

_THREADS = 128
_MAX_FACTOR = 256
"""A side may shrink at most so many times: at most 255 rows are then covered in full, whose sums fit 16 bits, and a
block still covers at least one output pixel."""
_MAX_TILES = 65535
"""CUDA's limit of blocks along z."""
_MAX_SIDE = 32768
"""Longest side of a frame in pixels: sums of a region would not fit 32 bits beyond."""
_CHUNK_COLUMNS = {PixelFormat.BGR: 16, PixelFormat.GREY: 16, PixelFormat.NV12: 24, PixelFormat.YUYV: 24}
"""Values of a BGR (or grey) row that a thread computes from one chunk that it loads."""

_INTS = (
    *("pitch", "frame_height", "left", "top", "region_width", "region_height"),
    *("rows", "columns", "tile_width", "tile_height", "width", "height"),
    *("row_parts", "column_parts", "graph_width", "graph_height", "inside_left", "inside_top", "padding"),
    *("segment", "half_up"),
)
_COLOUR_INTS = ("luma", "blue_u", "green_u", "green_v", "red_v", "blue", "green", "red")
_PARAMETERS = np.dtype(
    [("source", "u8"), ("tiles", "u8"), ("taps", "u8"), ("frame_stride", "i8")]
    + [(name, "i4") for name in _INTS]
    + [("scale", "f4")]
    + [(name, "i4") for name in _COLOUR_INTS],
    align=True,
)


@dataclass(frozen=True, slots=True)
class FrameLayout:
    """The layout of frames in memory.

    Attributes:
        pixel_format: The pixel format.
        height: Rows of the picture; for NV12, rows of luma.
        width: Columns of the picture.
        pitch: Bytes from row to row; 0 where rows follow each other without a gap.
        stride: Bytes from one camera's frame to the next one's; 0 where they follow each other without a gap.
    """

    pixel_format: PixelFormat
    height: int
    width: int
    pitch: int = 0
    stride: int = 0

    def __post_init__(self) -> None:
        rows, columns, *channels = self.shape
        object.__setattr__(self, "pitch", self.pitch or columns * prod(channels))
        object.__setattr__(self, "stride", self.stride or rows * self.pitch)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of a frame's data without gaps, uint8."""
        return self.pixel_format.shape(self.height, self.width)


@dataclass(frozen=True, slots=True, eq=False)
class LaunchPlan:
    """One launch: the kernel, its grid, and its parameters except the addresses.

    Attributes:
        kernel: Name of the kernel in `preprocess.cu`.
        grid: Blocks along x, y, z.
        block: Threads along x, y, z.
        taps: int32 (w + h, 4), C-contiguous: first and last source pixel of each output column, then row, and the
            weights of these two; for `linear` kernels in 1/2048. The output is that of a tile without padding, w x h.
        output_shape: Shape of the output, (cameras * tiles, H, W, 3) uint8.
    """

    kernel: str
    grid: tuple[int, int, int]
    block: tuple[int, int, int]
    taps: npt.NDArray[np.int32]
    output_shape: tuple[int, int, int, int]
    _values: dict[str, float]

    def parameters(self, source: int, tiles: int, taps: int) -> bytes:
        """The bytes of the kernel's only argument, the struct `Preprocess`.

        Args:
            source: Device address of the first frame, a multiple of 16, readable to `READ_SLACK` bytes behind the
                last one.
            tiles: Device address of the output.
            taps: Device address of `taps`, a multiple of 16.

        Raises:
            ValueError: An address is no multiple of 16; the first load would then be an error that loses the device.
        """
        for name, address in (("frames", source), ("taps", taps)):
            if address % 16:
                raise ValueError(f"{name} must lie at a multiple of 16 bytes, not at {address:#x}")
        record = np.zeros((), _PARAMETERS)
        for name, value in {**self._values, "source": source, "tiles": tiles, "taps": taps}.items():
            record[name] = value
        return record.tobytes()


def plan_launch(layout: FrameLayout, spec: PreprocessSpec, cameras: int = 1) -> LaunchPlan:
    """Choose a kernel and its parameters.

    Args:
        layout: The layout of the frames in memory.
        spec: The preprocessing.
        cameras: Frames per launch.

    Raises:
        SpecError: Region or tiles do not fit the frame, a side shrinks by more than 256, or the tiles are too many for
            one launch.
    """
    boxes = tile_boxes(layout.height, layout.width, spec)
    tile_height, tile_width = boxes[0].height, boxes[0].width
    inside = inside_box(boxes[0], spec)
    _check_size(layout, inside, tile_height, tile_width)
    n = cameras * len(boxes)
    if n > _MAX_TILES:
        raise SpecError(
            f"{cameras} cameras with {spec.tiles} tiles are {n} pictures for the GPU to make at once.",
            expected=f"at most {_MAX_TILES}",
            hint="Use fewer tiles, or fewer cameras per launch.",
        )
    row_span, row_parts = _reduced(tile_height, inside.height)
    column_span, column_parts = _reduced(tile_width, inside.width)
    shrinks = tile_height > inside.height and tile_width > inside.width
    segments, segment = _segments(layout.pixel_format, inside.width, column_span / column_parts)
    values = {
        "frame_stride": layout.stride,
        "pitch": layout.pitch,
        "frame_height": layout.height,
        "left": boxes[0].x,
        "top": boxes[0].y,
        "region_width": boxes[-1].x + boxes[-1].width - boxes[0].x,
        "region_height": boxes[-1].y + boxes[-1].height - boxes[0].y,
        "rows": spec.tiles.rows,
        "columns": spec.tiles.columns,
        "tile_width": tile_width,
        "tile_height": tile_height,
        "width": inside.width,
        "height": inside.height,
        "row_parts": row_parts,
        "column_parts": column_parts,
        "graph_width": spec.width,
        "graph_height": spec.height,
        "inside_left": inside.x,
        "inside_top": inside.y,
        "padding": _packed(PADDING_BGR) if spec.aspect == "letterbox" else -1,
        "segment": segment,
        "half_up": int((row_span, row_parts, column_span, column_parts) == (2, 1, 2, 1)),
        "scale": 1 / (row_span * column_span),
        **_colour_weights(spec),
    }
    return LaunchPlan(
        kernel=_kernel(layout, shrinks),
        grid=(segments if shrinks else -(-inside.width // _THREADS), spec.height, n),
        block=(_THREADS, 1, 1),
        taps=_area_taps(boxes[0], inside) if shrinks else _linear_taps(boxes[0], inside),
        output_shape=(n, spec.height, spec.width, 3),
        _values=values,
    )


def _packed(bgr: tuple[int, int, int]) -> int:
    """A colour as the kernel compares it, blue in the lowest byte."""
    blue, green, red = bgr
    return blue | green << 8 | red << 16


def _check_size(layout: FrameLayout, inside: Box, tile_height: int, tile_width: int) -> None:
    factor = max(tile_height / inside.height, tile_width / inside.width)
    if factor <= _MAX_FACTOR and max(layout.height, layout.width) <= _MAX_SIDE:
        return
    raise SpecError(
        f"The GPU cannot shrink tiles of {tile_width}x{tile_height} pixels, of a frame of "
        f"{layout.width}x{layout.height}, to {inside.width}x{inside.height}.",
        expected=f"frames of at most {_MAX_SIDE} pixels a side that shrink at most {_MAX_FACTOR} times",
        hint="Train with more --tiles, or a smaller --region.",
    )


def _kernel(layout: FrameLayout, shrinks: bool) -> str:
    """The kernel's name. Only `area` kernels depend on alignment: `linear` ones read single bytes."""
    if not shrinks:
        return f"linear_{layout.pixel_format.value}"
    is_aligned = layout.pitch % 16 == 0 and layout.stride % 16 == 0
    return f"area_{layout.pixel_format.value}" + ("" if is_aligned else "_unaligned")


def _reduced(side: int, graph_side: int) -> tuple[int, int]:
    divisor = gcd(side, graph_side)
    return side // divisor, graph_side // divisor


def _segments(pixel_format: PixelFormat, width: int, factor: float) -> tuple[int, int]:
    """Blocks per output row, and output columns per block: as many as one stride of source bytes covers."""
    channels = 1 if pixel_format is PixelFormat.GREY else 3
    # A segment may begin and end in the middle of a chunk and of a pixel, hence one chunk and two pixels less.
    pixels = (_THREADS - 1) * _CHUNK_COLUMNS[pixel_format] // channels - 2
    segments = -(-width // max(int(pixels / factor), 1))
    segment = -(-width // segments)
    return -(-width // segment), segment


def _area_taps(tile: Box, inside: Box) -> npt.NDArray[np.int32]:
    return np.concatenate([_area_axis(tile.width, inside.width), _area_axis(tile.height, inside.height)])


def _area_axis(side: int, graph_side: int) -> npt.NDArray[np.int32]:
    """First and last source pixel that each output pixel covers, and how many parts of them: int32 (graph_side, 4)."""
    span, parts = _reduced(side, graph_side)
    begin = np.arange(graph_side) * span
    end = begin + span
    first, last = begin // parts, (end - 1) // parts
    return np.stack([first, last, (first + 1) * parts - begin, end - last * parts], axis=1).astype(np.int32)


def _linear_taps(tile: Box, inside: Box) -> npt.NDArray[np.int32]:
    columns = _linear_axis(tile.width, inside.width)
    at_edge = columns[:, 0] == columns[:, 1]
    columns[at_edge, 2:] = 2048, 0
    return np.concatenate([columns, _linear_axis(tile.height, inside.height)])


def _linear_axis(side: int, graph_side: int) -> npt.NDArray[np.int32]:
    """Source pixels and weights of each output pixel, as OpenCV computes them (imgproc/src/resize.cpp, `resize`)."""
    centres = ((np.arange(graph_side) + 0.5) * (1 / (graph_side / side)) - 0.5).astype(np.float32)
    first = np.floor(centres)
    weights = np.rint((centres - first) * np.float32(2048))
    neighbours = np.clip(np.stack([first, first + 1]), 0, side - 1)
    return np.stack([*neighbours, 2048 - weights, weights], axis=1).astype(np.int32)


def _colour_weights(spec: PreprocessSpec) -> dict[str, int]:
    """`yuv_to_bgr` in 1/1024, rounded as OpenCV's transform of 8-bit pixels does (core/src/matmul.simd.hpp)."""
    matrix = np.rint(yuv_to_bgr(spec.colour_standard, spec.colour_range).astype(np.float32) * 1024).astype(int)
    return {
        "luma": int(matrix[0, 0]),
        "blue_u": int(matrix[0, 1]),
        "green_u": int(matrix[1, 1]),
        "green_v": int(matrix[1, 2]),
        "red_v": int(matrix[2, 2]),
        **{name: int(matrix[row, 3]) + 512 for row, name in enumerate(("blue", "green", "red"))},
    }
