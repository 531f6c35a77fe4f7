"""The preprocessing kernels, compiled for the host, against `edgerd.data.preprocess`."""

import ctypes
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, reject, settings
from hypothesis import strategies as st

from edgerd.bundle.manifest import PreprocessSpec, RegionSpec, TileSpec
from edgerd.cuda.kernels import cubins
from edgerd.cuda.kernels.plan import READ_SLACK, FrameLayout, plan_launch
from edgerd.data.aspect import PADDING_BGR, inside_box, is_picture
from edgerd.data.preprocess import bgr_from_frame, prepare, tile_boxes
from edgerd.errors import SpecError
from edgerd.types import Box, Frame, PixelFormat

EMULATED_NVCC = Path(__file__).parents[1] / "emulation" / "bin" / "nvcc"
SOURCE = Path(cubins.__file__).with_name("preprocess.cu")
PER_PIXEL = {PixelFormat.BGR: 3, PixelFormat.GREY: 1, PixelFormat.NV12: 1, PixelFormat.YUYV: 2}
BESIDE_PADDING = (PADDING_BGR[0] + 1, *PADDING_BGR[1:])
SHRINKING, ENLARGING, MIXED, INTEGER = "shrinking", "enlarging", "mixed", "integer factors"


class Entry(ctypes.Structure):
    """A kernel in the library that the emulation's nvcc makes; see `Entries` in cuda_host.h."""

    _fields_ = (("run", ctypes.c_void_p), ("pack", ctypes.c_void_p), ("argument_bytes", ctypes.c_size_t))


@pytest.fixture(scope="module")
def kernels(tmp_path_factory):
    library = tmp_path_factory.mktemp("kernels") / "kernels.so"
    subprocess.run([sys.executable, EMULATED_NVCC, "-cubin", "-arch=sm_87", "-o", library, SOURCE], check=True)
    return ctypes.CDLL(str(library))


def launch(kernels, plan, source, tiles):
    entry = Entry.in_dll(kernels, f"emulated_{plan.kernel}")
    arguments = plan.parameters(source.ctypes.data, tiles.ctypes.data, plan.taps.ctypes.data)
    assert entry.argument_bytes == len(arguments)
    run = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_char_p)(entry.run)
    run((ctypes.c_uint * 3)(*plan.grid), (ctypes.c_uint * 3)(*plan.block), arguments)


def in_memory(frames, pitch):
    """The frames as they lie on a device: at a multiple of 16 bytes, rows `pitch` bytes apart, slack behind them."""
    n, rows, row_bytes = frames.shape[0], frames.shape[1], frames[0, 0].nbytes
    memory = np.full(n * rows * pitch + READ_SLACK + 16, 255, np.uint8)
    memory = memory[-memory.ctypes.data % 16 :]
    memory[: n * rows * pitch].reshape(n, rows, pitch)[..., :row_bytes] = frames.reshape(n, rows, row_bytes)
    return memory


def on_gpu(kernels, frames, pixel_format, spec, pitch=0):
    """uint8 (cameras * tiles, H, W, 3) from frames (cameras, ...), and the plan that made it."""
    height = frames.shape[1] * 2 // 3 if pixel_format is PixelFormat.NV12 else frames.shape[1]
    layout = FrameLayout(pixel_format, height, frames.shape[2], pitch)
    plan = plan_launch(layout, spec, len(frames))
    guard = 64
    memory = np.full(guard + int(np.prod(plan.output_shape)) + guard, 77, np.uint8)
    tiles = memory[guard:-guard].reshape(plan.output_shape)
    launch(kernels, plan, in_memory(frames, layout.pitch), tiles)
    assert (memory[:guard] == 77).all()
    assert (memory[-guard:] == 77).all()
    return tiles, plan


def on_cpu(frames, pixel_format, spec):
    return np.concatenate([prepare(bgr_from_frame(Frame(frame, pixel_format), spec), spec) for frame in frames])


def random_frames(pixel_format, height, width, seed, cameras=1):
    shape = {
        PixelFormat.BGR: (height, width, 3),
        PixelFormat.GREY: (height, width),
        PixelFormat.NV12: (height * 3 // 2, width),
        PixelFormat.YUYV: (height, width, 2),
    }[pixel_format]
    rng = np.random.default_rng(seed)
    frames = rng.integers(0, 256, (cameras, *shape), np.uint8)
    return np.where(frames > 127, 255, 0).astype(np.uint8) if seed % 4 == 0 else frames


@st.composite
def cases(draw):
    """A spec, the size of a frame that it fits, cameras, bytes added to a row, and a seed."""
    height, width = (32 * draw(st.integers(1, 5)) for _ in range(2))
    kind = draw(st.sampled_from([SHRINKING, ENLARGING, MIXED, INTEGER]))
    sides = {
        SHRINKING: lambda side: st.integers(side + 1, 5 * side),
        ENLARGING: lambda side: st.integers(2, side),
        MIXED: lambda side: st.integers(2, 3 * side),
        INTEGER: lambda side: st.integers(1, 4).map(lambda factor: factor * side),
    }[kind]
    frame_height, frame_width = (draw(sides(side)) // 2 * 2 for side in (height, width))
    region = None
    if draw(st.booleans()):
        x, y = draw(st.integers(0, frame_width - 1)), draw(st.integers(0, frame_height - 1))
        size = draw(st.integers(1, frame_width - x)), draw(st.integers(1, frame_height - y))
        region = RegionSpec(x=x, y=y, width=size[0], height=size[1])
    area = region or RegionSpec(x=0, y=0, width=frame_width, height=frame_height)
    fits_tiles = min(area.width, area.height) >= 12 and draw(st.booleans())
    spec = PreprocessSpec(
        height=height,
        width=width,
        region=region,
        tiles=TileSpec(
            rows=draw(st.integers(1, 3)) if fits_tiles else 1,
            columns=draw(st.integers(1, 3)) if fits_tiles else 1,
            overlap=draw(st.sampled_from([0.0, 0.1, 0.5])) if fits_tiles else 0.0,
        ),
        colour_standard=draw(st.sampled_from(["bt601", "bt709"])),
        colour_range=draw(st.sampled_from(["limited", "full"])),
        aspect=draw(st.sampled_from(["stretch", "crop", "letterbox"])),
    )
    try:
        tile_boxes(frame_height, frame_width, spec)
    except SpecError:  # what crop leaves is too small for the tiles
        reject()
    gap = draw(st.sampled_from([0, 0, 1, 16, 48]))
    return spec, frame_height, frame_width, draw(st.integers(1, 2)), gap, draw(st.integers(0, 999))


def largest_difference(kernels, pixel_format, case):
    spec, height, width, cameras, gap, seed = case
    frames = random_frames(pixel_format, height, width, seed, cameras)
    row_bytes = width * PER_PIXEL[pixel_format]
    # a gap of a multiple of 16 goes with rows that are one too: the aligned kernels
    pitch = -(-row_bytes // 16) * 16 + gap if gap % 16 == 0 and gap else row_bytes + gap
    got, _ = on_gpu(kernels, frames, pixel_format, spec, pitch)
    wanted = on_cpu(frames, pixel_format, spec)
    difference = np.abs(got.astype(int) - wanted)
    if spec.aspect == "letterbox":
        assert np.array_equal(is_picture(got), is_picture(wanted))
        # a pixel that only one of them had to keep from the padding's colour may differ by one more
        difference[(got == BESIDE_PADDING).all(-1) | (wanted == BESIDE_PADDING).all(-1)] -= 1
    return difference.max()


@pytest.mark.parametrize("pixel_format", PixelFormat)
def test_it_agrees_with_the_cpu_to_1_of_255(kernels, pixel_format):
    @settings(max_examples=200, deadline=None)
    @given(case=cases())
    def holds(case):
        assert largest_difference(kernels, pixel_format, case) <= 1

    holds()


SIZES = {
    # frame height, width, graph height, width, part of the pixels that may differ
    "1080p": (1080, 1920, 256, 256, 1e-4),
    "VGA": (480, 640, 256, 256, 1e-4),
    "integer factors": (768, 1024, 256, 256, 0),
    "halved": (512, 512, 256, 256, 0),
    "by 4 and 2": (128, 512, 64, 128, 0),
    "one pixel less": (257, 257, 256, 256, 1e-4),
    "the same size": (64, 96, 64, 96, 0),
    "enlarged": (100, 70, 256, 256, 0),
    "shrunk one way": (600, 100, 256, 256, 0),
    "one side the same": (64, 300, 64, 96, 0),
    "a row of pixels": (2, 2000, 64, 64, 0),
    "very large factors": (64 * 200, 50, 64, 32, 1e-3),
    "half sums": (192, 128, 128, 64, 0.05),  # many averages end in .5, where OpenCV's own rounding errors decide
}


@pytest.mark.parametrize("pixel_format", [PixelFormat.BGR, PixelFormat.GREY])
@pytest.mark.parametrize("size", SIZES)
def test_few_pixels_differ_at_all(kernels, size, pixel_format):
    height, width, graph_height, graph_width, part = SIZES[size]
    spec = PreprocessSpec(height=graph_height, width=graph_width)
    frames = random_frames(pixel_format, height, width, seed=1)
    got, _ = on_gpu(kernels, frames, pixel_format, spec)
    difference = np.abs(got.astype(int) - on_cpu(frames, pixel_format, spec))
    assert difference.max() <= 1
    assert (difference > 0).mean() <= part


@pytest.mark.parametrize("value", [0, 1, 127, 254, 255])
@pytest.mark.parametrize("size", SIZES)
def test_a_flat_picture_stays_flat(kernels, size, value):
    height, width, graph_height, graph_width, _ = SIZES[size]
    frames = np.full((1, height, width, 3), value, np.uint8)
    got, _ = on_gpu(kernels, frames, PixelFormat.BGR, PreprocessSpec(height=graph_height, width=graph_width))
    assert (got == value).all()


def test_what_lies_beside_the_region_is_not_seen(kernels):
    frames = random_frames(PixelFormat.BGR, 300, 400, seed=2)
    spec = PreprocessSpec(height=64, width=64, region=RegionSpec(x=37, y=41, width=211, height=173))
    before, _ = on_gpu(kernels, frames, PixelFormat.BGR, spec)
    inside = frames[:, 41 : 41 + 173, 37 : 37 + 211].copy()
    frames[:] = 0
    frames[:, 41 : 41 + 173, 37 : 37 + 211] = inside
    after, _ = on_gpu(kernels, frames, PixelFormat.BGR, spec)
    assert np.array_equal(before, after)


@pytest.mark.parametrize("size", [(90, 640), (640, 90), (20, 64), (64, 20)])
def test_pixels_of_the_paddings_colour_stay_apart_from_the_padding(kernels, size):
    spec = PreprocessSpec(height=128, width=160, aspect="letterbox")
    frames = np.full((2, *size, 3), PADDING_BGR, np.uint8)
    got, _ = on_gpu(kernels, frames, PixelFormat.BGR, spec)
    box = inside_box(Box(0, 0, size[1], size[0]), spec)
    expected = np.broadcast_to(np.array(PADDING_BGR, np.uint8), got.shape).copy()
    expected[:, box.y : box.y + box.height, box.x : box.x + box.width] = BESIDE_PADDING
    assert np.array_equal(got, expected)


@pytest.mark.parametrize(("height", "width"), [(720, 1280), (1280, 720), (40, 100), (256, 256)])
@pytest.mark.parametrize("pixel_format", PixelFormat)
def test_a_letterboxed_picture_is_padded_as_on_the_cpu(kernels, pixel_format, height, width):
    spec = PreprocessSpec(aspect="letterbox")
    frames = random_frames(pixel_format, height, width, seed=1)
    got, _ = on_gpu(kernels, frames, pixel_format, spec)
    wanted = on_cpu(frames, pixel_format, spec)
    assert np.array_equal(is_picture(got), is_picture(wanted))
    assert is_picture(got).mean() == pytest.approx(min(height, width) / max(height, width), abs=1 / 256)
    assert np.abs(got.astype(int) - wanted).max() <= 1


def test_many_tiles_of_several_cameras(kernels):
    spec = PreprocessSpec(height=32, width=32, tiles=TileSpec(rows=4, columns=5, overlap=0.25))
    frames = random_frames(PixelFormat.YUYV, 300, 430, seed=3, cameras=3)
    got, plan = on_gpu(kernels, frames, PixelFormat.YUYV, spec)
    assert plan.output_shape == (60, 32, 32, 3)
    assert np.abs(got.astype(int) - on_cpu(frames, PixelFormat.YUYV, spec)).max() <= 1


class TestPlan:
    @pytest.mark.parametrize(
        ("pixel_format", "width", "pitch", "kernel"),
        [
            (PixelFormat.BGR, 1920, 0, "area_bgr"),
            (PixelFormat.BGR, 1366, 0, "area_bgr_unaligned"),
            (PixelFormat.BGR, 1366, 4112, "area_bgr"),
            (PixelFormat.GREY, 1080, 0, "area_grey_unaligned"),
            (PixelFormat.NV12, 1920, 0, "area_nv12"),
            (PixelFormat.YUYV, 1928, 0, "area_yuyv"),
            (PixelFormat.GREY, 200, 0, "linear_grey"),
        ],
    )
    def test_the_kernel_follows_size_and_alignment(self, pixel_format, width, pitch, kernel):
        plan = plan_launch(FrameLayout(pixel_format, 1080, width, pitch), PreprocessSpec())
        assert plan.kernel == kernel

    @given(
        height=st.integers(257, 9000),
        width=st.integers(257, 9000),
        pixel_format=st.sampled_from(PixelFormat),
    )
    @example(height=256 * 256 // 2, width=256 * 100, pixel_format=PixelFormat.NV12)
    def test_a_segment_fits_the_threads_of_a_block(self, height, width, pixel_format):
        width += width % 2
        plan = plan_launch(FrameLayout(pixel_format, height, width), PreprocessSpec())
        segment = -(-256 // plan.grid[0])
        channels, columns = (1, 16) if pixel_format is PixelFormat.GREY else (3, 24)
        columns = 16 if pixel_format is PixelFormat.BGR else columns
        for first in range(0, 256, segment):
            begin = first * width // 256 * channels
            end = -(-min(first + segment, 256) * width // 256) * channels
            assert (end - 1) // columns - begin // columns + 1 <= plan.block[0]

    @pytest.mark.parametrize(("height", "width"), [(257 * 32, 64), (64, 257 * 32), (64, 40_000)])
    def test_a_frame_that_is_too_large_is_named(self, height, width):
        with pytest.raises(SpecError, match=f"{width}x{height}"):
            plan_launch(FrameLayout(PixelFormat.BGR, height, width), PreprocessSpec(height=32, width=32))

    def test_a_region_outside_the_frame_is_named(self):
        spec = PreprocessSpec(region=RegionSpec(x=0, y=0, width=700, height=10))
        with pytest.raises(SpecError, match="leaves the frame"):
            plan_launch(FrameLayout(PixelFormat.BGR, 480, 640), spec)

    def test_an_address_that_would_lose_the_device_is_refused(self):
        plan = plan_launch(FrameLayout(PixelFormat.BGR, 480, 640), PreprocessSpec())
        with pytest.raises(ValueError, match="multiple of 16 bytes, not at 0x1008"):
            plan.parameters(0x1008, 0, 0)
