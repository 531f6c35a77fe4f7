"""Regions, tiles and resizing: what the graph sees of a frame, and where in the frame that is."""

from itertools import pairwise

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prepared_parts import noise, spec_of

from edgerd.bundle.manifest import PreprocessSpec, RegionSpec, TileSpec
from edgerd.data.area import rows_first
from edgerd.data.preprocess import (
    frame_box,
    parse_region,
    parse_tiles,
    prepare,
    prepare_mask,
    tile_boxes,
)
from edgerd.errors import SpecError
from edgerd.types import Box


class TestResize:
    def test_both_shrink_is_the_area_average(self):
        picture = noise(128, 192, 3)
        expected = picture.reshape(64, 2, 96, 2, 3).mean(axis=(1, 3))
        assert np.abs(prepare(picture, spec_of())[0] - expected).max() <= 0.5
        odd = noise(201, 307, 3)
        assert np.array_equal(prepare(odd, spec_of())[0], cv2.resize(odd, (96, 64), interpolation=cv2.INTER_AREA))

    @pytest.mark.parametrize("size", [(1080, 1920), (2160, 3840), (2048, 2448), (1031, 1033), (1100, 97), (3000, 2999)])
    def test_large_pictures_are_within_1_of_the_area_average(self, size):
        for picture in (noise(*size, 3), noise(*size, 3) // 128 * 255):
            expected = cv2.resize(picture, (96, 64), interpolation=cv2.INTER_AREA)
            difference = np.abs(prepare(picture, spec_of())[0].astype(int) - expected)
            assert difference.max() <= 1
            assert (difference > 0).mean() < 0.01  # averages half way between two grey levels

    @given(st.data(), st.integers(1, 70), st.integers(1, 40), st.booleans())
    @settings(deadline=None)
    def test_rows_first_is_within_1_of_the_area_average(self, data, height, width, extreme):
        rows, columns = data.draw(st.integers(height + 1, 9 * height)), data.draw(st.integers(width + 1, 9 * width))
        picture = noise(rows, columns, 3, seed=data.draw(st.integers(0, 999)))
        picture = picture // 128 * 255 if extreme else picture
        out = np.empty((height, width, 3), np.uint8)
        rows_first(picture, out)
        expected = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
        assert np.abs(out.astype(int) - expected).max() <= 1
        exact = area_weights(rows, height) @ picture.transpose(2, 0, 1) @ area_weights(columns, width).T
        assert np.abs(out - exact.transpose(1, 2, 0)).max() < 0.5 + 1e-3

    @pytest.mark.parametrize("value", [0, 1, 127, 254, 255])
    def test_a_large_flat_picture_stays_flat(self, value):
        assert (prepare(np.full((1080, 1920, 3), value, np.uint8), spec_of(256, 256)) == value).all()

    @pytest.mark.parametrize("cut", [np.s_[:, ::-1], np.s_[::2, ::2], np.s_[1:, 1:-2]])
    def test_a_large_picture_that_is_a_view_of_another(self, cut):
        view = noise(2201, 2202, 3)[cut]
        assert np.array_equal(prepare(view, spec_of()), prepare(view.copy(), spec_of()))

    @pytest.mark.parametrize("size", [(50, 60), (50, 300), (300, 60), (64, 300), (300, 96), (65, 95)])
    def test_else_bilinear_on_both_axes(self, size):
        picture = noise(*size, 3)
        expected = cv2.resize(picture, (96, 64), interpolation=cv2.INTER_LINEAR)
        assert np.array_equal(prepare(picture, spec_of())[0], expected)
        assert np.abs(expected - bilinear(picture, 64, 96)).max() <= 1

    def test_equal_size_is_a_copy(self):
        picture = noise(64, 96, 3)
        tiles = prepare(picture, spec_of())
        assert np.array_equal(tiles[0], picture)
        assert not np.shares_memory(tiles, picture)

    def test_result_is_contiguous_uint8_tiles_row_by_row(self):
        picture = noise(128, 192, 3)
        tiles = prepare(picture, spec_of(tiles="2x2"))
        assert tiles.shape == (4, 64, 96, 3)
        assert tiles.dtype == np.uint8
        assert tiles.flags.c_contiguous
        assert np.array_equal(tiles[1], picture[:64, 96:])
        assert np.array_equal(tiles[2], picture[64:, :96])

    def test_the_region_is_cut_out(self):
        picture = noise(200, 200, 3)
        tiles = prepare(picture, spec_of(region="10,20,96,64"))
        assert np.array_equal(tiles[0], picture[20:84, 10:106])

    def test_a_picture_that_is_a_view_of_another(self):
        picture = noise(200, 200, 3)
        assert np.array_equal(prepare(picture[:, ::-1], spec_of()), prepare(picture[:, ::-1].copy(), spec_of()))
        assert np.array_equal(prepare(picture[::2, ::2], spec_of()), prepare(picture[::2, ::2].copy(), spec_of()))


def area_weights(source, target):
    """How much of each source pixel lies in each target pixel, (target, source); rows add up to 1."""
    edges = np.arange(target + 1)[:, None] * source / target
    pixels = np.arange(source)
    covered = np.minimum(edges[1:], pixels + 1) - np.maximum(edges[:-1], pixels)
    return covered.clip(0) * target / source


def bilinear(picture, height, width):
    """Bilinear interpolation with pixel centres at half integers and repeated edges."""

    def weights(source, target):
        position = np.clip((np.arange(target) + 0.5) * source / target - 0.5, 0, source - 1)
        low = np.minimum(np.floor(position).astype(int), source - 1)
        matrix = np.zeros((target, source))
        rows = np.arange(target)
        matrix[rows, low] += 1 - (position - low)
        matrix[rows, np.minimum(low + 1, source - 1)] += position - low
        return matrix

    rows, columns = weights(picture.shape[0], height), weights(picture.shape[1], width)
    return (rows @ picture.transpose(2, 0, 1) @ columns.T).transpose(1, 2, 0)


class TestMask:
    def test_follows_the_picture_through_region_and_tiles(self):
        mask = np.zeros((200, 300), np.bool_)
        mask[40:90, 100:150] = True
        spec = spec_of(region="20,10,240,160", tiles="2x3:0.2")
        tiles = prepare_mask(mask, spec)
        picture = prepare(np.repeat(mask[..., None], 3, axis=2).astype(np.uint8) * 255, spec)
        assert tiles.dtype == np.bool_
        assert tiles.shape == (6, 64, 96)
        assert tiles.any()
        assert (tiles != (picture[..., 0] > 127)).mean() < 0.01

    def test_nearest_means_no_new_shapes(self):
        mask = noise(64, 96) > 127
        assert np.array_equal(prepare_mask(mask, spec_of(128, 192))[0], np.kron(mask, np.ones((2, 2), bool)))
        assert np.array_equal(prepare_mask(mask, spec_of())[0], mask)


grids = st.builds(
    TileSpec,
    rows=st.integers(1, 6),
    columns=st.integers(1, 6),
    overlap=st.sampled_from([0.0, 0.1, 0.2, 0.25, 1 / 3, 0.5, 0.75]),
)


@st.composite
def regions_in_frames(draw):
    width, height = draw(st.integers(40, 700)), draw(st.integers(40, 700))
    x, y = draw(st.integers(0, width - 36)), draw(st.integers(0, height - 36))
    region = RegionSpec(x=x, y=y, width=draw(st.integers(36, width - x)), height=draw(st.integers(36, height - y)))
    return width, height, region


class TestTiles:
    @given(regions_in_frames(), grids)
    @settings(deadline=None)
    def test_one_size_inside_the_region_and_nothing_left_out(self, placed, tiles):
        width, height, region = placed
        boxes = tile_boxes(height, width, PreprocessSpec(region=region, tiles=tiles))
        assert len(boxes) == tiles.rows * tiles.columns
        assert len({(box.width, box.height) for box in boxes}) == 1
        covered = np.zeros((height, width), np.uint8)
        for box in boxes:
            covered[box.y : box.y + box.height, box.x : box.x + box.width] = 1
        expected = np.zeros_like(covered)
        expected[region.y : region.y + region.height, region.x : region.x + region.width] = 1
        assert np.array_equal(covered, expected)
        assert list(boxes) == sorted(boxes, key=lambda box: (box.y, box.x))

    @given(st.integers(100, 4000), st.integers(2, 6), st.sampled_from([0.0, 0.1, 0.25, 0.5]))
    @settings(deadline=None)
    def test_neighbours_overlap_by_the_fraction_asked_for(self, width, columns, overlap):
        tiles = TileSpec(rows=1, columns=columns, overlap=overlap)
        boxes = tile_boxes(100, width, PreprocessSpec(tiles=tiles))
        for left, right in pairwise(boxes):
            assert -1 <= left.x + left.width - right.x - overlap * left.width < 3

    def test_decimal_overlaps_cost_no_pixel(self):
        boxes = tile_boxes(100, 190, spec_of(tiles="1x2:0.1"))
        assert boxes == (Box(0, 0, 100, 100), Box(90, 0, 100, 100))

    def test_a_region_outside_the_frame_names_both(self):
        with pytest.raises(SpecError, match=r"100,50,600,400.*640x480"):
            tile_boxes(480, 640, spec_of(region="100,50,600,400"))

    def test_more_tiles_than_pixels_names_both(self):
        with pytest.raises(SpecError, match=r"8x6 pixels.*1x10"):
            prepare(noise(6, 8, 3), spec_of(tiles="1x10"))


class TestFrameBox:
    @given(st.data(), st.integers(1, 900), st.integers(1, 900))
    @settings(deadline=None)
    def test_covers_and_stays_inside_the_tile(self, data, width, height):
        spec = spec_of(64, 96)
        tile = Box(data.draw(st.integers(0, 50)), data.draw(st.integers(0, 50)), width, height)
        x, y = data.draw(st.integers(0, 95)), data.draw(st.integers(0, 63))
        inner = Box(x, y, data.draw(st.integers(1, 96 - x)), data.draw(st.integers(1, 64 - y)))
        box = frame_box(tile, inner, spec)
        assert box.width >= 1
        assert box.height >= 1
        assert box.x >= tile.x
        assert box.y >= tile.y
        assert box.x + box.width <= tile.x + width
        assert box.y + box.height <= tile.y + height
        for low, size, tile_low, tile_size, map_low, map_size, map_total in (
            (box.x, box.width, tile.x, width, inner.x, inner.width, 96),
            (box.y, box.height, tile.y, height, inner.y, inner.height, 64),
        ):
            exact_low, exact_high = map_low * tile_size / map_total, (map_low + map_size) * tile_size / map_total
            assert exact_low - 1 < low - tile_low <= exact_low + 1e-9
            assert exact_high - 1e-9 <= low + size - tile_low < exact_high + 1

    def test_the_whole_map_is_the_whole_tile(self):
        tile = Box(7, 9, 333, 111)
        assert frame_box(tile, Box(0, 0, 96, 64), spec_of()) == tile


class TestText:
    def test_region(self):
        assert parse_region(" 1,2, 30,40") == RegionSpec(x=1, y=2, width=30, height=40)

    @pytest.mark.parametrize(("text", "rows", "columns", "overlap"), [("2x3", 2, 3, 0.0), ("1x2:0.25", 1, 2, 0.25)])
    def test_tiles(self, text, rows, columns, overlap):
        assert parse_tiles(text) == TileSpec(rows=rows, columns=columns, overlap=overlap)

    @given(regions_in_frames(), grids)
    def test_what_is_printed_can_be_typed(self, placed, tiles):
        assert parse_region(str(placed[2])) == placed[2]
        assert parse_tiles(str(tiles)).overlap == pytest.approx(tiles.overlap, abs=1e-5)

    @pytest.mark.parametrize("text", ["", "1,2,3", "1,2,3,4,5", "a,b,c,d", "1,2,0,4", "-1,0,4,4", "1.5,0,4,4"])
    def test_region_nonsense(self, text):
        with pytest.raises(SpecError, match="cannot be used") as caught:
            parse_region(text)
        assert "--region" in str(caught.value)

    @pytest.mark.parametrize("text", ["", "2", "2x", "0x2", "33x1", "2x2:", "2x2:0.9", "2x2:-0.1", "2x2:nan", "axb"])
    def test_tiles_nonsense(self, text):
        with pytest.raises(SpecError, match="cannot be used") as caught:
            parse_tiles(text)
        assert "--tiles" in str(caught.value)
