import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from edgerd.data.cutpaste import cut_paste


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 4), st.integers(1, 3), st.sampled_from([(32, 32), (64, 96)]))
def test_each_picture_is_spoilt_in_one_small_rectangle(seed, n, n_tiles, size):
    pictures = np.random.default_rng(1).integers(0, 256, (n, n_tiles, *size, 3), dtype=np.uint8)
    given_pictures = pictures.copy()
    spoilt = cut_paste(pictures, seed)
    np.testing.assert_array_equal(pictures, given_pictures)
    assert spoilt.shape == pictures.shape
    assert spoilt.dtype == np.uint8
    for before, after in zip(pictures, spoilt, strict=True):
        tiles, rows, columns, _ = np.nonzero(before != after)
        assert len(set(tiles)) == 1
        extent = (np.ptp(rows) + 1) * (np.ptp(columns) + 1)
        assert extent <= max(0.051 * size[0] * size[1], 16)


def test_the_same_seed_gives_the_same_patches():
    pictures = np.random.default_rng(1).integers(0, 256, (3, 1, 64, 64, 3), dtype=np.uint8)
    np.testing.assert_array_equal(cut_paste(pictures, 7), cut_paste(pictures, 7))
    assert (cut_paste(pictures, 7) != cut_paste(pictures, 8)).any()
