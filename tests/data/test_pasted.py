"""Pasted defects: as varied as real ones, small, on the part, the same for the same seed."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgerd.bundle.manifest import PreprocessSpec, TileSpec
from edgerd.data.aspect import is_picture
from edgerd.data.pasted import PASTED_KINDS, part_of, paste_defects, pasted_defects
from edgerd.data.preprocess import prepare


def textured(n=6, size=(128, 128), seed=1):
    """Smooth grain, uint8 (n, 1, h, w, 3): no part, no background."""
    rng = np.random.default_rng(seed)
    noise = np.stack([cv2.GaussianBlur(rng.normal(size=(*size, 3)), (0, 0), 3) for _ in range(n)])
    return np.clip(128 + 25 * noise / noise.std(), 0, 255).astype(np.uint8)[:, None]


def discs(n=6, size=128):
    """A bright textured disc on a dark tray."""
    rows, columns = np.mgrid[:size, :size]
    inside = (rows - size / 2) ** 2 + (columns - size / 2) ** 2 < (0.35 * size) ** 2
    return np.where(inside[..., None], textured(n, (size, size)), np.uint8(20)), inside


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 7), st.integers(1, 3), st.sampled_from([(32, 32), (64, 96)]))
def test_each_picture_is_spoilt_in_one_place_of_one_tile(seed, n, n_tiles, size):
    pictures = np.random.default_rng(1).integers(0, 256, (n, n_tiles, *size, 3), dtype=np.uint8)
    before = pictures.copy()
    pasted = paste_defects(pictures, pictures, seed)
    np.testing.assert_array_equal(pictures, before)
    assert (pasted.pictures.shape, pasted.pictures.dtype) == (pictures.shape, np.uint8)
    assert pasted.masks.shape == pictures.shape[:-1]
    assert pasted.kinds == tuple(PASTED_KINDS[index % 6] for index in range(n))
    for mask, old, new in zip(pasted.masks, pictures, pasted.pictures, strict=True):
        assert 0 < mask.sum() <= 0.12 * size[0] * size[1]
        assert sum(tile.any() for tile in mask) == 1
        near = np.stack([cv2.dilate(tile.astype(np.uint8), np.ones((31, 31), np.uint8)) for tile in mask]) > 0
        assert (old[mask] != new[mask]).any()
        assert not (old != new).any(axis=-1)[~near].any()


@pytest.mark.parametrize("kind", PASTED_KINDS)
def test_every_kind_can_be_seen(kind):
    pictures = textured(72)
    pasted = paste_defects(pictures, pictures, 3)
    differences = [
        np.abs(new[mask].astype(float) - old[mask]).mean()
        for old, new, mask, pasted_kind in zip(pictures, pasted.pictures, pasted.masks, pasted.kinds, strict=True)
        if pasted_kind == kind
    ]
    assert len(differences) == 12
    assert min(differences) > (3 if kind == "faint" else 6)


def test_the_kinds_differ_in_size_and_strength():
    pasted = pasted_defects(textured(48))
    area = {
        kind: np.median([m.sum() for m, k in zip(pasted.masks, pasted.kinds, strict=True) if k == kind])
        for kind in PASTED_KINDS
    }
    assert area["small"] < area["colour"] < area["large"]
    assert area["thin"] < area["large"]
    assert 0.01 < area["large"] / 128**2 < 0.1


def test_the_same_seed_gives_the_same_defects():
    pictures = textured()
    first, again, other = (paste_defects(pictures, pictures, seed) for seed in (7, 7, 8))
    np.testing.assert_array_equal(first.pictures, again.pictures)
    np.testing.assert_array_equal(first.masks, again.masks)
    assert (first.pictures != other.pictures).any()


@pytest.mark.parametrize("n", [1, 5, 6, 48, 100])
def test_as_many_of_each_kind_whatever_there_is_to_paste_into(n):
    pasted = pasted_defects(textured(n, (32, 32)))
    assert [pasted.kinds.count(kind) for kind in PASTED_KINDS] == [8] * 6
    assert len(np.unique(pasted.pictures.reshape(48, -1), axis=0)) == 48


def test_a_part_on_a_plain_background_is_told_from_it():
    pictures, inside = discs()
    part = part_of(pictures[0, 0])
    assert (part != inside).mean() < 0.05
    masks = paste_defects(pictures, pictures, 0).masks[:, 0]
    assert (
        masks & cv2.dilate(inside.astype(np.uint8), np.ones((9, 9), np.uint8)).astype(bool)
    ).sum() > 0.8 * masks.sum()
    assert all((mask & inside).any() for mask in masks)


def test_where_no_part_stands_out_a_defect_may_be_anywhere():
    assert part_of(textured()[0, 0]).all()
    assert part_of(np.full((64, 64, 3), 90, np.uint8)).all()


def test_a_picture_without_colours_gets_none():
    grey = textured()[..., :1].repeat(3, axis=-1)
    pasted = pasted_defects(grey).pictures
    assert (np.ptp(pasted, axis=-1) == 0).all()


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32), st.integers(40, 300), st.integers(40, 300), st.sampled_from([(1, 1), (1, 2)]))
def test_nothing_is_pasted_into_padding(seed, width, height, tiles):
    spec = PreprocessSpec(height=64, width=96, tiles=TileSpec(rows=tiles[0], columns=tiles[1]), aspect="letterbox")
    rng = np.random.default_rng(1)
    pictures = np.stack([prepare(rng.integers(0, 256, (height, width, 3), np.uint8), spec) for _ in range(6)])
    pasted = paste_defects(pictures, pictures, seed, padded=True)
    inside = is_picture(pictures)
    assert np.array_equal(is_picture(pasted.pictures), inside)  # the graph looks at what was pasted, and at no padding
    assert pasted.masks.any((1, 2, 3)).all()
    assert not pasted.masks[~inside].any()
