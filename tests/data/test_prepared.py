import threading

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgerd.bundle.manifest import PreprocessSpec
from edgerd.data import prepared as module
from edgerd.data.pictures import read_picture, write_png
from edgerd.data.prepared import grey_level_statistics, picture_limits, read_prepared
from edgerd.data.preprocess import parse_region, parse_tiles, prepare
from edgerd.errors import DatasetError, PictureError, SpecError

ASPECTS = ("stretch", "crop", "letterbox")
SPEC = PreprocessSpec(height=32, width=64, tiles=parse_tiles("1x2"))


@pytest.fixture
def paths(tmp_path):
    """Pictures of different sizes, colour and grey."""
    rng = np.random.default_rng(0)
    shapes = [(40 + index, 100 - index, 3) if index % 2 else (90, 30 + index) for index in range(30)]
    files = [tmp_path / f"{index}.png" for index in range(30)]
    for file, shape in zip(files, shapes, strict=True):
        write_png(file, rng.integers(0, 256, shape, np.uint8))
    return files


def test_pictures_come_in_order_as_prepare_gives_them(paths):
    result = read_prepared(paths, SPEC)
    assert result.paths == tuple(paths)
    assert result.skipped == ()
    assert result.pictures.shape == (30, 2, 32, 64, 3)
    for path, picture in zip(paths, result.pictures, strict=True):
        assert np.array_equal(picture, prepare(read_picture(path), SPEC))


def test_the_sizes_of_the_files_that_were_read_are_kept(paths):
    paths[3].write_text("not a picture")
    result = read_prepared(paths, SPEC)
    assert result.sizes == tuple(read_picture(path).shape[1::-1] for path in result.paths)


def test_limits_are_those_of_the_pictures_and_not_of_their_padding(tmp_path):
    """Padded, all of these would have the contrast of a border between two greys."""
    for grey in (200, 202):
        write_png(tmp_path / f"{grey}.png", np.full((20, 200, 3), grey, np.uint8))
    files = sorted(tmp_path.iterdir())
    limits = [read_prepared(files, PreprocessSpec(height=32, width=32, aspect=how)).limits for how in ASPECTS]
    assert limits[0] == limits[1] == limits[2]


def test_bad_files_are_named_skipped_and_counted(paths):
    paths[3].write_bytes(paths[3].read_bytes()[:200])
    paths[20].write_text("not a picture")
    result = read_prepared(paths, SPEC)
    assert [picture.path for picture in result.skipped] == [paths[3], paths[20]]
    assert "cut short" in result.skipped[0].reason
    assert "3.png" in result.skipped[0].reason
    assert result.paths == tuple(path for path in paths if path not in (paths[3], paths[20]))
    assert len(result.pictures) == 28
    assert np.array_equal(result.pictures[-1], prepare(read_picture(paths[-1]), SPEC))


def test_strict_stops_at_the_first(paths):
    for index in (5, 9):
        paths[index].write_bytes(b"")
    with pytest.raises(PictureError, match=r"5\.png"):
        read_prepared(paths, SPEC, strict=True)


def test_a_region_that_does_not_fit_one_of_them_names_it(paths, tmp_path):
    write_png(tmp_path / "small.png", np.zeros((20, 20, 3), np.uint8))
    spec = PreprocessSpec(height=32, width=32, region=parse_region("0,0,30,40"))
    with pytest.raises(SpecError, match=r"small\.png: .*0,0,30,40.*20x20"):
        read_prepared([*paths, tmp_path / "small.png"], spec)


def test_nothing_readable(paths):
    for path in paths:
        path.write_bytes(b"")
    with pytest.raises(DatasetError, match="None of 30 pictures"):
        read_prepared(paths, SPEC)
    with pytest.raises(DatasetError, match="None of 0 pictures"):
        read_prepared([], SPEC)


def test_never_reads_far_ahead(paths, monkeypatch):
    started = 0
    count = threading.Lock()

    def counting(path, spec):
        nonlocal started
        with count:
            started += 1
        return original(path, spec)

    original = module._read_one
    monkeypatch.setattr(module, "_read_one", counting)
    taken = 0
    for _ in module._in_order(paths * 4, SPEC):
        taken += 1
        assert started - taken <= 2 * 4 + 1
    assert taken == 120


class TestLimits:
    def part(self, brightness=1.0, seed=0):
        rng = np.random.default_rng(seed)
        picture = np.full((1, 64, 64, 3), 60.0)
        cv2.circle(picture[0], (32, 32), 20, (170, 180, 190), -1)
        return (picture * brightness + rng.normal(0, 3, picture.shape)).clip(0, 255).astype(np.uint8)

    def judged(self, picture, limits):
        mean, deviation = grey_level_statistics(picture)
        return limits.mean_low <= mean <= limits.mean_high and deviation >= limits.contrast_low

    @given(st.lists(st.integers(0, 2**32), min_size=1, max_size=5))
    @settings(deadline=None, max_examples=30)
    def test_every_good_picture_is_inside(self, seeds):
        pictures = [np.random.default_rng(seed).integers(0, seed % 256 + 1, (2, 32, 32, 3), np.uint8) for seed in seeds]
        limits = picture_limits(pictures)
        assert all(self.judged(picture, limits) for picture in pictures)

    def test_light_may_vary_but_a_blind_camera_is_noticed(self):
        limits = picture_limits(self.part(seed=seed) for seed in range(10))
        for brightness in (0.6, 0.8, 1.2, 1.35):
            assert self.judged(self.part(brightness), limits)
        noise = np.random.default_rng(0).normal(0, 3, (1, 64, 64, 3))
        for level in (0, 3, 90, 130, 250, 255):  # black, covered by something grey, blown out
            assert not self.judged((level + noise).clip(0, 255).astype(np.uint8), limits)

    def test_statistics_are_of_the_grey_levels_of_all_tiles(self):
        tiles = np.zeros((2, 32, 32, 3), np.uint8)
        tiles[1] = 200
        assert grey_level_statistics(tiles) == (pytest.approx(100), pytest.approx(100))
        assert grey_level_statistics(tiles[1]) == (pytest.approx(200), pytest.approx(0))

    def test_no_pictures(self):
        with pytest.raises(DatasetError):
            picture_limits([])


def test_limits_come_with_the_pictures(paths):
    result = read_prepared(paths, SPEC)
    assert result.limits == picture_limits(result.pictures)
