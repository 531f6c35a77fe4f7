"""The numbers of a launch obey the rules of a GPU: addresses, alignment, ranges of integers, limits."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgerd.bundle.manifest import PreprocessSpec, RegionSpec, TileSpec
from edgerd.cuda.kernels.plan import READ_SLACK, FrameLayout, plan_launch
from edgerd.data.aspect import inside_box
from edgerd.data.preprocess import tile_boxes
from edgerd.errors import SpecError
from edgerd.types import PixelFormat

CHANNELS = {PixelFormat.GREY: 1}
COLUMNS = {PixelFormat.NV12: 24, PixelFormat.YUYV: 24}
CHUNK_BYTES = {PixelFormat.NV12: 8}
PER_PIXEL = {PixelFormat.BGR: 3, PixelFormat.YUYV: 2}


@st.composite
def launches(draw):
    """A layout, a spec whose every tile shrinks, and cameras."""
    pixel_format = draw(st.sampled_from(PixelFormat))
    height, width = (32 * draw(st.integers(1, 16)) for _ in range(2))
    frame_height, frame_width = (2 * draw(st.integers(side, 4 * side)) for side in (height, width))
    region = None
    if draw(st.booleans()):
        x, y = draw(st.integers(0, frame_width // 4)), draw(st.integers(0, frame_height // 4))
        region = RegionSpec(x=x, y=y, width=frame_width - 2 * x, height=frame_height - 2 * y)
    tiles = TileSpec(rows=draw(st.integers(1, 3)), columns=draw(st.integers(1, 3)), overlap=0.1)
    gap = draw(st.sampled_from([0, 1, 8, 16, 40]))
    pitch = frame_width * PER_PIXEL.get(pixel_format, 1) + gap
    if gap == 16:
        pitch = -(-pitch // 16) * 16
    layout = FrameLayout(pixel_format, frame_height, frame_width, pitch)
    aspect = draw(st.sampled_from(["stretch", "crop", "letterbox"]))
    spec = PreprocessSpec(height=height, width=width, region=region, tiles=tiles, aspect=aspect)
    return layout, spec, draw(st.integers(1, 3))


def shown_width(layout, spec):
    """Output columns that are no padding."""
    return inside_box(tile_boxes(layout.height, layout.width, spec)[0], spec).width


def first_and_last_chunks(plan, layout, spec, left):
    """Per block of a row: the chunks of 8 or 16 bytes that its first and its last thread load."""
    channels, columns = CHANNELS.get(layout.pixel_format, 3), COLUMNS.get(layout.pixel_format, 16)
    width = shown_width(layout, spec)
    segment = -(-width // plan.grid[0])
    begin = np.arange(plan.grid[0]) * segment
    assert begin[-1] < width, "a block without an output pixel"
    end = np.minimum(begin + segment, width)
    first = (left + plan.taps[begin, 0]) * channels // columns
    last = ((left + plan.taps[end - 1, 1] + 1) * channels - 1) // columns
    return first, last


def loads(plan, layout, spec, cameras):
    """Addresses of the chunks at the corners of what the blocks load, the first frame lying at 0."""
    chunk_bytes = CHUNK_BYTES.get(layout.pixel_format, 16)
    for box in tile_boxes(layout.height, layout.width, spec):
        chunks = np.concatenate(first_and_last_chunks(plan, layout, spec, box.x))
        rows = box.y + plan.taps[shown_width(layout, spec) :, :2].ravel()
        if layout.pixel_format is PixelFormat.NV12:
            rows = np.concatenate([rows, layout.height + rows // 2])
        addresses = rows[:, None] * layout.pitch + chunks * chunk_bytes
        yield addresses
        yield addresses + (cameras - 1) * layout.stride


@settings(max_examples=150, deadline=None)
@given(launches())
def test_every_load_is_aligned_and_inside_of_the_frames_and_their_slack(launch):
    layout, spec, cameras = launch
    try:
        plan = plan_launch(layout, spec, cameras)
    except SpecError:
        return
    if plan.kernel.startswith("linear"):
        return
    chunk_bytes = CHUNK_BYTES.get(layout.pixel_format, 16)
    for addresses in loads(plan, layout, spec, cameras):
        assert addresses.min() >= 0
        if plan.kernel.endswith("unaligned"):
            end = addresses // 4 * 4 + chunk_bytes + 4  # whole words, one more than the chunk has
        else:
            assert not (addresses % chunk_bytes).any()
            end = addresses + chunk_bytes
        assert end.max() <= cameras * layout.stride + READ_SLACK


@settings(max_examples=300, deadline=None)
@given(
    pixel_format=st.sampled_from(PixelFormat), width=st.integers(300, 4500).map(lambda n: 2 * n), x=st.integers(0, 47)
)
def test_the_threads_of_a_block_cover_its_chunks(pixel_format, width, x):
    spec = PreprocessSpec(region=RegionSpec(x=x, y=0, width=width, height=300))
    layout = FrameLayout(pixel_format, 300, width + 48)
    plan = plan_launch(layout, spec)
    first, last = first_and_last_chunks(plan, layout, spec, x)
    assert (last - first < plan.block[0]).all()


@given(
    graph_side=st.integers(1, 128).map(lambda n: 32 * n),
    factor=st.floats(1, 256),
)
def test_output_pixels_of_an_area_cover_the_source_once_and_sums_fit_their_integers(graph_side, factor):
    side = min(max(int(graph_side * factor), graph_side + 1), 32768)
    if side <= graph_side:
        return
    spec = PreprocessSpec(height=32, width=graph_side)
    plan = plan_launch(FrameLayout(PixelFormat.GREY, 33, side), spec)
    first, last, first_weight, last_weight = plan.taps[:graph_side].astype(np.int64).T
    divisor = np.gcd(side, graph_side)
    span, parts = side // divisor, graph_side // divisor
    assert first[0] == 0
    assert last[-1] == side - 1
    assert (first < last).all()
    between = last - first - 1
    assert (first_weight + last_weight + between * parts == span).all()
    # a pixel that two outputs share is divided between them
    is_shared = last[:-1] == first[1:]
    assert np.array_equal(is_shared, last_weight[:-1] < parts)
    assert (last_weight[:-1] + first_weight[1:] == parts)[is_shared].all()
    assert (first[1:] - last[:-1] == 1)[~is_shared].all()
    # the same table serves the rows: sums of whole rows are 16-bit halves, weights too, a weighed sum has 32 bits
    assert between.max() * 255 < 2**16
    assert max(first_weight.max(), last_weight.max()) < 2**16
    assert span * 255 * (between.max() + 2) < 2**32


def test_a_launch_beyond_the_grid_of_a_gpu_is_refused():
    spec = PreprocessSpec(height=32, width=32, tiles=TileSpec(rows=32, columns=32))
    layout = FrameLayout(PixelFormat.GREY, 2048, 2048)
    assert plan_launch(layout, spec, 63).grid[2] == 63 * 1024
    with pytest.raises(SpecError, match="64 cameras with 32x32 tiles are 65536 pictures"):
        plan_launch(layout, spec, 64)


def test_taps_that_would_lose_the_device_are_refused():
    plan = plan_launch(FrameLayout(PixelFormat.BGR, 480, 640), PreprocessSpec())
    with pytest.raises(ValueError, match="taps must lie at a multiple of 16 bytes"):
        plan.parameters(0x1000, 0, 0x1008)
