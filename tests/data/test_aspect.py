"""Crop and letterbox: what the graph sees of a picture of any shape, and where in the picture that is."""

import hashlib

import cv2
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from prepared_parts import noise, spec_of

from edgerd.bundle.bundle import bundle_id
from edgerd.bundle.manifest import PreprocessSpec, RegionSpec, TileSpec
from edgerd.data.aspect import PADDING_BGR, inside_box, is_picture, picture_box, without_padding
from edgerd.data.preprocess import frame_box, prepare, prepare_mask, tile_boxes
from edgerd.types import Box

sides = st.integers(1, 700)
graphs = st.sampled_from([(64, 96), (96, 64), (64, 64), (32, 256)])
tilings = st.builds(
    TileSpec, rows=st.integers(1, 3), columns=st.integers(1, 3), overlap=st.sampled_from([0.0, 0.1, 0.25, 0.5])
)


def cut(array, box):
    return array[..., box.y : box.y + box.height, box.x : box.x + box.width]


class TestSpec:
    def test_a_bundle_from_before_there_was_an_aspect_keeps_its_id(self):
        before = (
            '{"height":256,"width":256,"region":null,"tiles":{"rows":1,"columns":1,"overlap":0.0},'
            '"colour_standard":"bt601","colour_range":"limited"}'
        )
        assert PreprocessSpec().model_dump_json() == before
        assert PreprocessSpec.model_validate_json(before).aspect == "stretch"
        assert bundle_id("0" * 64, PreprocessSpec()) == hashlib.sha256(f"{'0' * 64}\n{before}".encode()).hexdigest()

    @pytest.mark.parametrize("aspect", ["crop", "letterbox"])
    def test_another_aspect_is_another_bundle(self, aspect):
        spec = PreprocessSpec(aspect=aspect)
        assert PreprocessSpec.model_validate_json(spec.model_dump_json()) == spec
        assert bundle_id("0" * 64, spec) != bundle_id("0" * 64, PreprocessSpec())


class TestLetterbox:
    @given(graphs, sides, sides)
    def test_the_whole_picture_lies_in_the_middle_with_its_own_ratio(self, graph, width, height):
        spec = spec_of(*graph, aspect="letterbox")
        box = inside_box(Box(5, 7, width, height), spec)
        assert box.height == spec.height or box.width == spec.width
        assert 0 <= spec.width - box.width - 2 * box.x <= 1
        assert 0 <= spec.height - box.height - 2 * box.y <= 1
        scale = min(spec.width / width, spec.height / height)
        assert abs(box.width - max(1, width * scale)) <= 0.5 + 1e-9
        assert abs(box.height - max(1, height * scale)) <= 0.5 + 1e-9

    @given(graphs, sides, sides, st.integers(0, 99))
    @settings(deadline=None, max_examples=60)
    def test_the_padding_is_told_from_any_picture(self, graph, width, height, seed):
        spec = spec_of(*graph, aspect="letterbox")
        picture = noise(height, width, 3, seed=seed)
        if seed % 3 == 0:
            picture[:] = PADDING_BGR
        tiles = prepare(picture, spec)
        box = inside_box(Box(0, 0, width, height), spec)
        expected = np.zeros((spec.height, spec.width), bool)
        cut(expected, box)[:] = True
        assert np.array_equal(is_picture(tiles[0]), expected)
        assert picture_box(tiles[0]) == box
        shown = without_padding(tiles, spec)
        assert np.shares_memory(shown, tiles)
        assert np.array_equal(shown[0], tiles[0][box.y : box.y + box.height, box.x : box.x + box.width])

    @pytest.mark.parametrize("size", [(200, 600), (600, 200), (32, 80), (80, 32), (64, 500)])
    def test_the_picture_is_resized_as_always(self, size):
        spec = spec_of(64, 96, aspect="letterbox")
        picture = noise(*size, 3)
        box = inside_box(Box(0, 0, size[1], size[0]), spec)
        shown = without_padding(prepare(picture, spec), spec)[0]
        shrinks = size[0] > box.height and size[1] > box.width
        how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        assert np.array_equal(shown, cv2.resize(picture, (box.width, box.height), interpolation=how))

    def test_a_pixel_of_the_paddings_colour_becomes_one_level_bluer(self):
        picture = noise(64, 96, 3)
        picture[10:12, 20:23] = PADDING_BGR
        expected = picture.copy()
        expected[10:12, 20:23, 0] += 1
        assert np.array_equal(prepare(picture, spec_of(64, 96, aspect="letterbox"))[0], expected)

    def test_each_tile_is_padded_for_itself(self):
        spec = spec_of(64, 64, tiles="2x2", aspect="letterbox")
        tiles = prepare(noise(128, 512, 3), spec)
        assert {picture_box(tile) for tile in tiles} == {Box(0, 24, 64, 16)}

    def test_with_the_graphs_ratio_nothing_is_padded(self):
        picture = noise(640, 960, 3)
        letterboxed, stretched = (prepare(picture, spec_of(64, 96, aspect=how)) for how in ("letterbox", "stretch"))
        assert np.array_equal(letterboxed, stretched)
        assert without_padding(stretched, spec_of()) is stretched


class TestCrop:
    @given(graphs, st.integers(40, 900), st.integers(40, 900), tilings)
    def test_tiles_have_the_graphs_ratio_and_lie_in_the_middle(self, graph, width, height, tiles):
        region = RegionSpec(x=11, y=5, width=width, height=height)
        spec = PreprocessSpec(height=graph[0], width=graph[1], region=region, tiles=tiles, aspect="crop")
        assume(min(width, height) >= 40)
        boxes = tile_boxes(1000, 1000, spec)
        first, last = boxes[0], boxes[-1]
        right, bottom = last.x + last.width, last.y + last.height
        assert right - first.x == width or bottom - first.y == height
        assert 0 <= (11 + width - right) - (first.x - 11) <= 1
        assert 0 <= (5 + height - bottom) - (first.y - 5) <= 1
        # to within a pixel of rounding of the whole, and one of each tile
        for side, other, ratio in (
            (first.width, first.height, spec.width / spec.height),
            (first.height, first.width, spec.height / spec.width),
        ):
            assert side <= 2 + (other + 2) * ratio

    def test_it_is_what_one_would_cut_out_by_hand(self):
        picture = noise(720, 1280, 3)
        cropped = prepare(picture, spec_of(64, 64, aspect="crop"))
        assert np.array_equal(cropped, prepare(picture[:, 280:1000], spec_of(64, 64)))


@st.composite
def pictures(draw):
    """A spec, the size of a picture that it fits, and the rectangle that lies in the picture, inside of one tile."""
    graph, aspect = draw(graphs), draw(st.sampled_from(["stretch", "crop", "letterbox"]))
    width, height = draw(st.integers(40, 600)), draw(st.integers(40, 600))
    spec = PreprocessSpec(height=graph[0], width=graph[1], tiles=draw(tilings), aspect=aspect)
    if draw(st.booleans()):
        region = RegionSpec(x=3, y=9, width=width, height=height)
        spec, width, height = spec.model_copy(update={"region": region}), width + 8, height + 14
    boxes = tile_boxes(height, width, spec)
    tile = draw(st.integers(0, len(boxes) - 1))
    box = boxes[tile]
    x, y = draw(st.integers(0, box.width - 1)), draw(st.integers(0, box.height - 1))
    size = draw(st.integers(1, box.width - x)), draw(st.integers(1, box.height - y))
    return spec, (height, width), tile, Box(box.x + x, box.y + y, *size)


@given(pictures())
@settings(deadline=None, max_examples=150)
def test_what_is_found_in_the_map_is_where_it_was_in_the_picture(case):
    """There and back: a rectangle is drawn, prepared, found in the tile's own pixels, and mapped back to the frame."""
    spec, size, tile, drawn = case
    picture = np.zeros((*size, 3), np.uint8)
    cut(picture[..., 0], drawn)[:] = 255
    box = tile_boxes(*size, spec)[tile]
    shown = without_padding(prepare(picture, spec), spec)[tile, ..., 0] > 0
    assume(shown.any())  # enlarging by bilinear may round a thin line away
    rows, columns = np.flatnonzero(shown.any(1)), np.flatnonzero(shown.any(0))
    found = Box(columns[0], rows[0], columns[-1] + 1 - columns[0], rows[-1] + 1 - rows[0])
    back = frame_box(box, found, spec)
    inside = inside_box(box, spec)
    # what one pixel of the map stands for; and bilinear spreads a pixel of the frame over its neighbours
    for low, length, wanted_low, wanted_length, step in (
        (back.x, back.width, drawn.x, drawn.width, box.width / inside.width),
        (back.y, back.height, drawn.y, drawn.height, box.height / inside.height),
    ):
        assert abs(low - wanted_low) <= step + 2
        assert abs(low + length - wanted_low - wanted_length) <= step + 2


@given(pictures())
@settings(deadline=None, max_examples=60)
def test_a_mask_follows_its_picture(case):
    spec, size, tile, drawn = case
    box = tile_boxes(*size, spec)[tile]
    inside = inside_box(box, spec)
    # two pixels of the map at least: the two ways to resize may miss what is thinner
    assume(drawn.width * inside.width >= 2 * box.width)
    assume(drawn.height * inside.height >= 2 * box.height)
    mask = np.zeros(size, bool)
    cut(mask, drawn)[:] = True
    picture = mask[..., None].repeat(3, axis=2).astype(np.uint8) * 255
    shown = without_padding(prepare(picture, spec), spec)[..., 0] > 0
    masks = prepare_mask(mask, spec)
    assert masks.shape == shown.shape
    assert masks[tile].any()
    # the nearest pixel is taken from the left upper corner of a pixel of the map, a resized picture from its middle
    assert not (masks[tile] & ~grown(shown[tile])).any()


def grown(shown):
    """By a pixel to all sides."""
    return cv2.dilate(shown.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0


def test_the_whole_map_is_the_whole_tile():
    spec, tile = spec_of(64, 96, aspect="letterbox"), Box(7, 9, 333, 55)
    inside = inside_box(tile, spec)
    assert frame_box(tile, Box(0, 0, inside.width, inside.height), spec) == tile
